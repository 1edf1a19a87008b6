"""What readers see: whole commits only, whoever is killed when, at a cost that follows the batch."""

import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from curate.errors import CurateError, StoreError
from curate.store import publish
from curate.store import segments as segment_files
from curate.store.comparison import differences
from curate.store.database import LEDGER_FILE, open_ledger
from curate.store.manifest import MANIFEST_FILE, PUBLISHED_FOLDER, read_manifest
from curate.store.reader import Reader
from curate.store.results import read_rows
from curate.store.schema import TABLES
from curate.store.store import Store
from curate.store.write import Write

Add = Callable[..., int]
Ask = Callable[..., list[dict[str, Any]]]
Spawn = Callable[..., subprocess.Popen[str]]
KILLED_AT = """
    import os, signal, sys
    from pathlib import Path
    from curate.store import publish
    from curate.store.store import Store
    from curate.store.write import Write, rows
    store = Store.open(Path(sys.argv[1]), create=True, command="victim")
    setattr(publish, sys.argv[2], lambda *arguments, **options: os.kill(os.getpid(), signal.SIGKILL))
    ids = ["b1", "b2"]
    items = rows("items", {"item_id": ids, "modality": "text", "text": ids, "image": None, "events": None,
                           "time_unit": None, "size": 2})
    store.commit(Write("ingest", {"items": items}))
"""
WITHOUT_PYTZ = """
    import sys
    from pathlib import Path
    sys.modules["pytz"] = None
    from curate.store.store import Store
    from curate.store.write import CursorMove, Write
    store = Store.open(Path(sys.argv[1]), create=True)
    store.commit(Write("test", cursors=[CursorMove("c", "", "", "1")]))
    with store.reader() as reader:
        print(reader.committed_at, reader.query("FROM commits")["committed_at"].to_pylist()[0].isoformat())
"""


def published(store: Store) -> Path:
    return store.folder / PUBLISHED_FOLDER


def segments(store: Store, table: str) -> list[str]:
    return [segment.file for segment in read_manifest(store.folder).tables.get(table, ())]


def check_against_ledger(store: Store) -> None:
    """Every published table holds the ledger's rows in the ledger's order."""
    with Reader(store.folder) as reader, open_ledger(store.folder, timeout=0) as ledger:
        ledger.execute("SET TimeZone = 'UTC'")
        for table in TABLES:
            expected = read_rows(ledger, f'FROM "{table.name}" ORDER BY rowid')
            assert reader.query(f'FROM "{table.name}"').to_pylist() == expected.to_pylist()
            assert reader.manifest.rows(table.name) == len(expected)


class TestKilled:
    """A writer that dies between the ledger's commit and the manifest's swap."""

    @pytest.fixture(params=["read_manifest", "write_segment", "_merge", "discard_retired", "write_manifest"])
    def victim(self, request: pytest.FixtureRequest, store: Store, add: Add, make: Any, spawn: Spawn) -> Store:
        add(items=make.items(["a1", "a2"]), origins=make.origins(["a1", "a2"]))
        assert spawn(KILLED_AT, store.folder, request.param).wait() == -signal.SIGKILL
        with store.reader() as reader:
            assert reader.commit_number == 1
            assert reader.query("SELECT item_id FROM items")["item_id"].to_pylist() == ["a1", "a2"]
        return store

    def test_the_next_open_publishes(self, victim: Store, tmp_path: Path, make: Any) -> None:
        Store.open(victim.folder, create=True)
        check_against_ledger(victim)
        undisturbed = Store.open(tmp_path / "undisturbed", create=True)
        undisturbed.commit(Write("test", {"items": make.items(["a1", "a2"]), "origins": make.origins(["a1", "a2"])}))
        undisturbed.commit(Write("ingest", {"items": make.items(["b1", "b2"], text=["b1", "b2"], size=2)}))
        with victim.reader() as one, undisturbed.reader() as other:
            assert differences(one, other) == []


def leave_unpublished(store: Store, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(publish, "write_manifest", fail)
        with pytest.raises(CurateError, match="No space left"):
            store.commit(write)


def test_the_next_commit_publishes_what_failed(store: Store, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_unpublished(
        store, Write("ingest", {"items": make.items(["a"]), "scores": make.scores(["a"], 1.0)}), monkeypatch
    )
    assert store.commit(Write("ingest", {"items": make.items(["b"])})).number == 2
    check_against_ledger(store)


def test_trying_again_publishes_what_failed(store: Store, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Write("ingest", {"items": make.items(["a"]), "scores": make.scores(["a"], 1.0)})
    leave_unpublished(store, write, monkeypatch)
    assert store.commit(write).number is None
    check_against_ledger(store)


def test_a_deleted_snapshot_is_published_anew(store: Store, add: Add, make: Any) -> None:
    for number in range(3):
        add(items=make.items(make.ids(number)), scores=make.scores(make.ids(number), 0.5))
    figures = read_manifest(store.folder).figures
    shutil.rmtree(published(store))
    add(origins=make.origins(make.ids(1)))
    check_against_ledger(store)
    assert read_manifest(store.folder).figures == figures


def test_an_open_store_is_published_anew(store: Store, add: Add, make: Any) -> None:
    add(items=make.items(make.ids(1)))
    (published(store) / MANIFEST_FILE).unlink()
    Store.open(store.folder, create=True)
    check_against_ledger(store)


def test_an_older_ledger_under_a_newer_snapshot_is_refused(store: Store, add: Add, make: Any, tmp_path: Path) -> None:
    add(items=make.items(make.ids(1)))
    shutil.copy(store.folder / LEDGER_FILE, tmp_path / "backup")
    add(items=make.items(make.ids(2)))
    before = {path.name: path.read_bytes() for path in published(store).iterdir()}
    shutil.copy(tmp_path / "backup", store.folder / LEDGER_FILE)
    with pytest.raises(StoreError, match="published commit 2, but its ledger ends at commit 1") as caught:
        Store.open(store.folder, create=True)
    assert "published/" in caught.value.hint
    assert {path.name: path.read_bytes() for path in published(store).iterdir()} == before
    (store.folder / LEDGER_FILE).unlink()
    with pytest.raises(StoreError, match="ends at commit 0"):
        Store.open(store.folder, create=True)


class TestMerging:
    """Segments merge by level; the content stays the same and readers notice nothing."""

    @pytest.fixture(autouse=True)
    def _three_at_a_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(publish, "MERGE_COUNT", 3)

    def test_the_content_stays_the_same(self, store: Store, add: Add, make: Any) -> None:
        levels = []
        for number in range(10):
            add(items=make.items(make.ids(number, number + 100)))
            levels.append([segment.level for segment in read_manifest(store.folder).tables["items"]])
        assert levels == [[0], [0, 0], [1], [1, 0], [1, 0, 0], [1, 1], [1, 1, 0], [1, 1, 0, 0], [2], [2, 0]]
        assert segments(store, "items") == ["items-000000001-000000009.parquet", "items-000000010-000000010.parquet"]
        check_against_ledger(store)

    def test_small_batches_become_one_row_group(self, store: Store, add: Add, make: Any) -> None:
        for number in range(9):
            add(items=make.items(make.ids(number)))
        [file] = segments(store, "items")
        assert pq.read_metadata(published(store) / file).num_row_groups == 1

    def test_replaced_files_stay_for_the_grace(self, store: Store, add: Add, make: Any) -> None:
        add(items=make.items(make.ids(0)))
        with store.reader() as reader:
            for number in (1, 2, 3):
                add(items=make.items(make.ids(number)))
            assert segments(store, "items") == [
                "items-000000001-000000003.parquet",
                "items-000000004-000000004.parquet",
            ]
            assert reader.query("SELECT item_id FROM items")["item_id"].to_pylist() == make.ids(0)
        manifest = read_manifest(store.folder)
        retired = {file for file, _ in manifest.retired}
        assert {f"items-{n:09d}-{n:09d}.parquet" for n in (1, 2, 3)} <= retired
        assert all((published(store) / file).exists() for file in retired)

    def test_after_the_grace_they_go(self, store: Store, add: Add, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        for number in range(3):
            add(items=make.items(make.ids(number)))
        monkeypatch.setattr(publish, "RETIRED_SECONDS", 0.0)
        add(items=make.items(make.ids(3)))
        manifest = read_manifest(store.folder)
        assert manifest.retired == ()
        used = {segment.file for entries in manifest.tables.values() for segment in entries}
        assert {path.name for path in published(store).iterdir()} == used | {MANIFEST_FILE}

    def test_a_damaged_segment_keeps_its_commit_and_says_what_to_do(self, store: Store, add: Add, make: Any) -> None:
        for number in range(2):
            add(items=make.items(make.ids(number)))
        (published(store) / segments(store, "items")[0]).write_bytes(b"PAR1 no more")
        with pytest.raises(StoreError, match="items-000000001-000000001") as caught:
            add(items=make.items(make.ids(2)))
        assert "published/" in caught.value.hint
        shutil.rmtree(published(store))
        Store.open(store.folder, create=True)
        check_against_ledger(store)
        assert read_manifest(store.folder).rows("items") == 3


def test_row_groups_are_bounded_by_bytes(store: Store, add: Add, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_files, "GROUP_BYTES", 1_000)
    monkeypatch.setattr(segment_files, "BATCH_ROWS", 4)
    add(items=make.items(make.ids(*range(8)), text="x" * 900))
    [file] = segments(store, "items")
    assert pq.read_metadata(published(store) / file).num_row_groups == 2


def test_figures_count_items_by_modality(store: Store, add: Add, make: Any) -> None:
    add(items=make.items(make.ids(1, 2)))
    add(items=make.items(make.ids(3), "image", image=[b"x"]), origins=make.origins(make.ids(3)))
    assert read_manifest(store.folder).figures == {"items:text": 2, "items:image": 1}


def test_the_manifest_tells_commit_step_and_time(store: Store, add: Add, make: Any, ask: Ask) -> None:
    add("ingest", items=make.items(make.ids(1)))
    manifest = read_manifest(store.folder)
    [commit] = ask("SELECT committed_at FROM commits")
    assert (manifest.commit_number, manifest.step) == (1, "ingest")
    assert manifest.committed_at == commit["committed_at"].isoformat(timespec="seconds")
    assert manifest.committed_at.endswith("+00:00")


def test_times_need_no_further_package(folder: Path, spawn: Spawn) -> None:
    child = spawn(WITHOUT_PYTZ, folder)
    output, _ = child.communicate()
    shown, committed = output.split()
    assert shown[:19] == committed[:19]


def test_a_small_commit_writes_little_whatever_the_store_holds(store: Store, add: Add, make: Any) -> None:
    def written(number: int) -> int:
        before = set(published(store).iterdir())
        add(items=make.items(make.ids(number)), scores=make.scores(make.ids(number), 1.0))
        return sum(path.stat().st_size for path in {*published(store).iterdir()} - before)

    add(items=make.items(make.ids(-1)))
    while_small = written(-2)
    ids = make.ids(*range(20_000))
    add(items=make.items(ids), scores=make.scores(ids, 0.5))
    assert written(-3) < 1.1 * while_small


def test_a_segment_that_cannot_be_written_rolls_the_batch_back(
    store: Store, add: Add, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("No space left on device")

    add(items=make.items(make.ids(1)))
    write = Write("ingest", {"items": make.items(make.ids(2)), "scores": make.scores(make.ids(2), 0.5)})
    with monkeypatch.context() as patch:
        patch.setattr(segment_files, "write_segment", fail)
        with pytest.raises(CurateError, match="No space left"):
            store.commit(write)
    with open_ledger(store.folder, timeout=0) as ledger:
        assert ledger.execute("SELECT count(*), max(commit_number) FROM items").fetchall() == [(1, 1)]
    assert store.commit(write).number == 2
    check_against_ledger(store)


def test_a_commit_on_an_older_ledger_leaves_what_is_published(
    store: Store, add: Add, make: Any, tmp_path: Path
) -> None:
    """The store is open already when someone puts an older ledger in its place."""
    add(items=make.items(make.ids(1)))
    shutil.copy(store.folder / LEDGER_FILE, tmp_path / "backup")
    add(items=make.items(make.ids(2)))
    before = {path.name: path.read_bytes() for path in published(store).iterdir()}
    shutil.copy(tmp_path / "backup", store.folder / LEDGER_FILE)
    with pytest.raises(StoreError, match="published commit 2, but its ledger ends at commit 1"):
        add(items=make.items(make.ids(3)))
    assert {path.name: path.read_bytes() for path in published(store).iterdir()} == before
    with open_ledger(store.folder, timeout=0) as ledger:
        assert ledger.execute("SELECT max(commit_number) FROM commits").fetchall() == [(1,)]
