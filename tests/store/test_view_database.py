"""Readers after each other share a database in memory; none may see, or be bound by, what another had."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from curate.errors import StoreError
from curate.store.database import open_ledger
from curate.store.manifest import PUBLISHED_FOLDER
from curate.store.spill import bound_memory
from curate.store.store import Store
from curate.store.write import Write

Add = Callable[..., int]
COUNT = "SELECT count(*) AS count FROM items"


@pytest.fixture
def other(tmp_path: Path) -> Store:
    """A second store."""
    return Store.open(tmp_path / "other", create=True)


def count(store: Store) -> int:
    with store.reader() as reader:
        return int(reader.query(COUNT)["count"][0].as_py())


def database_of(store: Store) -> Any:
    """The database by which a reader asks; what is used again is the very same."""
    with store.reader() as reader:
        return reader._view._database


def test_one_database_shows_one_store_after_the_other(store: Store, other: Store, add: Add, make: Any) -> None:
    add(items=make.items(make.ids(1, 2)))
    first = database_of(store)
    assert [count(one) for one in (store, other, store)] == [2, 0, 2]
    add(items=make.items(make.ids(3)), decisions=make.decisions(make.ids(1), "drop"))
    assert [count(one) for one in (other, store)] == [0, 3]
    assert database_of(store) is first


def test_two_readers_at_once_have_two(store: Store) -> None:
    with store.reader() as one, store.reader() as two:
        assert one._view._database is not two._view._database


def test_a_file_that_takes_anothers_place_is_read(store: Store, other: Store, add: Add, make: Any) -> None:
    add(items=make.items(make.ids(1, 2)))
    assert count(store) == 2
    other.commit(Write("test", {"items": make.items(make.ids(*range(5)))}))
    shutil.rmtree(store.folder / PUBLISHED_FOLDER)
    shutil.copytree(other.folder / PUBLISHED_FOLDER, store.folder / PUBLISHED_FOLDER)
    assert count(store) == 5


def test_a_segment_that_is_damaged_meanwhile_is_noticed(store: Store, add: Add, make: Any) -> None:
    add(items=make.items(make.ids(1, 2)))
    assert count(store) == 2
    [segment] = (store.folder / PUBLISHED_FOLDER).rglob("items*.parquet")
    segment.write_bytes(b"PAR1")
    with pytest.raises(StoreError, match="cannot be read"):
        count(store)


def test_what_a_reader_registered_and_set_ends_with_it(store: Store) -> None:
    with store.reader() as reader:
        reader.register("wanted", pa.table({"item_id": ["a"]}))
        reader.query("CREATE TEMPORARY TABLE mine AS SELECT 1")
    with store.reader() as reader:
        assert {"wanted", "mine"}.isdisjoint(reader.query("SHOW TABLES")["name"].to_pylist())


def test_a_confined_database_is_not_used_again(store: Store, tmp_path: Path) -> None:
    (tmp_path / "outside.csv").write_text("a\n1\n", encoding="utf-8")
    with store.reader() as reader:
        reader.ask("SELECT 1").read_all()
    with store.reader() as reader:
        assert len(reader.query(f"FROM '{tmp_path / 'outside.csv'}'")) == 1


def test_bounds_of_a_reader_end_with_it(store: Store, other: Store) -> None:
    """What a setting shows is not enough: a RESET shows the default and keeps the bound."""
    for bound in (store, other):
        with store.reader() as one, bound.reader() as two:
            bound_memory(one, 32)
            bound_memory(two, 32)
            first = one._view._database
    with store.reader() as reader:
        assert reader._view._database is first
        [threads] = reader.query("SELECT current_setting('threads') AS n")["n"].to_pylist()
        assert threads == duckdb.connect().execute("SELECT current_setting('threads')").fetchall()[0][0]
        reader.query("CREATE TEMPORARY TABLE wide AS SELECT i, i::VARCHAR AS s FROM range(3000000) t(i)")
        spilled = reader.query("SELECT sum(size) AS n FROM duckdb_temporary_files()")["n"][0].as_py()
        assert not spilled


def test_a_spill_folder_that_is_gone_hinders_nobody(store: Store, other: Store) -> None:
    reader = other.reader()
    bound_memory(reader, 32)
    reader.query("CREATE TEMPORARY TABLE wide AS SELECT i, i::VARCHAR AS s FROM range(3000000) t(i)")
    assert reader.query("SELECT sum(size) AS n FROM duckdb_temporary_files()")["n"][0].as_py()
    shutil.rmtree(other.folder)
    reader.close()
    assert count(store) == 0


def test_a_child_makes_its_own(store: Store, add: Add, make: Any) -> None:
    add(items=make.items(make.ids(1)))
    assert count(store) == 1
    child = os.fork()
    if not child:
        os._exit(count(store))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


def test_a_ledger_is_closed_when_its_block_ends(store: Store, add: Add, make: Any) -> None:
    add(items=make.items(make.ids(1)))
    assert not store.folder.joinpath("ledger.duckdb.wal").exists()
    opened = [link.resolve() for link in Path("/proc/self/fd").iterdir()]
    assert (store.folder / "ledger.duckdb").resolve() not in opened


def test_a_ledger_whose_block_failed_is_sound(store: Store, add: Add, make: Any) -> None:
    with pytest.raises(duckdb.Error), open_ledger(store.folder, timeout=0) as connection:
        connection.execute("BEGIN; CREATE TABLE half AS SELECT 1; SELECT * FROM missing")
    with open_ledger(store.folder, timeout=0) as connection:
        assert ("half",) not in connection.execute("SHOW TABLES").fetchall()
    assert add(items=make.items(make.ids(1))) == 1
