"""Checkpoints: files named by what they hold."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from curate.errors import StoreError
from curate.store.checkpoints import (
    CHECKPOINT_FOLDER,
    Checkpoint,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)
from curate.store.store import Store
from curate.store.write import Write, rows


@pytest.mark.parametrize("state", [b"", b"state", bytes(1_000_000)], ids=len)
def test_a_state_is_found_by_its_hash(tmp_path: Path, state: bytes) -> None:
    name = save_checkpoint(tmp_path, state)
    assert name == hashlib.sha256(state).hexdigest()
    assert load_checkpoint(tmp_path, name) == state


def test_equal_states_are_one_file(tmp_path: Path) -> None:
    name = save_checkpoint(tmp_path, b"state")
    [file] = (tmp_path / CHECKPOINT_FOLDER).iterdir()
    written = file.stat().st_ino
    assert save_checkpoint(tmp_path, b"state") == name
    [file] = (tmp_path / CHECKPOINT_FOLDER).iterdir()
    assert file.stat().st_ino == written


@pytest.mark.parametrize("damage", [b"", b"stat", b"state!"])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: bytes) -> None:
    name = save_checkpoint(tmp_path, b"state")
    [file] = (tmp_path / CHECKPOINT_FOLDER).iterdir()
    file.write_bytes(damage)
    with pytest.raises(StoreError, match=f"checkpoint {name[:12]} is damaged"):
        load_checkpoint(tmp_path, name)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="checkpoint 0123456789ab cannot be read") as caught:
        load_checkpoint(tmp_path, "0123456789abcdef")
    assert caught.value.hint


def test_the_newest_of_one_learner_is_found(store: Store) -> None:
    for number, version in [(1, "1"), (2, "1"), (1, "2")]:
        header: dict[str, Any] = {
            "checkpoint": f"{version}/{number}",
            "learner": "pupil",
            "learner_version": version,
            "parent": "",
            "snapshot": "digits",
            "number": number,
            "content_hash": "",
            "encoder_version": "e",
            "classes": [["a", "b"]],
            "items": 1,
            "size": 1,
        }
        store.commit(Write("learn", {"checkpoints": rows("checkpoints", header, 1)}))
    with store.reader() as reader:
        assert newest_checkpoint(reader, "pupil", "1", "e", "digits") == Checkpoint("1/2", 2)
        assert newest_checkpoint(reader, "pupil", "2", "e", "digits") == Checkpoint("2/1", 1)
        assert newest_checkpoint(reader, "pupil", "1", "other", "digits") is None
        assert reader.query("SELECT DISTINCT classes FROM checkpoints").to_pylist() == [{"classes": ["a", "b"]}]
