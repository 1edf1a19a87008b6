"""How a step goes through what is pending: a large commit in several batches, whose borders survive a kill."""

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow as pa
import pytest

from curate.flows.project import Project
from curate.flows.steps.ahead import read_ahead
from curate.flows.steps.base import ItemWork, Outcome, count_pending, run_over_items
from curate.settings import Settings
from curate.store.work import cursor
from curate.store.write import LedgerKey, Write, rows
from curate.types import SilentProgress

KEY = LedgerKey("score", "1", "p")
LONGEST_WAIT = 20.0


def scores(items: pa.Table) -> Outcome:
    columns = {"item_id": items["item_id"], "selector": "s", "selector_version": "1", "target": "", "score": 1.0}
    return Outcome({"scores": rows("scores", columns, len(items))})


class Bench:
    """A store with one commit of seven items and one of two, and a step over them that notes its batches."""

    def __init__(self, folder: Path) -> None:
        self.project = Project(folder, Settings(), "test")
        self.batches: list[list[str]] = []
        for ids in ("gfedcba", "ih"):
            content = {"modality": "text", "image": None, "events": None, "time_unit": None, "size": 1}
            items = rows("items", {"item_id": list(ids), "text": list(ids), **content})
            self.project.store.commit(Write("ingest", {"items": items}))

    def run(self, compute: Callable[[pa.Table], Outcome] = scores) -> tuple[int, int]:
        def noted(items: pa.Table) -> Outcome:
            outcome = compute(items)
            self.batches.append(items["item_id"].to_pylist())
            return outcome

        return run_over_items(self.project, SilentProgress(), ItemWork(KEY, ["text"], noted, rows=3, most=3))

    def position(self) -> str:
        with self.project.reader() as reader:
            return cursor(reader, KEY.consumer)

    def scored(self) -> list[str]:
        with self.project.reader() as reader:
            ids: list[str] = reader.query("SELECT item_id FROM scores ORDER BY ALL")["item_id"].to_pylist()
        return ids


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


class TestLargeCommits:
    def test_one_is_done_in_several_batches(self, bench: Bench) -> None:
        assert bench.run() == (9, 0)
        assert bench.batches == [["a", "b", "c"], ["d", "e", "f"], ["g", "h", "i"]]
        assert bench.position() == "2"
        assert bench.scored() == list("abcdefghi")

    def test_the_borders_are_the_same_after_a_failure(self, bench: Bench) -> None:
        def failing(items: pa.Table) -> Outcome:
            if "d" in items["item_id"].to_pylist():
                raise RuntimeError("power cut")
            return scores(items)

        with pytest.raises(RuntimeError, match="power cut"):
            bench.run(failing)
        assert (bench.position(), bench.scored()) == ("0+1", ["a", "b", "c"])
        assert count_pending(bench.project, KEY, ["text"]) == 6
        assert bench.run() == (6, 0)
        assert bench.batches == [["a", "b", "c"], ["d", "e", "f"], ["g", "h", "i"]]

    def test_a_batch_that_another_process_did_meanwhile_is_void(self, bench: Bench) -> None:
        def slower(items: pa.Table) -> Outcome:
            if bench.position() == "":
                other = run_over_items(bench.project, SilentProgress(), ItemWork(KEY, ["text"], scores, rows=3))
                assert other == (9, 0)
            return scores(items)

        assert bench.run(slower) == (0, 0)
        assert bench.scored() == list("abcdefghi")


class TestReadAhead:
    def test_everything_comes_in_order_and_one_is_made_in_advance(self) -> None:
        begun: list[int] = []
        second = Event()

        def count() -> Any:
            for number in range(4):
                begun.append(number)
                if number == 1:
                    second.set()
                yield number

        ahead = read_ahead(count())
        assert next(ahead) == 0
        assert second.wait(LONGEST_WAIT)
        assert begun == [0, 1]
        assert list(ahead) == [1, 2, 3]

    def test_an_error_comes_behind_what_was_made_before(self) -> None:
        def fail() -> Any:
            yield 1
            raise ValueError("broken")

        ahead = read_ahead(fail())
        assert next(ahead) == 1
        with pytest.raises(ValueError, match="broken"):
            next(ahead)

    def test_who_stops_early_closes_the_source(self) -> None:
        closed = Event()

        def endless() -> Any:
            try:
                while True:
                    yield 1
            finally:
                closed.set()

        ahead = read_ahead(endless())
        next(ahead)
        ahead.close()
        assert closed.is_set()
