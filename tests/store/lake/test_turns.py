"""Several writers at a lake: one waits for another by name, and the fence holds where nobody waits."""

import signal
import subprocess
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import duckdb
import pytest

from curate.errors import CurateError, ServiceError, StoreBusyError, StoreError
from curate.store.address import LakeAddress
from curate.store.lake import connect
from curate.store.lake import ledger as ledger_module
from curate.store.lake.turns import Turns, turn_holder
from curate.store.store import Store
from curate.store.write import Commit, CursorMove, Write

Ask = Callable[..., list[dict[str, Any]]]
HOLD = """
    import sys
    from pathlib import Path
    from curate.store.address import LakeAddress
    from curate.store.lake.turns import Turns
    with Turns(LakeAddress(sys.argv[1], Path()), timeout=60.0, command="the holder of this test").take():
        print("held", flush=True)
        sys.stdin.read()
"""


def test_who_waits_too_long_hears_for_whom_and_a_dead_holder_holds_nothing(
    lake: LakeAddress, make: Any, spawn: Callable[..., "subprocess.Popen[str]"]
) -> None:
    holder = spawn(HOLD, lake.catalog)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    impatient = Store.open(lake, create=False, lease_timeout=0.3, command="pytest")
    write = Write("test", {"items": make.items(make.ids(1))})
    with pytest.raises(StoreBusyError, match="the holder of this test") as caught:
        impatient.commit(write)
    assert f"process {holder.pid} on " in caught.value.message
    assert caught.value.exit_code == 5
    assert str(holder.pid) in str(turn_holder(lake))
    with impatient.reader() as reader:
        assert reader.commit_number == 0
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    patient = Store.open(lake, create=False, lease_timeout=60.0, command="pytest")
    assert patient.commit(write).number == 1
    assert turn_holder(lake) is None


@pytest.fixture
def interrupted(lake: LakeAddress, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Write, Write], Commit]:
    """Return a function that commits a write while another writer, without a turn too, commits first some times."""
    monkeypatch.setattr(Turns, "take", lambda self: nullcontext())
    first = Store.open(lake, create=False, command="the first")

    def commit(times: int, write: Write, other: Write) -> Commit:
        store, calls = Store.open(lake, create=False, command="the other"), []
        take_fence = ledger_module.take_fence

        def interrupting(connection: duckdb.DuckDBPyConnection) -> Any:
            calls.append(1)
            if len(calls) <= times:
                with monkeypatch.context() as patch:
                    patch.setattr(ledger_module, "take_fence", take_fence)
                    first.commit(other)
            return take_fence(connection)

        monkeypatch.setattr(ledger_module, "take_fence", interrupting)
        return store.commit(write)

    return commit


def test_the_fence_makes_the_later_writer_begin_again(
    interrupted: Callable[[int, Write, Write], Commit], make: Any, ask: Ask
) -> None:
    ids = make.ids(*range(20))
    scores = Write("align", {"scores": make.scores(ids, [0.5] * 20)}, ledger=make.key, items=ids)
    items = Write("test", {"items": make.items(ids[:15])})
    assert interrupted(1, Write("test", {"items": make.items(ids)}), items).added == {"items": 5}
    assert interrupted(1, scores, scores).added == {}
    for table, count in (("items", 20), ("scores", 20), ("ledger", 20)):
        assert ask(f"SELECT count(*) AS n, count(DISTINCT item_id) AS ids FROM {table}") == [{"n": count, "ids": count}]
    assert ask("SELECT commit_number FROM commits ORDER BY 1") == [{"commit_number": n} for n in (1, 2, 3)]


def test_without_its_fence_a_lake_takes_nothing(store: Store, make: Any) -> None:
    with store._ledger.maintenance() as connection:  # type: ignore[attr-defined]
        connection.execute("DELETE FROM fences")
    with pytest.raises(StoreError, match="0 rows for commits"):
        store.commit(Write("test", {"items": make.items(make.ids(1))}))
    with store.reader() as reader:
        assert reader.manifest.counts() == {}
    assert store.address is not None
    ready = Store.open(store.address, create=True, lease_timeout=60.0, command="pytest")
    assert ready.commit(Write("test", {"items": make.items(make.ids(1))})).number == 1


def test_a_cursor_moves_once(interrupted: Callable[[int, Write, Write], Commit], make: Any, ask: Ask) -> None:
    moves = [Write("count", {"items": make.items(make.ids(n))}, [CursorMove("c", "", "", str(n))]) for n in (1, 2)]
    assert interrupted(1, moves[1], moves[0]).stale
    assert ask("SELECT position FROM cursor_positions") == [{"position": "1"}]
    assert ask("SELECT count(*) AS n FROM items") == [{"n": 1}]


def test_who_never_comes_first_stops_in_the_end(
    interrupted: Callable[[int, Write, Write], Commit], make: Any, monkeypatch: pytest.MonkeyPatch, ask: Ask
) -> None:
    monkeypatch.setattr(ledger_module, "_TRIES", 1)
    others = Write("test", {"items": make.items(make.ids(1))})
    with pytest.raises(StoreBusyError, match="came first 1 times"):
        interrupted(1, Write("test", {"items": make.items(make.ids(2))}), others)
    assert ask("SELECT count(*) AS n FROM items") == [{"n": 1}]


@pytest.fixture
def end_connections(lake: LakeAddress, postgres: Any) -> Callable[[], None]:
    """Return a function that lets the server end every connection to the lake's database, as its restart would."""

    def end() -> None:
        others = "datname = current_database() AND pid <> pg_backend_pid()"
        name = lake.catalog.split()[0].partition("=")[2]
        postgres.execute(name, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")

    return end


class TestTheServerEndsConnections:
    """A restart of PostgreSQL, or its time-outs, cost nothing but a second try."""

    def test_in_the_transaction(
        self, store: Store, end_connections: Callable[[], None], make: Any, ask: Ask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        take_fence, calls = ledger_module.take_fence, []

        def ending(connection: duckdb.DuckDBPyConnection) -> Any:
            calls.append(1)
            if len(calls) <= ledger_module._RECONNECTIONS:
                end_connections()
            return take_fence(connection)

        monkeypatch.setattr(ledger_module, "take_fence", ending)
        write = Write("test", {"items": make.items(make.ids(1)), "decisions": make.decisions(make.ids(1), "keep")})
        assert store.commit(write).added == {"items": 1, "decisions": 1}
        calls[:] = []
        monkeypatch.setattr(ledger_module, "_RECONNECTIONS", 0)
        monkeypatch.setattr(ledger_module, "take_fence", lambda connection: end_connections() or take_fence(connection))
        with pytest.raises(CurateError, match="could not be written"):
            store.commit(Write("test", {"decisions": make.decisions(make.ids(1), "drop")}))
        assert ask("SELECT action, commit_number FROM decisions") == [{"action": "keep", "commit_number": 1}]

    def test_after_the_commit_had_landed(
        self, store: Store, end_connections: Callable[[], None], make: Any, ask: Ask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inner, calls = ledger_module.apply_write, []

        def unanswered(*given: Any, **named: Any) -> Commit:
            commit = inner(*given, **named)
            calls.append(commit)
            if len(calls) == 2:
                end_connections()
                raise duckdb.TransactionException("Failed to commit: server closed the connection unexpectedly")
            return commit

        monkeypatch.setattr(ledger_module, "apply_write", unanswered)
        for number in (1, 2, 3):  # rows without a key: a batch that was added again would show
            commit = store.commit(Write("test", {"decisions": make.decisions(make.ids(1), "keep")}))
            assert (commit.number, commit.added["decisions"]) == (number, 1)
        assert len(calls) == 3
        assert ask("SELECT count(*) AS n FROM decisions") == [{"n": 3}]

    def test_while_a_turn_is_held(self, lake: LakeAddress, end_connections: Callable[[], None]) -> None:
        turns = Turns(lake, timeout=60.0, command="pytest")
        with turns.take():
            end_connections()
        with turns.take():
            assert str(turn_holder(lake)).startswith("process ")
        assert turn_holder(lake) is None


def test_a_server_that_is_gone_leaves_no_connection(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    inner = connect._connect
    monkeypatch.setattr(connect, "_connect", lambda: made.append(inner()) or made[-1])
    with pytest.raises(ServiceError):
        connect.connect_queue(LakeAddress("dbname=x host=127.0.0.1 port=1 user=x", tmp_path))
    with pytest.raises(duckdb.ConnectionException, match="closed"):
        made[0].execute("SELECT 1")
