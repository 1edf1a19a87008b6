"""Looking at committed snapshots: what differs between two, which there are, and which commit a time means."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import UsageError
from curate.store.snapshots import (
    Difference,
    Numbered,
    SnapshotSpec,
    commit_as_of,
    count_differences,
    differing_items,
    draft_snapshot,
    find_snapshot,
    items_before_snapshot,
    snapshot_overview,
    snapshot_write,
)
from curate.store.snapshots.absence import absences
from curate.store.store import Store
from curate.store.write import Write, rows

Add = Callable[..., int]
Content = dict[str, tuple[str | None, str]]
CONTENTS = st.dictionaries(
    st.sampled_from("abcdef"), st.tuples(st.sampled_from(["x", "y", None]), st.sampled_from(["train", "test"]))
)


def put(store: Store, number: int, *contents: Content) -> list[Numbered]:
    """Commit the items of consecutive numbers as they are given, by no rule."""
    members = [
        (number + place, item_id, label, split)
        for place, content in enumerate(contents)
        for item_id, (label, split) in content.items()
    ]
    names = ("number", "item_id", "label", "split")
    columns = {name: [member[place] for member in members] for place, name in enumerate(names)}
    table = rows("snapshot_items", {"snapshot": "s", **columns, "score": None}, len(members))
    store.commit(Write("test", {"snapshot_items": table}))
    return [Numbered("s", number + place, "", "", len(content)) for place, content in enumerate(contents)]


@settings(max_examples=8, deadline=None)
@given(one=CONTENTS, other=CONTENTS)
def test_the_way_back_is_the_way_there_turned_round(
    session_store: Store, serial: Callable[[], int], one: Content, other: Content
) -> None:
    check_both_ways(session_store, serial, one, other)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(one=CONTENTS, other=CONTENTS)
def test_every_way_back_is_the_way_there(
    session_store: Store, serial: Callable[[], int], one: Content, other: Content
) -> None:
    check_both_ways(session_store, serial, one, other)


def check_both_ways(session_store: Store, serial: Callable[[], int], one: Content, other: Content) -> None:
    number = serial()
    first, second = put(session_store, number, one, other)
    with session_store.reader() as reader:
        there, back = count_differences(reader, first, second), count_differences(reader, second, first)
        items = differing_items(reader, first, second).read_all().to_pylist()
        turned = differing_items(reader, second, first).read_all().to_pylist()
    assert there == Difference(
        came=len(other.keys() - one.keys()),
        went=len(one.keys() - other.keys()),
        relabelled=sum(one[item][0] != other[item][0] for item in one.keys() & other.keys()),
        moved=sum(one[item][1] != other[item][1] for item in one.keys() & other.keys()),
        unchanged=sum(one[item] == other[item] for item in one.keys() & other.keys()),
    )
    assert back == Difference(there.went, there.came, there.relabelled, there.moved, there.unchanged)
    assert [turn(row) for row in turned] == items
    changes = Counter(row["change"] for row in items)
    assert (changes["came"], changes["went"]) == (there.came, there.went)
    assert {row["item_id"]: (row["label_after"], row["split_after"]) for row in items if row["change"] != "went"} == {
        item: value for item, value in other.items() if one.get(item) != value
    }


def turn(row: dict[str, Any]) -> dict[str, Any]:
    other = {"came": "went", "went": "came", "changed": "changed"}
    before = {f"{name}_before": row[f"{name}_after"] for name in ("label", "split")}
    after = {f"{name}_after": row[f"{name}_before"] for name in ("label", "split")}
    return row | before | after | {"change": other[row["change"]]}


@pytest.fixture(scope="session")
def session_store(empty_store: Any, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One store for many examples, which take numbers of their own."""
    return Store.open(tmp_path_factory.mktemp("session") / "store", create=True)


@pytest.fixture(scope="session")
def serial() -> Callable[[], int]:
    numbers = iter(range(1, 10_000, 2))
    return lambda: next(numbers)


def freeze(store: Store, spec: SnapshotSpec, number: int) -> int:
    with store.reader() as reader:
        made = draft_snapshot(reader, spec)
    commit = store.commit(snapshot_write(made, number, number - 1)).number
    assert commit is not None
    return commit


class TestNumbers:
    """Committed snapshots by name and number."""

    def test_they_are_listed_with_their_commits(self, store: Store, add: Add, make: Any) -> None:
        add(items=make.items(["a"]))
        commits = [freeze(store, SnapshotSpec("texts", "text"), 1)]
        add(items=make.items(["b"]))
        commits += [freeze(store, SnapshotSpec("texts", "text"), 2), freeze(store, SnapshotSpec("others", "text"), 1)]
        with store.reader() as reader:
            listed = snapshot_overview(reader)
            assert [row["number"] for row in snapshot_overview(reader, "others")] == [1]
        assert [(row["snapshot"], row["number"], row["size"], row["commit_number"]) for row in listed] == [
            ("others", 1, 2, commits[2]), ("texts", 1, 1, commits[0]), ("texts", 2, 2, commits[1])
        ]  # fmt: skip
        assert [row["as_of"] for row in listed] == [row["commit_number"] - 1 for row in listed]
        assert all(datetime.fromisoformat(row["committed_at"]).tzinfo for row in listed)

    def test_an_unknown_one_is_named(self, store: Store, add: Add, make: Any) -> None:
        add(items=make.items(["a"]))
        freeze(store, SnapshotSpec("texts", "text"), 1)
        with store.reader() as reader:
            assert find_snapshot(reader, "texts", 1).size == 1
            for ask in (
                lambda: find_snapshot(reader, "texts", 7),
                lambda: items_before_snapshot(reader, "texts", 7, 1),
            ):
                with pytest.raises(UsageError, match=r"there is no snapshot 'texts' 7: its numbers go from 1 to 1"):
                    ask()
            with pytest.raises(UsageError, match="none has this name"):
                find_snapshot(reader, "text", 1)


class TestMoments:
    """A commit's number, or the last commit at or before a time."""

    def ask(self, store: Store, moment: str) -> int:
        with store.reader() as reader:
            return commit_as_of(reader, moment)

    @pytest.fixture
    def times(self, store: Store, add: Add, make: Any, ask: Callable[..., list[dict[str, Any]]]) -> list[datetime]:
        for number in range(3):
            add(items=make.items([f"i{number}"]))
        return [row["t"] for row in ask("SELECT committed_at::TIMESTAMP AS t FROM commits ORDER BY commit_number")]

    def test_numbers(self, store: Store, times: list[datetime]) -> None:
        assert self.ask(store, "1") == 1
        assert self.ask(store, "3") == 3
        for outside in ("0", "4"):
            with pytest.raises(UsageError, match=f"there is no commit {outside}: the store's commits go from 1 to 3"):
                self.ask(store, outside)

    def test_times(self, store: Store, times: list[datetime]) -> None:
        assert [self.ask(store, time.isoformat()) for time in times] == [1, 2, 3]
        assert self.ask(store, times[1].isoformat() + "+00:00") == 2
        assert self.ask(store, times[2].isoformat() + "-14:00") == 3
        assert self.ask(store, "9999-01-01") == 3
        for early in ("1999-12-31", times[0].isoformat() + "+14:00"):
            with pytest.raises(UsageError, match="nothing had been committed yet"):
                self.ask(store, early)

    @pytest.mark.parametrize("moment", ["yesterday", "", "-1", "1.5", "2026-13-01", "٣"])
    def test_anything_else_is_refused(self, store: Store, times: list[datetime], moment: str) -> None:
        with pytest.raises(UsageError, match="neither a commit's number nor a time"):
            self.ask(store, moment)


class TestAbsences:
    """What `why` says beyond the rules of choice."""

    def test_who_would_change_sides(self, store: Store, add: Add, make: Any) -> None:
        add(items=make.items(["a", "b"]), annotations=make.claims(["a"], "x"))
        freeze(store, SnapshotSpec("texts", "text", label="topic", splits={"train": 1.0}), 1)
        freeze(store, SnapshotSpec("texts", "text", splits={"test": 1.0}), 2)
        with store.reader() as reader:
            [absent] = absences(reader, "a")
        assert absent["reason"] == (
            "it would be in test now, and an earlier number held it or a near-duplicate of it in train"
        )

    def test_a_near_duplicate_of_an_evaluation_item(self, store: Store, add: Add, make: Any) -> None:
        add(items=make.items(["a"]))
        freeze(store, SnapshotSpec("tests", "text", splits={"test": 1.0}), 1)
        tie = {"item_id": ["c", "b"], "representative": ["b", "a"], "method": "near"}
        add(items=make.items(["b", "c", "d"]), clusters=rows("clusters", tie))
        freeze(store, SnapshotSpec("trains", "text", splits={"train": 1.0}), 1)
        with store.reader() as reader:
            reasons = [found["reason"] for found in absences(reader, "c") if found["snapshot"] == "trains"]
            assert [found["snapshot"] for found in absences(reader, "d")] == ["tests"]
        assert reasons == ["it would be trained on, and it or a near-duplicate of it evaluates in snapshot tests 1"]

    def test_decisions_that_were_asked_for(self, store: Store, add: Add, make: Any) -> None:
        add(items=make.items(["a", "b", "c"]), decisions=make.decisions(["a"], "query", step="gate"))
        add(decisions=make.decisions(["b"], "keep", step="gate"))
        freeze(store, SnapshotSpec("texts", "text", decisions={"gate": ("keep", "skip")}), 1)
        with store.reader() as reader:
            reasons = [absences(reader, item)[0]["reason"] for item in "ac"]
        assert reasons == [
            "the decision of 'gate' about it was query, and keep or skip is asked for",
            "the decision of 'gate' about it was none, and keep or skip is asked for",
        ]
