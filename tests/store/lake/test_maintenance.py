"""`gc` on a lake: many small files become few, what is old goes, what is needed stays."""

from pathlib import Path
from typing import Any

import pytest

from curate.errors import StoreError
from curate.store.address import LakeAddress
from curate.store.care.garbage import collect_garbage, find_garbage
from curate.store.care.integrity import check_integrity
from curate.store.checkpoints import save_checkpoint
from curate.store.comparison import differences
from curate.store.lake import maintenance
from curate.store.reader import Reader
from curate.store.store import Store
from curate.store.write import CursorMove, Write

BATCHES = 4


@pytest.fixture
def filled(store: Store, make: Any) -> Store:
    for number in range(BATCHES):
        ids = make.ids(*range(number * 20, number * 20 + 20))
        move = CursorMove("c", "k", str(number or ""), str(number + 1))
        store.commit(Write("test", {"items": make.items(ids), "origins": make.origins(ids)}, [move]))
    return store


def parquet(lake: LakeAddress) -> set[Path]:
    return set(Path(lake.data_path).rglob("*.parquet"))


def test_small_files_are_merged_and_rows_keep_their_commits(
    filled: Store, lake: LakeAddress, monkeypatch: pytest.MonkeyPatch, make: Any
) -> None:
    many = parquet(lake)
    assert len(many) == 2 * BATCHES
    with filled.reader() as before:
        planned = find_garbage(filled)
        assert {(entry.kind, entry.name) for entry in planned} == {("small files", "items"), ("small files", "origins")}
        assert parquet(lake) == many
        collect_garbage(filled)
        assert parquet(lake) > many, "what a merge replaced stays for whoever reads by it"
        with filled.reader() as after:
            assert differences(before, after) == []
    monkeypatch.setattr(maintenance, "KEPT_SECONDS", 0.0)
    freed = {entry.kind: entry for entry in collect_garbage(filled)}
    assert {"snapshots", "replaced files"} <= set(freed)
    left = parquet(lake)
    assert not left & many
    with filled.reader() as reader:
        assert reader.query("SELECT DISTINCT commit_number FROM items ORDER BY 1")["commit_number"].to_pylist() == [
            1,
            2,
            3,
            4,
        ]
        assert reader.query("FROM cursor_positions")["position"].to_pylist() == ["4"]
    again = Write("test", {"items": make.items(make.ids(*range(100)))}, [CursorMove("c", "k", "4", "5")])
    assert filled.commit(again).added == {"items": 20, "cursors": 1}
    assert all(check.sound for check in check_integrity(lake, sample=0) if check.what != "items")


def test_a_reader_whose_snapshot_is_gone_hears_it(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "KEPT_SECONDS", 0.0)
    with filled.reader() as reader:
        collect_garbage(filled)
        with pytest.raises(StoreError, match="expired meanwhile") as caught:
            reader.query("FROM items")
    assert caught.value.hint == "run the command again"


def test_what_a_killed_writer_left_goes_and_what_is_new_stays(
    filled: Store, lake: LakeAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = Path(lake.data_path) / "main" / "items" / "ducklake-left-by-a-kill.parquet"
    left.write_bytes(next(iter(parquet(lake))).read_bytes())
    collect_garbage(filled)
    assert left.exists(), "a writer may be at work on it"
    monkeypatch.setattr(maintenance, "KEPT_SECONDS", 0.0)
    collect_garbage(filled)
    assert not left.exists()
    with filled.reader() as reader:
        assert reader.manifest.rows("items") == 20 * BATCHES


def test_checkpoints_that_no_row_names_go_from_this_machine(
    filled: Store, lake: LakeAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    from curate.store.care import garbage

    name = save_checkpoint(lake.folder, b"an orphan")
    monkeypatch.setattr(garbage, "UNTOUCHED_SECONDS", -1.0)
    assert name in {entry.name.partition(".")[0] for entry in find_garbage(filled)}
    collect_garbage(filled)
    assert not list((lake.folder / "checkpoints").glob(f"{name}*"))


def test_doctor_finds_a_lost_file(filled: Store, lake: LakeAddress) -> None:
    assert {check.what for check in check_integrity(lake) if not check.sound} == {"items"}, (
        "the tests' ids are no hashes"
    )
    next(path for path in parquet(lake) if "origins" in path.parts).unlink()
    [broken] = [check for check in check_integrity(lake) if not check.sound]
    assert broken.what == "files"
    assert "origins" in broken.detail


def test_a_lake_that_a_newer_curate_changed_is_refused(filled: Store, lake: LakeAddress) -> None:
    with filled._ledger.maintenance() as connection:  # type: ignore[attr-defined]
        connection.execute("INSERT INTO migrations VALUES ('from_the_future', now())")
    with pytest.raises(StoreError, match="newer curate"):
        Store.open(lake, create=True)


def test_an_older_lake_is_read_as_it_is_and_migrated_by_who_writes(filled: Store, lake: LakeAddress) -> None:
    with filled._ledger.maintenance() as connection:  # type: ignore[attr-defined]
        connection.execute("DROP TABLE anchors; ALTER TABLE origins DROP COLUMN licence")
        connection.execute("DELETE FROM migrations WHERE name = 'split_anchors'")
    with Reader(lake) as reader:
        assert reader.query("SELECT DISTINCT licence FROM origins")["licence"].to_pylist() == [None]
        assert reader.query("FROM anchors").num_rows == 0
    Store.open(lake, create=True)
    with filled._ledger.maintenance() as connection:  # type: ignore[attr-defined]
        assert connection.execute("SELECT count(*) FROM anchors").fetchall() == [(0,)]
