"""The inbox: answers are on disk when `append` returns, and are read from any place on, whatever a kill left."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from curate.errors import CurateError
from curate.store.inbox import Inbox, copy_inbox, forget_answers, inbox_answers, waiting_answers
from curate.types import PersonAnswer

ANSWER = PersonAnswer("1", "ada", "a" * 64, "p", "1", "topic", "2026-11-26T10:00:00.000001+00:00", "prose")


def waiting(folder: Path, taken: dict[str, int] | None = None, lines: int = 100) -> list[str]:
    return [answer.answer_id for part in waiting_answers(folder, taken or {}, lines) for answer in part.answers]


def test_writers_have_files_of_their_own_and_a_place_holds_for_good(tmp_path: Path) -> None:
    one, other = Inbox(tmp_path), Inbox(tmp_path)
    for number, inbox in enumerate((one, other, one, one), start=1):
        inbox.append(replace(ANSWER, answer_id=str(number), answered_at=f"2026-11-26T10:00:0{number}+00:00"))
    assert [answer.answer_id for answer in inbox_answers(tmp_path)] == ["1", "2", "3", "4"]
    parts = list(waiting_answers(tmp_path, {}, 2))
    assert sorted(len(part.answers) for part in parts) == [1, 1, 2]
    assert waiting(tmp_path, {part.file: part.stop for part in parts}) == []
    first = next(part for part in parts if len(part.answers) == 2)
    assert "4" in waiting(tmp_path, {first.file: first.stop})
    assert "3" not in waiting(tmp_path, {first.file: first.stop})


def test_a_torn_line_waits_and_another_is_told(tmp_path: Path) -> None:
    Inbox(tmp_path).append(ANSWER)
    [path] = (tmp_path / "inbox").iterdir()
    line = path.read_bytes()
    broken = json.dumps(asdict(ANSWER) | {"person": 7}).encode() + b"\n"
    path.write_bytes(line + b"nonsense\n" + broken + line[:40])
    [part] = waiting_answers(tmp_path, {}, 100)
    assert part.answers == (ANSWER,)
    assert part.unreadable == (len(line), len(line) + 9)
    assert part.stop == len(line) + 9 + len(broken)
    path.write_bytes(path.read_bytes() + line[40:])
    assert waiting(tmp_path, {part.file: part.stop}) == ["1"]


def test_a_full_disk_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = Inbox(tmp_path)
    inbox.append(ANSWER)
    with monkeypatch.context() as patch:
        patch.setattr("curate.store.inbox.os.fsync", _full)
        with pytest.raises(CurateError, match="cannot be written"):
            inbox.append(replace(ANSWER, answer_id="2"))
    inbox.append(replace(ANSWER, answer_id="3"))
    assert sorted(waiting(tmp_path)) == ["1", "3"]


def _full(descriptor: int) -> None:
    raise OSError(28, "No space left on device")


def test_what_is_erased_leaves_no_byte_and_moves_no_place(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    for number, item in enumerate(("a" * 64, "b" * 64, "a" * 64)):
        inbox.append(replace(ANSWER, answer_id=str(number), item_id=item))
    [path] = (tmp_path / "inbox").iterdir()
    size = path.stat().st_size
    assert forget_answers(tmp_path, ["a" * 64]) == 2
    assert (path.stat().st_size, waiting(tmp_path)) == (size, ["1"])
    assert b"a" * 64 not in path.read_bytes()
    inbox.append(replace(ANSWER, answer_id="3"))
    (tmp_path / "copy").mkdir()
    copy_inbox(tmp_path, tmp_path / "copy")
    assert waiting(tmp_path / "copy") == ["1", "3"]
