"""Integrity: a sound store is called sound, and each kind of damage is found, named and given a remedy."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import StoreError
from curate.store.care.backup import back_up
from curate.store.care.erasure import PLAN_FILE, ErasurePlan, erase
from curate.store.care.integrity import Check, check_integrity
from curate.store.care.traces import find_traces
from curate.store.database import LEDGER_FILE
from curate.store.journal import Journal
from curate.store.lease import hold_lease
from curate.store.manifest import PUBLISHED_FOLDER, read_manifest, write_manifest
from curate.store.reader import Reader
from curate.store.store import Store
from curate.store.write import Write

PROSE = "36110a67a490b26eddecc79d50b01a99184c7c8d0c2c8b467d407e72e18d9147"
Damage = Callable[[Path], None]


def broken(folder: Path, *, sample: int | None = 1_000) -> dict[str, Check]:
    found = {check.what: check for check in check_integrity(folder, sample=sample, timeout=0.0) if not check.sound}
    assert all(check.remedy for check in found.values())
    return found


def segment(folder: Path, table: str) -> Path:
    return folder / PUBLISHED_FOLDER / read_manifest(folder).tables[table][0].file


def change(folder: Path, table: str, edit: Callable[[pa.Table], pa.Table]) -> None:
    """Change what is published of a table and let the manifest count it, as no honest writer would."""
    path = segment(folder, table)
    rows = edit(pq.read_table(path))
    pq.write_table(rows, path)
    manifest = read_manifest(folder)
    [old] = manifest.tables[table]
    write_manifest(folder, replace(manifest, tables=manifest.tables | {table: (replace(old, rows=len(rows)),)}))


def with_column(name: str, values: list[object]) -> Callable[[pa.Table], pa.Table]:
    def edit(rows: pa.Table) -> pa.Table:
        place = rows.schema.get_field_index(name)
        return rows.set_column(place, rows.schema.field(name), pa.array(values, rows.schema.field(name).type))

    return edit


@pytest.mark.parametrize("sample", [1_000, 2, None])
def test_a_sound_store(full_store: Path, sample: int | None) -> None:
    checks = list(check_integrity(full_store, sample=sample))
    assert [check.what for check in checks if not check.sound] == []
    details = {check.what: check.detail for check in checks}
    assert details["items"].startswith("2 of 4 (--all" if sample == 2 else "4 are")
    assert details["ledger"] == ("the same rows" if sample is None else "as many rows as are published")


def test_nothing_is_changed(full_store: Path) -> None:
    before = {path: path.read_bytes() for path in full_store.rglob("*") if path.is_file() and path.name != "lease"}
    list(check_integrity(full_store, sample=None))
    after = {path: path.read_bytes() for path in full_store.rglob("*") if path.is_file() and path.name != "lease"}
    assert after == before


def test_an_empty_store_is_sound(store: Store) -> None:
    assert broken(store.folder) == {}


def test_a_store_with_an_erased_item_is_sound(full_store: Path) -> None:
    store = Store.open(full_store, create=True)
    with store.reader() as reader:
        plan = ErasurePlan.of([PROSE], find_traces(reader, Journal(full_store), [PROSE]), "asked for")
    erase(store, plan)
    assert broken(full_store, sample=None) == {}


class TestDamage:
    """What a disk, a person or a mistake of ours may do."""

    def test_a_lost_segment(self, full_store: Path) -> None:
        segment(full_store, "scores").unlink()
        assert "scores-000000001" in broken(full_store)["published"].detail

    def test_a_torn_segment(self, full_store: Path) -> None:
        path = segment(full_store, "scores")
        path.write_bytes(path.read_bytes()[:-20])
        assert broken(full_store).keys() & {"published", "segments"}

    def test_too_few_rows(self, full_store: Path) -> None:
        path = segment(full_store, "origins")
        pq.write_table(pq.read_table(path).slice(1), path)
        assert "holds 3 rows, the manifest says 4" in broken(full_store)["segments"].detail

    @pytest.mark.parametrize("place", range(4))
    def test_other_content_under_an_id(self, full_store: Path, place: int) -> None:
        def edit(rows: pa.Table) -> pa.Table:
            [row] = rows.slice(place, 1).to_pylist()
            changes = {"text": "other", "image": b"other", "events": [{"time": 1.0, "type": 1}]}
            column = row["modality"]
            values = rows[column].to_pylist()
            values[place] = changes[column]
            return with_column(column, values)(rows)

        change(full_store, "items", edit)
        assert "1 of 4 are not their content's hash" in broken(full_store)["items"].detail

    def test_rows_without_their_item(self, full_store: Path) -> None:
        change(full_store, "items", lambda rows: rows.slice(1))
        found = broken(full_store)
        assert "annotations: 1" in found["orphans"].detail
        assert "items: 3 rows, commits brought 4" in found["commits"].detail
        assert "items" in found["ledger"].detail

    def test_a_key_twice(self, full_store: Path) -> None:
        change(full_store, "origins", lambda rows: pa.concat_tables([rows, rows.slice(0, 1)]))
        assert broken(full_store)["keys"].detail == "twice: origins: 1"

    def test_a_gap_in_the_commits(self, full_store: Path) -> None:
        change(full_store, "commits", lambda rows: rows.slice(1))
        assert broken(full_store)["commits"].detail == "2 commits are recorded, the newest is 3"

    def test_a_snapshot_with_other_labels(self, full_store: Path) -> None:
        change(full_store, "snapshot_items", with_column("label", ["code"]))
        assert "set 1" in broken(full_store)["snapshots"].detail

    @pytest.mark.parametrize("content", [None, b"another state"])
    def test_a_checkpoint(self, full_store: Path, content: bytes | None) -> None:
        [path] = (full_store / "checkpoints").glob("*.safetensors")
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        assert "b8ee6fba5e96" in broken(full_store)["checkpoints"].detail

    def test_an_item_that_came_back(self, full_store: Path) -> None:
        store = Store.open(full_store, create=True)
        items = segment(full_store, "items").read_bytes()
        erase(store, ErasurePlan((PROSE,), "asked for"))
        path = segment(full_store, "items")
        path.write_bytes(items)
        manifest = read_manifest(full_store)
        [old] = manifest.tables["items"]
        write_manifest(full_store, replace(manifest, tables=manifest.tables | {"items": (replace(old, rows=4),)}))
        assert "1 are back" in broken(full_store)["erased items"].detail

    def test_an_erasure_that_was_begun(self, full_store: Path) -> None:
        (full_store / PLAN_FILE).write_text("{}")
        assert broken(full_store)["erasure"].remedy == "curate gc"


class TestLedger:
    """The ledger against what is published."""

    def test_a_lost_one(self, full_store: Path) -> None:
        (full_store / LEDGER_FILE).unlink()
        assert "curate backup" in broken(full_store)["ledger"].remedy
        assert not (full_store / LEDGER_FILE).exists()

    def test_a_damaged_one(self, full_store: Path, damage: Damage) -> None:
        damage(full_store / LEDGER_FILE)
        assert "curate backup --restore" in broken(full_store)["ledger"].remedy

    def test_an_older_one(self, full_store: Path, tmp_path: Path) -> None:
        shutil.copy(full_store / LEDGER_FILE, tmp_path / "old")
        store = Store.open(full_store, create=True)
        erase(store, ErasurePlan((PROSE,), "asked for"))
        shutil.copy(tmp_path / "old", full_store / LEDGER_FILE)
        assert "ends at commit 3, published is 4" in broken(full_store)["ledger"].detail

    def test_other_rows(self, full_store: Path) -> None:
        with duckdb.connect(str(full_store / LEDGER_FILE)) as connection:
            connection.execute("UPDATE scores SET score = 2.0")
        assert broken(full_store) == {}
        assert "scores" in broken(full_store, sample=None)["ledger"].detail

    def test_a_held_one_is_not_waited_for(self, full_store: Path) -> None:
        with hold_lease(full_store, timeout=0, command="curate annotate"):
            details = {check.what: check.detail for check in check_integrity(full_store, timeout=0.0)}
        assert "curate annotate" in details["ledger"]

    def test_a_crash_before_publishing_is_no_damage(self, full_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from curate.store import batch
        from curate.store.write import CursorMove, Write

        monkeypatch.setattr(batch, "publish", lambda *arguments, **options: None)
        Store.open(full_store, create=True).commit(Write("x", cursors=[CursorMove("c", "", "", "1")]))
        details = {check.what: check.detail for check in check_integrity(full_store)}
        assert "ends at commit 4, published is 3" in details["ledger"]
        assert broken(full_store) == {}


def test_what_cannot_be_read_is_said_without_raising(full_store: Path) -> None:
    (full_store / PUBLISHED_FOLDER / "manifest.json").write_text("[]")
    assert "manifest.json" in broken(full_store)["published"].detail
    with pytest.raises(Exception, match=r"manifest\.json"):
        Reader(full_store)


class TestPages:
    """A byte that a disk changed inside a page, where neither length nor footer shows it."""

    @pytest.fixture
    def spoilt(self, full_store: Path, make: Any) -> Path:
        """A store with a segment written by this version, one byte of which is another."""
        items = make.items(make.ids(1), text=["a" * 5_000])
        Store.open(full_store, create=True).commit(Write("ingest", {"items": items}))
        [path] = (full_store / PUBLISHED_FOLDER).glob("items-000000004-*.parquet")
        column = pq.read_metadata(path).row_group(0).column(0)
        content = bytearray(path.read_bytes())
        content[column.data_page_offset + column.total_compressed_size - 1] ^= 1
        path.write_bytes(content)
        return full_store

    def test_its_checksum_tells(self, spoilt: Path) -> None:
        details = {check.what: check for check in check_integrity(spoilt, sample=None)}
        assert "CRC checksum verification failed" in details["segments"].detail
        assert "delete published/" in details["segments"].remedy

    def test_it_is_not_backed_up(self, spoilt: Path, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="CRC checksum"):
            back_up(Store.open(spoilt, create=True), tmp_path / "saved")
        assert not (tmp_path / "saved").exists()


def test_where_rows_are_wrong_the_ledger_is_compared_row_by_row(full_store: Path) -> None:
    """So a person learns whether only what is published is damaged."""
    [path] = (full_store / PUBLISHED_FOLDER).glob("items-*.parquet")
    table = pq.read_table(path)
    texts = pa.array([f"another {text}" if text else text for text in table["text"].to_pylist()])
    pq.write_table(table.set_column(table.schema.get_field_index("text"), "text", texts), path)
    checks = {check.what: check for check in check_integrity(full_store)}
    assert not checks["items"].sound
    assert checks["ledger"].detail == "other rows than published in items"
