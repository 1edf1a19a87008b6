"""Who was held out to evaluate is never trained on, near-duplicates never straddle a split, nobody changes sides."""

import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.store.snapshots import (
    Draft,
    SnapshotSpec,
    assign_split,
    draft_snapshot,
    items_before_snapshot,
    latest_snapshot,
    snapshot_row,
    snapshot_write,
)
from curate.store.snapshots.groups import components
from curate.store.store import Store
from curate.store.write import Write, rows
from curate.types import SPLITS

Add = Callable[..., int]
THIRDS = {"train": 0.4, "validation": 0.3, "test": 0.3}
HELD_OUT, MOVED = "held out to evaluate", "would change its split"


def ties(groups: Iterable[tuple[str, str]], method: str = "near") -> Any:
    """Rows that say of each first item that the second stands for it."""
    pairs = list(groups)
    columns = {"item_id": [item for item, _ in pairs], "representative": [other for _, other in pairs]}
    return rows("clusters", columns | {"method": method}, len(pairs))


def draft(store: Store, spec: SnapshotSpec, as_of: int | None = None) -> Draft:
    with store.reader() as reader:
        return draft_snapshot(reader, spec, as_of)


def freeze(store: Store, spec: SnapshotSpec) -> dict[str, str]:
    """Commit the spec's next number, and return the split of each of its items."""
    with store.reader() as reader:
        made, latest = draft_snapshot(reader, spec), latest_snapshot(reader, spec.name)
    before = latest.number if latest else 0
    assert store.commit(snapshot_write(made, before + 1, before)).number
    return splits_of(made)


def splits_of(made: Draft) -> dict[str, str]:
    return dict(zip(made.items["item_id"].to_pylist(), made.items["split"].to_pylist(), strict=True))


def ids_in(split: str, fractions: Mapping[str, float], make: Any, many: int) -> list[str]:
    """Items that a name without a past would put into this split."""
    drawn = (item for number in count() for item in make.ids(number) if assign_split(item, fractions) == split)
    return [item for item, _ in zip(drawn, range(many), strict=False)]


class TestGroups:
    """Items that say the same share a split."""

    def test_planted_near_duplicates_never_straddle(self, store: Store, add: Add, make: Any) -> None:
        ids = make.ids(*range(120))
        planted = {item: ids[number // 4 * 4] for number, item in enumerate(ids)}
        add(items=make.items(ids), clusters=ties(planted.items()))
        found: dict[str, set[str]] = defaultdict(set)
        for item, split in freeze(store, SnapshotSpec("texts", "text", splits=THIRDS)).items():
            found[planted[item]].add(split)
        assert len(found) == 30
        assert all(len(splits) == 1 for splits in found.values())
        assert set.union(*found.values()) == set(SPLITS)

    def test_the_split_is_that_of_the_smallest_of_the_group(self, store: Store, add: Add, make: Any) -> None:
        ids = sorted(make.ids(*range(40)))
        add(items=make.items(ids), clusters=ties((item, ids[number % 8]) for number, item in enumerate(ids)))
        found = splits_of(draft(store, SnapshotSpec("texts", "text", splits=THIRDS)))
        assert found == {item: assign_split(ids[number % 8], THIRDS) for number, item in enumerate(ids)}

    def test_without_clusters_the_duplicates_tie(self, store: Store, add: Add, make: Any) -> None:
        ids = make.ids(*range(30))
        tied = {"item_id": ids[1:], "duplicate_of": ids[:-1], "similarity": 1.0, "method": "old"}
        add(items=make.items(ids), duplicates=rows("duplicates", tied, 29))
        assert len(set(freeze(store, SnapshotSpec("texts", "text", splits=THIRDS)).values())) == 1

    def test_the_newest_word_counts(self, store: Store, add: Add, make: Any) -> None:
        ids = make.ids(*range(30))
        add(items=make.items(ids), clusters=ties((item, min(ids)) for item in ids))
        together = draft(store, SnapshotSpec("texts", "text", splits=THIRDS))
        assert len(set(splits_of(together).values())) == 1
        number = add(clusters=ties((item, item) for item in ids))
        apart = splits_of(draft(store, SnapshotSpec("texts", "text", splits=THIRDS)))
        assert apart == {item: assign_split(item, THIRDS) for item in ids}
        then = draft(store, SnapshotSpec("texts", "text", splits=THIRDS), as_of=number - 1)
        assert then.content_hash == together.content_hash

    @given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=30))
    def test_components_are_what_they_say(self, pairs: list[tuple[int, int]]) -> None:
        named = [(f"{one:02}", f"{other:02}") for one, other in pairs]
        found = components(named)
        assert found.keys() == {item for pair in named for item in pair}
        assert all(found[one] == found[other] for one, other in named)
        for root in found.values():
            assert root == min(item for item, other in found.items() if other == root)
        # Each group hangs together: joining it needs at least one tie less than it has items.
        assert len(set(found.values())) >= len(found) - len({frozenset(pair) for pair in named if len(set(pair)) == 2})


class TestPast:
    """What happened to an item before comes before the hash."""

    def test_who_evaluated_is_not_trained_on_under_any_name(self, store: Store, add: Add, make: Any) -> None:
        ids = make.ids(*range(60))
        add(items=make.items(ids))
        first = freeze(store, SnapshotSpec("first", "text", splits=THIRDS))
        evaluating = {item for item, split in first.items() if split != "train"}
        made = draft(store, SnapshotSpec("second", "text", splits={"train": 1.0}))
        assert set(made.items["item_id"].to_pylist()) == set(ids) - evaluating
        assert made.funnel == {"arrived": 60, HELD_OUT: len(evaluating), "selected": 60 - len(evaluating)}

    def test_nor_are_its_near_duplicates_that_come_later(self, store: Store, add: Add, make: Any) -> None:
        [held] = ids_in("test", THIRDS, make, 1)
        others = ids_in("train", THIRDS, make, 5)
        add(items=make.items([held, *others[:2]]))
        assert freeze(store, SnapshotSpec("texts", "text", splits=THIRDS))[held] == "test"
        add(items=make.items(others[2:]), clusters=ties([(held, others[4]), (others[3], others[4])]))
        made = draft(store, SnapshotSpec("texts", "text", splits=THIRDS))
        assert splits_of(made) == {
            held: "test", others[3]: "test", others[4]: "test", **dict.fromkeys(others[:3], "train")
        }  # fmt: skip
        elsewhere = draft(store, SnapshotSpec("elsewhere", "text", splits={"train": 1.0}))
        assert set(elsewhere.items["item_id"].to_pylist()) == set(others[:3])
        assert elsewhere.funnel[HELD_OUT] == 3

    def test_within_a_name_new_fractions_hold_for_what_is_new(self, store: Store, add: Add, make: Any) -> None:
        old, new = make.ids(*range(40)), make.ids(*range(40, 80))
        add(items=make.items(old))
        before = freeze(store, SnapshotSpec("texts", "text", splits={"train": 1.0}))
        add(items=make.items(new))
        made = draft(store, SnapshotSpec("texts", "text", splits=THIRDS))
        assert splits_of(made) == before | {item: assign_split(item, THIRDS) for item in new}
        assert made.staying == sum(assign_split(item, THIRDS) != "train" for item in old)

    def test_who_was_trained_on_is_left_out_where_nothing_is(self, store: Store, add: Add, make: Any) -> None:
        add(items=make.items(["a"]))
        assert freeze(store, SnapshotSpec("texts", "text", splits={"train": 1.0})) == {"a": "train"}
        made = draft(store, SnapshotSpec("texts", "text", splits={"test": 1.0}))
        assert made.funnel == {"arrived": 1, MOVED: 1, "selected": 0}
        fresh = draft(store, SnapshotSpec("a-new-name", "text", splits={"test": 1.0}))
        assert splits_of(fresh) == {"a": "test"}

    def test_groups_that_turn_out_to_be_one_keep_what_evaluates(self, store: Store, add: Add, make: Any) -> None:
        [tested], [validated], [trained] = (ids_in(s, THIRDS, make, 1) for s in ("test", "validation", "train"))
        [newcomer] = make.ids(10_000)
        add(items=make.items([tested, validated, trained]))
        spec = SnapshotSpec("texts", "text", splits=THIRDS)
        assert freeze(store, spec) == {tested: "test", validated: "validation", trained: "train"}
        add(items=make.items([newcomer]), clusters=ties([(trained, validated), (newcomer, validated)]))
        made = draft(store, spec)
        assert splits_of(made) == {tested: "test", validated: "validation"}
        assert made.funnel[MOVED] == 2
        add(clusters=ties([(tested, validated)]))
        assert splits_of(draft(store, spec)) == {tested: "test"}

    def test_who_joins_a_group_does_not_move_it(self, store: Store, add: Add, make: Any) -> None:
        spec, other = (SnapshotSpec(name, "text", splits=THIRDS) for name in ("texts", "others"))
        ids = sorted(make.ids(*range(60)))
        late, early = ids[:30], ids[30:]
        # The smallest of each early group is dropped: its id decides for those that are taken.
        pairs = list(zip(early[15:], early[:15], strict=True))
        add(items=make.items(early), clusters=ties(pairs), decisions=make.decisions(early[:15], "drop"))
        before = freeze(store, spec)
        assert before == {item: assign_split(first, THIRDS) for item, first in pairs}
        add(items=make.items(late), clusters=ties(zip(early[:15], late, strict=False)))
        for name in (spec, other):
            assert splits_of(draft(store, name)).items() >= before.items()

    def test_a_snapshot_that_came_between_voids_a_draft(self, store: Store, add: Add, make: Any) -> None:
        add(items=make.items(["a"]))
        made = draft(store, SnapshotSpec("trains", "text", splits={"train": 1.0}))
        freeze(store, SnapshotSpec("tests", "text", splits={"test": 1.0}))
        assert store.commit(snapshot_write(made, 1, 0)).stale
        assert draft(store, made.spec).funnel[HELD_OUT] == 1

    def test_an_old_moment_does_not_forget_who_evaluates(self, store: Store, add: Add, make: Any) -> None:
        number = add(items=make.items(["a"]))
        freeze(store, SnapshotSpec("tests", "text", splits={"test": 1.0}))
        assert draft(store, SnapshotSpec("trains", "text", splits={"train": 1.0}), as_of=number).funnel[HELD_OUT] == 1


class TestItemsBefore:
    """What may be looked at without labels when a snapshot was taken, whatever came later."""

    def before(self, store: Store, most: int = 100) -> list[str]:
        with store.reader() as reader:
            found: list[str] = items_before_snapshot(reader, "texts", 1, most)["item_id"].to_pylist()
            return found

    def test_only_what_could_be_trained_on(self, store: Store, add: Add, make: Any) -> None:
        trained, tested = ids_in("train", THIRDS, make, 6), ids_in("test", THIRDS, make, 2)
        add(items=make.items([*trained, *tested]), annotations=make.claims(trained[:2], "x"))
        add(decisions=make.decisions([trained[5]], "drop"))
        freeze(store, SnapshotSpec("texts", "text", label="topic", limit=1, splits=THIRDS))
        expected = sorted(trained[:5])
        assert self.before(store) == expected
        assert self.before(store, most=2) == expected[:2]
        # Later decisions, items, ties and snapshots change nothing.
        later = ids_in("train", THIRDS, make, 8)[6:]
        add(items=make.items(later), decisions=make.decisions(trained[:1], "drop"))
        add(decisions=make.decisions([trained[5]], "keep"), clusters=ties([(trained[1], tested[0])]))
        freeze(store, SnapshotSpec("others", "text", splits={"test": 1.0}))
        assert self.before(store) == expected

    def test_nothing_that_another_name_evaluates_with(self, store: Store, add: Add, make: Any) -> None:
        ids = ids_in("train", THIRDS, make, 4)
        add(items=make.items(ids[:2]))
        freeze(store, SnapshotSpec("others", "text", splits={"test": 1.0}))
        add(items=make.items(ids[2:]))
        freeze(store, SnapshotSpec("texts", "text", splits=THIRDS))
        assert self.before(store) == sorted(ids[2:])


ITEMS = [f"{number:02}" * 32 for number in range(12)]
FRACTIONS: list[dict[str, float]] = [
    {"train": 1.0}, {"test": 1.0}, {"train": 0.5, "test": 0.5}, {"train": 0.5, "validation": 0.5}, THIRDS
]  # fmt: skip
ITEM = st.sampled_from(ITEMS)
Round = tuple[list[Any], list[Any], str, dict[str, float]]
ROUNDS = st.tuples(
    st.lists(st.tuples(ITEM, ITEM), max_size=4, unique_by=lambda tie: tie[0]),
    st.lists(st.tuples(ITEM, st.sampled_from(["drop", "keep"])), max_size=3, unique_by=lambda made: made[0]),
    st.sampled_from(["one", "other"]),
    st.sampled_from(FRACTIONS),
)


@pytest.fixture(scope="session")
def fresh(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Store]:
    """Make an empty store, for tests that need many."""

    def make() -> Store:
        folder = tmp_path_factory.mktemp("fresh") / "store"
        shutil.copytree(empty_store, folder)
        return Store.open(folder, create=False)

    return make


@settings(max_examples=5, deadline=None)
@given(st.lists(ROUNDS, min_size=3, max_size=4))
def test_whatever_happens_the_rule_holds(fresh: Callable[[], Store], make: Any, rounds: list[Round]) -> None:
    check_rounds(fresh(), make, rounds)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.lists(ROUNDS, min_size=2, max_size=5))
def test_whatever_else_happens_the_rule_holds(fresh: Callable[[], Store], make: Any, rounds: list[Round]) -> None:
    check_rounds(fresh(), make, rounds)


def check_rounds(store: Store, make: Any, rounds: list[Round]) -> None:
    store.commit(Write("ingest", {"items": make.items(ITEMS)}))
    tied: dict[str, str] = {}
    evaluated: set[str] = set()
    held: dict[tuple[str, str], str] = {}
    for pairs, judged, name, fractions in rounds:
        tied |= pairs
        decisions = rows("decisions", {
            "item_id": [item for item, _ in judged], "step": "quality", "action": [action for _, action in judged],
            "reason": "",
        }, len(judged))  # fmt: skip
        store.commit(Write("work", {"clusters": ties(pairs), "decisions": decisions}))
        spec = SnapshotSpec(name, "text", splits=fractions)
        splits = freeze(store, spec)
        check_numbering(name, splits, components(tied.items()), evaluated, held)
        assert splits_of(draft(store, spec)) == splits, "a second look changes nothing"


def check_numbering(
    name: str, splits: dict[str, str], group: dict[str, str], evaluated: set[str], held: dict[tuple[str, str], str]
) -> None:
    """Check a new number against all that came before, then add it to that."""
    by_group: dict[str, set[str]] = defaultdict(set)
    for item, split in splits.items():
        by_group[group.get(item, item)].add(split)
        assert held.setdefault((name, item), split) == split, "within a name nobody changes sides"
    assert all(len(found) == 1 for found in by_group.values()), "a group straddles a split"
    barred = {group.get(item, item) for item in evaluated}
    assert not [item for item, split in splits.items() if split == "train" and group.get(item, item) in barred]
    evaluated.update(item for item, split in splits.items() if split != "train")


def test_two_names_of_one_store_come_to_rest(fresh: Callable[[], Store], make: Any) -> None:
    """With the one that trains least first, a second round finds nothing to change."""
    store = fresh()
    ids = make.ids(*range(50))
    store.commit(Write("ingest", {"items": make.items(ids)}))
    specs = [SnapshotSpec(f"n{n}", "text", splits=f) for n, f in enumerate([FRACTIONS[2], THIRDS, FRACTIONS[0]])]
    specs.sort(key=lambda spec: spec.splits.get("train", 0.0))
    first = [freeze(store, spec) for spec in specs]
    assert [splits_of(draft(store, spec)) for spec in specs] == first
    with store.reader() as reader:
        assert [
            snapshot_row(reader, found).request for s in specs if (found := latest_snapshot(reader, s.name))
        ] == specs
