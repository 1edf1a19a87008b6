"""Backups: whole, verified, made while writers work, and good to go on from after real damage."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.errors import StoreError, UsageError
from curate.store.care import backup as backup_module
from curate.store.care.backup import BACKUP_FILE, back_up, check_backup, restore
from curate.store.care.rebuild import rebuild_ledger
from curate.store.checkpoints import load_checkpoint
from curate.store.comparison import differences
from curate.store.database import LEDGER_FILE, open_ledger
from curate.store.journal import Journal
from curate.store.lease import hold_lease
from curate.store.manifest import PUBLISHED_FOLDER, read_manifest
from curate.store.reader import Reader
from curate.store.results import read_rows
from curate.store.schema import TABLES
from curate.store.store import Store
from curate.store.write import Write
from curate.types import Request, Response

Spawn = Callable[..., subprocess.Popen[str]]
Damage = Callable[[Path], None]
WRITER = """
    import sys
    from pathlib import Path
    from curate.store.store import Store
    from curate.store.write import CursorMove, Write, rows
    store = Store.open(Path(sys.argv[1]), create=False, lease_timeout=60.0, command="writer")
    number = 0
    while not Path(sys.argv[2]).exists():
        number += 1
        ids = [f"{number}-{row}" for row in range(50)]
        items = rows("items", {"item_id": ids, "modality": "text", "text": ids, "image": None, "events": None,
                               "time_unit": None, "size": 2})
        scores = rows("scores", {"item_id": ids, "selector": "s", "selector_version": "1", "target": "", "score": 1.0})
        store.commit(Write("ingest", {"items": items, "scores": scores}))
        print(number, flush=True)
"""


@pytest.fixture
def store(full_store: Path) -> Store:
    """A small store with rows in every table, and one answer that waits in the journal."""
    journal = Journal(full_store)
    journal.put("waiting", Request("http://127.0.0.1", "m", {"prompt": "x"}), Response({"answer": 1}))
    return Store.open(full_store, create=True, lease_timeout=20.0, command="pytest")


def check_same(first: Path, second: Path) -> None:
    with Reader(first) as one, Reader(second) as other:
        assert differences(one, other) == []
        assert one.commit_number == other.commit_number


def test_a_backup_is_a_store_with_the_same_rows(store: Store, tmp_path: Path, make: Any) -> None:
    made = back_up(store, tmp_path / "backups" / "monday")
    assert made == check_backup(made.folder)
    assert (made.commit_number, made.rows > 30, made.files > 20) == (3, True, True)
    check_same(store.folder, made.folder)
    with Reader(made.folder) as reader:
        [name] = reader.query("SELECT checkpoint FROM checkpoints")["checkpoint"].to_pylist()
    assert load_checkpoint(made.folder, name) == b"the state of a learner"
    assert Journal(made.folder).keys() == {"waiting"}
    copy = Store.open(made.folder, create=True)
    assert copy.commit(Write("ingest", {"items": make.items(make.ids(1))})).number == 4
    assert store.commit(Write("ingest", {"items": make.items(make.ids(1))})).number == 4
    check_same(store.folder, made.folder)


def test_its_ledger_is_that_of_the_store_row_by_row(store: Store, tmp_path: Path) -> None:
    made = back_up(store, tmp_path / "backup")
    contents = []
    for folder in (store.folder, made.folder):
        with open_ledger(folder, timeout=0) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            names = {entry.name: ", ".join(f'"{name}"' for name in entry.schema.names) for entry in TABLES}
            contents.append(
                {
                    name: read_rows(connection, f'SELECT {columns} FROM "{name}" ORDER BY rowid')
                    for name, columns in names.items()
                }
            )
    assert contents[0] == contents[1]


def test_it_is_consistent_while_a_writer_works(store: Store, tmp_path: Path, spawn: Spawn) -> None:
    stop = tmp_path / "stop"
    child = spawn(WRITER, store.folder, stop)
    assert child.stdout is not None
    child.stdout.readline()
    made = [back_up(store, tmp_path / f"backup-{number}") for number in range(3)]
    stop.touch()
    child.communicate()
    assert child.returncode == 0
    numbers = [*(one.commit_number for one in made), read_manifest(store.folder).commit_number]
    assert numbers == sorted(numbers)
    assert numbers[0] < numbers[-1]
    for one in made:
        check_backup(one.folder)
        with Reader(one.folder) as reader:
            commits = reader.query("SELECT commit_number FROM commits ORDER BY 1")["commit_number"].to_pylist()
            assert commits == list(range(1, one.commit_number + 1))
            [counts] = reader.query(
                "SELECT count(*) AS scores, count(DISTINCT item_id) AS items FROM scores WHERE selector = 's'"
            ).to_pylist()
            assert counts["scores"] == counts["items"] == 50 * (one.commit_number - 3)


def test_a_hung_writer_holds_no_backup_up(store: Store, tmp_path: Path) -> None:
    with hold_lease(store.folder, timeout=0, command="hangs"):
        assert back_up(store, tmp_path / "backup").commit_number == 3


class TestPlaces:
    """Where a backup may lie."""

    def test_a_folder_that_is_not_empty_is_refused(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "photo.png").write_bytes(b"x")
        with pytest.raises(UsageError, match="not empty"):
            back_up(store, tmp_path / "mine")
        assert [path.name for path in (tmp_path / "mine").iterdir()] == ["photo.png"]

    def test_an_empty_folder_will_do(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        check_backup(back_up(store, tmp_path / "empty").folder)

    def test_inside_the_store_is_refused(self, store: Store) -> None:
        with pytest.raises(UsageError, match="inside each other"):
            back_up(store, store.folder / "backup")

    def test_a_failure_leaves_nothing_behind(self, store: Store, tmp_path: Path, monkeypatch: Any) -> None:
        def fail(*_: object) -> None:
            raise StoreError("the copy differs")

        monkeypatch.setattr(backup_module, "_check_counts", fail)
        with pytest.raises(StoreError):
            back_up(store, tmp_path / "backups" / "monday")
        assert list((tmp_path / "backups").iterdir()) == []


class TestDamage:
    """What a failing disk does to a store, and to a backup."""

    @pytest.fixture
    def saved(self, store: Store, tmp_path: Path) -> Path:
        return back_up(store, tmp_path / "backup").folder

    def test_a_corrupt_ledger_is_restored(self, store: Store, saved: Path, damage: Damage, make: Any) -> None:
        damage(store.folder / LEDGER_FILE)
        with pytest.raises(StoreError) as caught:
            Store.open(store.folder, create=True).commit(Write("ingest", {"items": make.items(make.ids(1))}))
        assert "curate backup --restore" in caught.value.hint
        aside = restore(saved, store.folder, lease_timeout=0, command="test")
        assert aside == store.folder.with_name("store.replaced-1")
        check_same(saved, store.folder)
        assert not (store.folder / BACKUP_FILE).exists()
        again = Store.open(store.folder, create=True)
        assert again.commit(Write("ingest", {"items": make.items(make.ids(1))})).number == 4

    def test_a_lost_store_is_restored(self, store: Store, saved: Path) -> None:
        store.folder.rename(store.folder.with_name("lost"))
        assert restore(saved, store.folder, lease_timeout=0, command="test") is None
        check_same(saved, store.folder)

    @pytest.mark.parametrize("pattern", [LEDGER_FILE, "items-*.parquet", "*.safetensors", "manifest.json"])
    def test_a_damaged_backup_is_not_restored(self, store: Store, saved: Path, damage: Damage, pattern: str) -> None:
        [file] = saved.rglob(pattern)
        damage(file)
        with pytest.raises(StoreError, match="damaged"):
            restore(saved, store.folder, lease_timeout=0, command="test")
        assert read_manifest(store.folder).commit_number == 3
        assert [path.name for path in store.folder.parent.iterdir() if "replaced" in path.name] == []

    def test_a_folder_that_is_no_backup_is_not_restored(self, store: Store, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="is no backup"):
            restore(tmp_path, store.folder, lease_timeout=0, command="test")

    def test_a_damaged_store_is_not_backed_up(self, store: Store, damage: Damage, tmp_path: Path) -> None:
        [file] = (store.folder / PUBLISHED_FOLDER).glob("scores-*.parquet")
        damage(file)
        with pytest.raises(StoreError, match="scores"):
            back_up(store, tmp_path / "new")
        assert not (tmp_path / "new").exists()


class TestRebuilding:
    """Without a backup: the ledger from what is published."""

    def test_a_corrupt_ledger(self, store: Store, damage: Damage, tmp_path: Path, make: Any) -> None:
        before = back_up(store, tmp_path / "before").folder
        damage(store.folder / LEDGER_FILE)
        aside = rebuild_ledger(store)
        assert aside == store.folder / f"{LEDGER_FILE}.damaged-1"
        Store.open(store.folder, create=True)
        check_same(before, store.folder)
        assert store.commit(Write("ingest", {"items": make.items(make.ids(1))})).number == 4

    def test_a_lost_ledger(self, store: Store) -> None:
        (store.folder / LEDGER_FILE).unlink()
        with pytest.raises(StoreError) as caught:
            Store.open(store.folder, create=True)
        assert "curate backup --rebuild" in caught.value.hint
        rebuild_ledger(store)
        assert Store.open(store.folder, create=True).commit(Write("x")).number is None

    def test_a_sound_ledger_loses_nothing_that_was_not_published(
        self, store: Store, make: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from curate.store import batch

        with monkeypatch.context() as patch:
            patch.setattr(batch, "publish", lambda *arguments, **options: None)
            store.commit(Write("ingest", {"items": make.items(make.ids(1))}))
        rebuild_ledger(store)
        with store.reader() as reader:
            assert reader.commit_number == 4

    def test_a_kill_leaves_the_old_one_or_the_new_one(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        from curate.store.care import rebuild

        def fail(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(rebuild, "_copy", fail)
        with pytest.raises(KeyboardInterrupt):
            rebuild_ledger(store)
        assert not (store.folder / LEDGER_FILE).exists()
        monkeypatch.undo()
        rebuild_ledger(store)
        Store.open(store.folder, create=True)

    def test_nothing_published_is_nothing_to_rebuild_from(self, folder: Path) -> None:
        store = Store.open(folder, create=True)
        (folder / LEDGER_FILE).unlink()
        with pytest.raises(StoreError, match="nothing is published"):
            rebuild_ledger(store)
