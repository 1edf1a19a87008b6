"""Several processes at once: nothing is lost, nothing comes twice, and the numbers have no gaps."""

import subprocess
from collections.abc import Callable
from typing import Any

from curate.store.store import Store

Spawn = Callable[..., subprocess.Popen[str]]
Ask = Callable[..., list[dict[str, Any]]]
BEGIN = """
    import sys
    from pathlib import Path
    from curate.store.store import Store
    from curate.store.write import CursorMove, LedgerKey, Write, rows
    folder, name = Path(sys.argv[1]), sys.argv[2]
    store = Store.open(folder, create=True, lease_timeout=60.0, command=name)

    def scores(ids):
        return rows("scores", {"item_id": ids, "selector": name, "selector_version": "1", "target": "t", "score": 1.0})

    print("ready", flush=True)
    sys.stdin.readline()
"""
OWN_ROWS = (
    BEGIN
    + """
    for number in range(int(sys.argv[3])):
        ids = [f"{name}-{number}-{row}" for row in range(3)] + ["shared"]
        assert store.commit(Write("align", {"scores": scores(ids)})).number is not None
"""
)
SAME_WORK = (
    BEGIN
    + """
    name, key = "align", LedgerKey("align", "1", "p")
    for number in range(int(sys.argv[3])):
        ids = [f"{number}-{row}" for row in range(3)]
        added = store.commit(Write("align", {"scores": scores(ids)}, (), key, ids)).added
        assert added in ({}, {"scores": 3, "ledger": 3}), added
"""
)
ONE_CURSOR = (
    BEGIN
    + """
    won = 0
    while won < int(sys.argv[3]):
        with store.reader() as reader:
            found = reader.query("SELECT position FROM cursor_positions WHERE consumer = 'count'")
        before = found["position"][0].as_py() if len(found) else ""
        move = CursorMove("count", "", before, str(int(before or 0) + 1))
        won += not store.commit(Write("count", cursors=[move])).stale
"""
)
PROCESSES, COMMITS = 3, 5


def run_together(spawn: Spawn, script: str, store: Store) -> None:
    children = [spawn(script, store.folder, f"writer{number}", COMMITS) for number in range(PROCESSES)]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    assert [child.wait() for child in children] == [0] * PROCESSES


def numbers(ask: Ask) -> list[int]:
    return [row["commit_number"] for row in ask("SELECT commit_number FROM commits ORDER BY 1")]


def test_every_row_of_every_process_arrives_once(store: Store, spawn: Spawn, ask: Ask) -> None:
    run_together(spawn, OWN_ROWS, store)
    assert numbers(ask) == list(range(1, PROCESSES * COMMITS + 1))
    counts = ask("SELECT count(*) AS n, count(DISTINCT (selector, item_id)) AS distinct_rows FROM scores")
    assert counts == [{"n": PROCESSES * (COMMITS * 3 + 1), "distinct_rows": PROCESSES * (COMMITS * 3 + 1)}]
    assert len(ask("SELECT run_id FROM runs")) == PROCESSES


def test_the_same_work_is_done_once(store: Store, spawn: Spawn, ask: Ask) -> None:
    run_together(spawn, SAME_WORK, store)
    assert numbers(ask) == list(range(1, COMMITS + 1))
    assert ask("SELECT count(*) AS n FROM scores") == [{"n": COMMITS * 3}]
    assert ask("SELECT count(*) AS n FROM ledger") == [{"n": COMMITS * 3}]


def test_a_cursor_counts_every_success_once(store: Store, spawn: Spawn, ask: Ask) -> None:
    run_together(spawn, ONE_CURSOR, store)
    moves = ask("SELECT position FROM cursors ORDER BY commit_number")
    assert [int(row["position"]) for row in moves] == list(range(1, PROCESSES * COMMITS + 1))
