"""Garbage: what nobody needs goes, what anybody may still need stays."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.store import publish
from curate.store.care import garbage
from curate.store.care.garbage import Garbage, collect_garbage, find_garbage
from curate.store.checkpoints import CHECKPOINT_FOLDER, load_checkpoint, save_checkpoint
from curate.store.comparison import differences
from curate.store.database import LEDGER_FILE
from curate.store.journal import Journal
from curate.store.lease import LEASE_FILE
from curate.store.manifest import PUBLISHED_FOLDER, read_manifest
from curate.store.store import Store
from curate.store.write import Write
from curate.types import Request, Response

Add = Callable[..., int]


@pytest.fixture
def several(store: Store, add: Add, make: Any) -> Store:
    """A store of five commits, so that most tables have several segments."""
    for number in range(5):
        add(items=make.items(make.ids(number)), scores=make.scores(make.ids(number), 0.5))
    return store


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep nothing for the sake of time alone."""
    monkeypatch.setattr(publish, "RETIRED_SECONDS", 0.0)


def kinds(found: list[Garbage]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for entry in found:
        names.setdefault(entry.kind, []).append(entry.name)
    return names


def make_old(path: Path) -> Path:
    os.utime(path, (1_000_000_000, 1_000_000_000))
    return path


def contents(store: Store) -> dict[Path, bytes]:
    files = [path for path in store.folder.rglob("*") if path.is_file() and path.name != LEASE_FILE]
    return {path: path.read_bytes() for path in files}


def parquet_files(store: Store) -> set[str]:
    return {path.name for path in (store.folder / PUBLISHED_FOLDER).glob("*.parquet")}


def named_files(store: Store) -> set[str]:
    return {segment.file for segments in read_manifest(store.folder).tables.values() for segment in segments}


def test_small_segments_become_one(several: Store, tmp_path: Path, make: Any) -> None:
    other = Store.open(tmp_path / "other", create=True)
    for number in range(5):
        ids = make.ids(number)
        other.commit(Write("test", {"items": make.items(ids), "scores": make.scores(ids, 0.5)}))
    freed = collect_garbage(several)
    assert kinds(freed) == {"small segments": ["items", "scores", "commits"]}
    assert all(entry.reason.endswith("a later gc frees them") for entry in freed if not entry.bytes)
    assert {name: len(segments) for name, segments in read_manifest(several.folder).tables.items()} == {
        "items": 1,
        "scores": 1,
        "runs": 1,
        "commits": 1,
    }
    with several.reader() as one, other.reader() as two:
        assert differences(one, two) == []
    assert collect_garbage(several) == []


def test_commits_go_on_after_a_merge(several: Store, add: Add, make: Any) -> None:
    collect_garbage(several)
    for number in range(5, 25):
        add(items=make.items(make.ids(number)))
    with several.reader() as reader:
        assert len(reader.query("FROM items")) == 25


def test_what_a_merge_replaced_goes_with_the_next_call(several: Store, hasty: None) -> None:
    collect_garbage(several)
    assert parquet_files(several) == named_files(several)


def test_a_reader_keeps_what_it_reads(several: Store, hasty: None) -> None:
    with several.reader() as reader:
        collect_garbage(several)
        collect_garbage(several)
        assert len(reader.query("FROM items")) == 5
        assert parquet_files(several) > named_files(several)
    collect_garbage(several)
    assert parquet_files(several) == named_files(several)


def test_the_grace_keeps_replaced_segments(several: Store) -> None:
    before = parquet_files(several)
    collect_garbage(several)
    assert before < parquet_files(several)
    assert find_garbage(several) == []


def test_a_plan_changes_nothing(several: Store) -> None:
    orphan = several.folder / PUBLISHED_FOLDER / "items-000000004-000000005.parquet"
    orphan.write_bytes(b"left by a kill")
    find_garbage(several)
    before = contents(several)
    plan = find_garbage(several)
    assert kinds(plan)["segment"] == [orphan.name]
    assert plan == find_garbage(several)
    assert contents(several) == before
    assert collect_garbage(several) == plan
    assert not orphan.exists()


def test_what_was_left_unfinished_goes(several: Store, tmp_path: Path) -> None:
    exports = tmp_path / "exports"
    left = [
        several.folder / PUBLISHED_FOLDER / "items-000000006-000000006.partial",
        several.folder / PUBLISHED_FOLDER / ".manifest.json.17.partial",
        several.folder / f".{LEDGER_FILE}.partial",
        several.folder / f".{LEDGER_FILE}.partial.wal",
        make_old_file(several.folder / CHECKPOINT_FOLDER / ".abc.safetensors.17.partial"),
        make_old_file(several.folder / "journals" / ".requests.jsonl.17.partial"),
        make_old_file(exports / ".set-00001.17.partial" / "data" / "train.parquet"),
        make_old_file(exports / ".set-00001.17.replaced" / "README.md"),
    ]
    for path in left[:4]:
        path.write_bytes(b"half")
    freed = kinds(collect_garbage(several, exports))
    assert len(freed["unfinished file"]) == 8
    assert not any(path.exists() for path in left)
    assert list(exports.iterdir()) == []


def test_what_is_being_written_stays(several: Store, tmp_path: Path) -> None:
    fresh = [
        several.folder / CHECKPOINT_FOLDER / ".abc.safetensors.17.partial",
        tmp_path / "exports" / ".set-00001.17.partial" / "data" / "train.parquet",
    ]
    for path in fresh:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"half")
    collect_garbage(several, tmp_path / "exports")
    assert all(path.exists() for path in fresh)


class TestCheckpoints:
    """Checkpoints that no row names."""

    def path(self, store: Store, name: str) -> Path:
        return store.folder / CHECKPOINT_FOLDER / f"{name}.safetensors"

    def test_an_orphan_goes_and_a_named_one_stays(self, full_store: Path) -> None:
        store = Store.open(full_store, create=True)
        orphan = save_checkpoint(full_store, b"of a run that was killed")
        [named] = (full_store / CHECKPOINT_FOLDER).glob("b8ee*")
        make_old(self.path(store, orphan))
        make_old(named)
        freed = collect_garbage(store)
        assert [entry.name for entry in freed if entry.kind == "checkpoint"] == [f"{orphan}.safetensors"]
        assert not self.path(store, orphan).exists()
        assert load_checkpoint(full_store, named.stem) == b"the state of a learner"

    def test_a_fresh_one_waits_for_its_commit(self, store: Store) -> None:
        name = save_checkpoint(store.folder, b"state")
        collect_garbage(store)
        assert self.path(store, name).exists()

    def test_an_orphan_that_is_saved_again_is_fresh(self, store: Store) -> None:
        name = save_checkpoint(store.folder, b"state")
        make_old(self.path(store, name))
        assert kinds(find_garbage(store)) == {"checkpoint": [f"{name}.safetensors"]}
        save_checkpoint(store.folder, b"state")
        assert find_garbage(store) == []

    def test_a_date_in_the_future_is_no_reason(self, store: Store) -> None:
        name = save_checkpoint(store.folder, b"state")
        os.utime(self.path(store, name), (4_000_000_000, 4_000_000_000))
        assert find_garbage(store) == []


def test_answers_whose_commit_is_there_leave_the_journal(store: Store, add: Add) -> None:
    """A kill between a commit and the journal's forgetting."""
    journal = Journal(store.folder)
    for key in ("committed", "waiting"):
        journal.put(key, Request("http://127.0.0.1", "m", {"prompt": key}), Response({"answer": key}))
    add("annotate", requests=journal.drained(["committed"]))
    assert kinds(find_garbage(store))["answers"] == ["journal"]
    collect_garbage(store)
    assert Journal(store.folder).keys() == {"waiting"}


def test_idle_blocks_of_the_ledger_are_given_back(
    store: Store, add: Add, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from curate.store.database import open_ledger

    noise = [os.urandom(3_000).hex() for _ in range(500)]
    with open_ledger(store.folder, timeout=0) as connection:
        connection.execute("CREATE TABLE more AS SELECT unnest(?::VARCHAR[]) AS noise", [noise])
        connection.execute("CHECKPOINT")
    add(items=make.items(make.ids(*range(500)), text=noise))
    with open_ledger(store.folder, timeout=0) as connection:
        connection.execute("DROP TABLE more; CHECKPOINT")
    monkeypatch.setattr(garbage, "_LEDGER_BYTES", 2**20)
    before = (store.folder / LEDGER_FILE).stat().st_size
    assert kinds(collect_garbage(store))["ledger blocks"] == [LEDGER_FILE]
    assert (store.folder / LEDGER_FILE).stat().st_size < 0.75 * before
    with open_ledger(store.folder, timeout=0) as connection:
        assert connection.execute("SELECT count(*) FROM items").fetchall() == [(500,)]
        tags = connection.execute("SELECT tags FROM duckdb_databases() WHERE NOT internal").fetchall()
    assert tags[0][0]["storage_version"] == "v1.2.0+"
    assert add(items=make.items(make.ids(-1))) == 2


def make_old_file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    make_old(path)
    for folder in path.parents:
        if folder.name.startswith(".") or folder.name == "data":
            make_old(folder)
    return path
