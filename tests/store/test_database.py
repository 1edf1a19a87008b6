"""Opening the ledger: whole or not at all, readable by older DuckDB, and clear about who is in the way."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from curate.errors import StoreBusyError, StoreError
from curate.store.database import LEDGER_FILE, open_ledger
from curate.store.store import Store

Spawn = Callable[..., subprocess.Popen[str]]
OPEN = """
    import sys, duckdb
    connection = duckdb.connect(sys.argv[1])
    print("open", flush=True)
    sys.stdin.readline()
"""


def test_the_file_can_be_read_by_older_duckdb(store: Store) -> None:
    with duckdb.connect(str(store.folder / LEDGER_FILE), read_only=True) as connection:
        [(tags,)] = connection.execute("SELECT tags FROM duckdb_databases() WHERE NOT internal").fetchall()
    assert tags["storage_version"] == "v1.2.0+"


def test_extensions_are_never_fetched(store: Store) -> None:
    with open_ledger(store.folder, timeout=0) as connection:
        settings = connection.execute("SELECT value FROM duckdb_settings() WHERE name LIKE 'auto%known_extensions'")
        assert {value for (value,) in settings.fetchall()} == {"false"}


@pytest.mark.parametrize("content", [b"", b"x", b"not a database" * 10_000], ids=["empty", "short", "foreign"])
def test_a_file_that_is_no_ledger_is_refused_and_kept(folder: Path, content: bytes) -> None:
    folder.mkdir()
    (folder / LEDGER_FILE).write_bytes(content)
    with pytest.raises(StoreError, match=r"cannot open ledger\.duckdb in store 'store'") as caught:
        Store.open(folder, create=True)
    assert caught.value.exit_code == 4
    assert caught.value.hint
    assert (folder / LEDGER_FILE).read_bytes() == content


def test_a_damaged_ledger_is_refused(store: Store) -> None:
    path = store.folder / LEDGER_FILE
    content = path.read_bytes()
    path.write_bytes(content[: 3 * 4096] + b"\xff" * (len(content) - 3 * 4096))
    with pytest.raises(StoreError, match="cannot open"):
        Store.open(store.folder, create=True)


def test_another_program_in_the_way_is_named(store: Store, spawn: Spawn) -> None:
    child = spawn(OPEN, store.folder / LEDGER_FILE)
    assert child.stdout is not None
    assert child.stdout.readline() == "open\n"
    with pytest.raises(StoreBusyError, match=f"PID {child.pid}") as caught:
        Store.open(store.folder, create=True, lease_timeout=0.05)
    assert caught.value.exit_code == 5
    child.communicate("close\n")
    Store.open(store.folder, create=True, lease_timeout=20.0)


def test_damage_in_a_folder_named_lock_is_not_taken_for_a_lock(tmp_path: Path) -> None:
    folder = tmp_path / "lock"
    folder.mkdir()
    (folder / LEDGER_FILE).write_bytes(b"x")
    with pytest.raises(StoreError):
        Store.open(folder, create=True, lease_timeout=3600.0)


def test_a_creation_that_was_killed_is_made_good(folder: Path) -> None:
    folder.mkdir()
    (folder / f".{LEDGER_FILE}.partial").write_bytes(b"torn")
    Store.open(folder, create=True)
    assert {path.name for path in folder.iterdir()} == {LEDGER_FILE, "lease"}


@pytest.mark.parametrize(
    ("row_bytes", "rows"),
    [(0.0, 65_536), (155.0, 65_536), (1_000.0, 16_384), (2_000.0, 4_096), (4_000.0, 2_048), (1e9, 2_048)],
)
def test_large_rows_are_held_in_small_groups(folder: Path, row_bytes: float, rows: int) -> None:
    folder.mkdir()
    with open_ledger(folder, timeout=0) as connection:
        connection.execute("CREATE TABLE t AS SELECT range AS n FROM range(10000)")
    with open_ledger(folder, timeout=0, row_bytes=row_bytes) as connection:
        connection.execute("CREATE TABLE u AS SELECT range AS n FROM range(70000)")
        connection.execute("INSERT INTO t SELECT 10000 + range FROM range(20000)")
    with open_ledger(folder, timeout=0) as connection:
        [(most,)] = connection.execute(
            "SELECT max(rows)::INT FROM (SELECT sum(count) AS rows FROM pragma_storage_info('u')"
            " WHERE segment_type <> 'VALIDITY' GROUP BY row_group_id)"
        ).fetchall()
        assert most == rows
        # What was written with groups of another size stays as it is, and goes on with those of this one.
        assert connection.execute("SELECT count(*), sum(n), bool_and(n = rowid) FROM t").fetchall() == [
            (30_000, 449_985_000, True)
        ]


@pytest.mark.parametrize(("row_bytes", "is_one"), [(155.0, False), (4_000.0, True)])
def test_large_rows_are_written_by_one_thread(folder: Path, row_bytes: float, is_one: bool) -> None:
    folder.mkdir()
    with open_ledger(folder, timeout=0, row_bytes=row_bytes) as connection:
        [(threads,)] = connection.execute("SELECT current_setting('threads')").fetchall()
    assert threads == (1 if is_one else len(os.sched_getaffinity(0)))
