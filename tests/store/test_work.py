"""What is left to do: the same batches after any restart, nothing twice, nothing forgotten."""

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.store.store import Store
from curate.store.work import (
    Span,
    batches,
    count_settled,
    cursor,
    cursors,
    pending_items,
    pending_sample,
    pending_spans,
)
from curate.store.write import CursorMove, LedgerKey, Write

Add = Callable[..., int]
KEY = LedgerKey("align", "1", "p")
TEXT = ("text",)


def spans(store: Store, rows: int = 100, after: int = 0) -> list[Span]:
    with store.reader() as reader:
        return pending_spans(reader, KEY, TEXT, after, rows)


def pending(store: Store, after: int = 0) -> list[str]:
    """All pending items, batch by batch."""
    with store.reader() as reader:
        parts = [
            pending_items(reader, KEY, TEXT, after, span, 100) for span in pending_spans(reader, KEY, TEXT, after, 2)
        ]
    return [item for part in parts for item in part["item_id"].to_pylist()]


def position(store: Store) -> str:
    with store.reader() as reader:
        return cursor(reader, KEY.consumer)


def settle(store: Store, ids: Sequence[str], last: int) -> None:
    """Commit a batch as a step does."""
    move = CursorMove(KEY.consumer, "", position(store), str(last))
    assert not store.commit(Write("align", {}, [move], KEY, ids)).stale


@settings(max_examples=6)
@given(
    sizes=st.lists(st.integers(0, 7), min_size=1, max_size=6),
    dropped=st.sets(st.integers(0, 30), max_size=6),
    rows=st.integers(1, 10),
    stop=st.integers(0, 3),
)
def test_borders_are_the_same_after_a_restart(
    make: Any, sizes: list[int], dropped: set[int], rows: int, stop: int
) -> None:
    with TemporaryDirectory() as place:
        store = Store.open(Path(place), create=True)
        edges = [0, *accumulate(sizes)]
        for first, end in pairwise(edges):
            ids = make.ids(*range(first, end))
            store.commit(Write("ingest", {"items": make.items(ids), "scores": make.scores([f"at {end}"], 1.0)}))
        store.commit(Write("dedup", {"decisions": make.decisions(make.ids(*dropped), "drop")}))
        undisturbed = spans(store, rows)
        assert sum(span.items for span in undisturbed) == len(set(range(edges[-1])) - dropped)
        for number, span in enumerate(undisturbed[:stop]):
            after = int(position(store) or 0)
            with store.reader() as reader:
                ids = pending_items(reader, KEY, TEXT, after, span, 100)["item_id"].to_pylist()
            assert len(ids) == span.items
            settle(store, ids, span.last)
            assert spans(Store.open(store.folder, create=True), rows, span.last) == undisturbed[number + 1 :]


def test_commits_are_joined_up_to_the_rows_asked_for(store: Store, add: Add, make: Any) -> None:
    for first, size in [(0, 2), (10, 3), (20, 1), (30, 7), (40, 1)]:
        add(items=make.items(make.ids(*range(first, first + size))))
    assert spans(store, 5) == [Span(1, 2, 5), Span(3, 3, 1), Span(4, 4, 7), Span(5, 5, 1)]
    assert spans(store, 6) == [Span(1, 3, 6), Span(4, 4, 7), Span(5, 5, 1)]
    assert spans(store, 5, after=3) == [Span(4, 4, 7), Span(5, 5, 1)]


def test_items_come_whole_in_the_order_of_commit_and_id(store: Store, add: Add, make: Any) -> None:
    add(items=make.items(["c", "b"], text=["C", "B"]))
    add(items=make.items(["a"]))
    [span] = spans(store)
    with store.reader() as reader:
        found = pending_items(reader, KEY, TEXT, 0, span, 100)
    assert found.select(["item_id", "text"]).slice(0, 2).to_pylist() == [
        {"item_id": "b", "text": "B"},
        {"item_id": "c", "text": "C"},
    ]
    assert found["item_id"][2].as_py() == "a"
    assert found.column_names == ["item_id", "modality", "text", "image", "events"]


def test_other_modalities_are_not_pending(store: Store, add: Add, make: Any) -> None:
    add(items=make.items(["a"], "image", image=[b"x"]))
    assert spans(store) == []
    with store.reader() as reader:
        assert [span.items for span in pending_spans(reader, KEY, ["text", "image"], 0, 9)] == [1]


def test_dropped_and_settled_items_are_not_pending(store: Store, add: Add, make: Any) -> None:
    add(items=make.items(["a", "b", "c"]))
    add(decisions=make.decisions(["b"], "drop"))
    assert pending(store) == ["a", "c"]
    store.commit(Write("align", {}, (), KEY, ["a"]))
    assert pending(store) == ["c"]
    with store.reader() as reader:
        assert pending_spans(reader, LedgerKey("align", "2", "p"), TEXT, 0, 9)[0].items == 2


def test_an_item_that_is_kept_after_all_is_pending_again(store: Store, add: Add, make: Any) -> None:
    add(items=make.items(["a", "b"]))
    add(decisions=make.decisions(["b"], "drop"))
    settle(store, ["a"], 2)
    assert pending(store, after=2) == []
    number = add(decisions=make.decisions(["a", "b"], "keep"))
    assert pending(store, after=2) == ["b"]
    settle(store, ["b"], number)
    assert pending(store, after=number) == []


def test_an_item_that_another_step_drops_stays_out(store: Store, add: Add, make: Any) -> None:
    add(items=make.items(["a"]))
    add(decisions=make.decisions(["a"], "drop"))
    add(decisions=make.decisions(["a"], "keep", step="ingest"))
    assert pending(store) == []
    assert pending(store, after=1) == []


class TestSample:
    """A sample is chosen by a hash: it does not move and does not grow."""

    def sample(self, store: Store, size: int) -> list[str]:
        with store.reader() as reader:
            found: list[str] = pending_sample(reader, KEY, TEXT, size)["item_id"].to_pylist()
            return found

    def test_what_is_settled_counts(self, store: Store, add: Add, make: Any) -> None:
        add(items=make.items(make.ids(*range(20))))
        chosen = self.sample(store, 5)
        assert len(set(chosen)) == 5
        assert self.sample(store, 8)[:5] == chosen
        store.commit(Write("annotate", {}, (), KEY, chosen[:2]))
        assert self.sample(store, 5) == chosen[2:]
        store.commit(Write("annotate", {}, (), KEY, chosen[2:]))
        add(items=make.items(make.ids(*range(20, 40))))
        assert self.sample(store, 5) == []
        assert self.sample(store, 3) == []
        with store.reader() as reader:
            assert count_settled(reader, KEY) == 5

    def test_it_does_not_depend_on_the_order_of_arrival(
        self, store: Store, add: Add, make: Any, tmp_path: Path
    ) -> None:
        add(items=make.items(make.ids(*range(12))))
        other = Store.open(tmp_path / "other", create=True)
        for number in reversed(range(12)):
            other.commit(Write("ingest", {"items": make.items(make.ids(number))}))
        assert self.sample(other, 5) == self.sample(store, 5)

    def test_a_small_store_is_taken_whole(self, store: Store, add: Add, make: Any) -> None:
        add(items=make.items(["a", "b"]))
        add(decisions=make.decisions(["a"], "drop"))
        assert self.sample(store, 5) == ["b"]


def test_cursors_are_found_by_consumer_and_key(store: Store) -> None:
    moves = [CursorMove("ingest/web", "a.txt", "", "1"), CursorMove("ingest/web", "b.txt", "", "2")]
    store.commit(Write("ingest", cursors=moves))
    store.commit(Write("ingest", cursors=[CursorMove("ingest/web", "a.txt", "1", "3")]))
    with store.reader() as reader:
        assert cursors(reader, "ingest/web") == {"a.txt": "3", "b.txt": "2"}
        assert cursor(reader, "ingest/web", "a.txt") == "3"
        assert cursor(reader, "ingest/web") == ""
        assert cursors(reader, "other") == {}


@pytest.mark.parametrize(("length", "sizes"), [(0, []), (4, [4]), (9, [4, 4, 1])])
def test_a_table_is_cut(length: int, sizes: list[int]) -> None:
    table = pa.table({"number": list(range(length))})
    cut = list(batches(table, 4))
    assert [len(part) for part in cut] == sizes
    assert [number for part in cut for number in part["number"].to_pylist()] == list(range(length))
