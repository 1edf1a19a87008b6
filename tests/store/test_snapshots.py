"""Snapshots: a function of what the store holds, whoever put it there in which order."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.store.snapshots import (
    Draft,
    Numbered,
    SnapshotSpec,
    assign_split,
    content_hash,
    draft_snapshot,
    latest_snapshot,
    list_snapshots,
    snapshot_items,
    snapshot_row,
    snapshot_write,
    spec_hash,
)
from curate.store.store import Store
from curate.store.write import Write, rows
from curate.types import SPLITS

Add = Callable[..., int]
LABELLED = SnapshotSpec("texts", "text", label="topic")
RANKED = SnapshotSpec("texts", "text", order_by="align")
ALL = {"train": 1.0}
_STORABLE = st.text(st.characters(exclude_categories=["Cs"]))
_HASHED = pa.schema([(name, pa.string()) for name in ("item_id", "label", "split")])


def draft(store: Store, spec: SnapshotSpec) -> Draft:
    with store.reader() as reader:
        return draft_snapshot(reader, spec)


def chosen(store: Store, spec: SnapshotSpec) -> list[str]:
    found: list[str] = draft(store, spec).items["item_id"].to_pylist()
    return found


def freeze(store: Store, spec: SnapshotSpec) -> Numbered:
    """Commit the spec's next number."""
    with store.reader() as reader:
        latest = latest_snapshot(reader, spec.name)
    before = latest.number if latest else 0
    assert store.commit(snapshot_write(draft(store, spec), before + 1, before)).number
    with store.reader() as reader:
        frozen = latest_snapshot(reader, spec.name)
    assert frozen is not None
    return frozen


def increment(store: Store, number: int, after: int | None) -> list[str]:
    with store.reader() as reader:
        found: list[str] = snapshot_items(reader, "texts", number, SPLITS, after)["item_id"].to_pylist()
        return found


class TestContent:
    """Equal content has an equal hash, and only equal content."""

    def test_the_order_of_arrival_does_not_matter(self, store: Store, add: Add, make: Any, tmp_path: Path) -> None:
        ids = make.ids(*range(8))
        add(items=make.items(ids), annotations=make.claims(ids, "a"), scores=make.scores(ids, list(range(8))))
        other = Store.open(tmp_path / "other", create=True, command="another run")
        for item, score in reversed(list(zip(ids, range(8), strict=True))):
            tables = {"annotations": make.claims([item], "a"), "scores": make.scores([item], score)}
            other.commit(Write("all", tables))
            other.commit(Write("ingest", {"items": make.items([item])}))
        spec = SnapshotSpec("texts", "text", label="topic", order_by="align", limit=5)
        one, two = draft(store, spec), draft(other, spec)
        assert one.content_hash == two.content_hash
        assert one.items.equals(two.items)
        assert one.funnel == two.funnel

    @pytest.mark.parametrize(
        "change",
        [{"item_id": ["a", "c"]}, {"label": ["x", None]}, {"label": ["x", ""]}, {"split": ["train", "train"]}],
        ids=["id", "no label", "empty label", "split"],
    )
    def test_any_difference_shows(self, change: dict[str, Any]) -> None:
        content = {"item_id": ["a", "b"], "label": ["x", "y"], "split": ["train", "test"]}
        assert content_hash(pa.table(content)) != content_hash(pa.table(content | change))
        backwards = {name: values[::-1] for name, values in content.items()}
        assert content_hash(pa.table(content)) == content_hash(pa.table(backwards))

    def test_no_label_is_not_the_empty_label(self) -> None:
        without, empty = ({"item_id": ["a"], "label": pa.array([label], pa.string())} for label in (None, ""))
        split = {"split": ["train"]}
        assert content_hash(pa.table(without | split)) != content_hash(pa.table(empty | split))

    def test_a_label_cannot_pass_for_another_item(self) -> None:
        one = pa.table({"item_id": ["a"], "label": ["x\ttrain\nb\ty"], "split": ["train"]})
        two = pa.table({"item_id": ["a", "b"], "label": ["x", "y"], "split": ["train", "train"]})
        assert content_hash(one) != content_hash(two)

    def test_it_is_that_of_the_sorted_lines(self, make: Any) -> None:
        ids = make.ids(*range(3))
        columns = {"item_id": ids, "label": ["é", None, ""], "split": ["train", "test", "train"]}
        lines = sorted(json.dumps(row) + "\n" for row in zip(*columns.values(), strict=True))
        assert content_hash(pa.table(columns)) == hashlib.sha256("".join(lines).encode()).hexdigest()

    def test_specs_differ_by_content(self) -> None:
        assert spec_hash(LABELLED) == spec_hash(SnapshotSpec("texts", "text", label="topic"))
        assert spec_hash(LABELLED) != spec_hash(RANKED)


class TestSplits:
    """An item's split is a function of its id."""

    @given(st.text(), st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3).filter(any))
    def test_every_item_has_one(self, item: str, weights: list[float]) -> None:
        splits = {name: weight / math.fsum(weights) for name, weight in zip(SPLITS, weights, strict=True)}
        assert assign_split(item, splits) == assign_split(item, splits) in SPLITS

    def test_fractions_are_kept(self, make: Any) -> None:
        counts = Counter(assign_split(item, LABELLED.splits) for item in make.ids(*range(10_000)))
        assert counts["train"] == pytest.approx(8_000, abs=200)
        assert counts["test"] == pytest.approx(1_000, abs=150)

    def test_a_larger_test_split_gives_none_away(self, make: Any) -> None:
        for item in make.ids(*range(500)):
            if assign_split(item, {"train": 0.8, "validation": 0.1, "test": 0.1}) == "test":
                assert assign_split(item, {"train": 0.5, "validation": 0.2, "test": 0.3}) == "test"

    def test_an_item_does_not_move_when_data_arrive(self, store: Store, add: Add, make: Any) -> None:
        def splits() -> dict[str, str]:
            items = draft(store, SnapshotSpec("texts", "text")).items
            return dict(zip(items["item_id"].to_pylist(), items["split"].to_pylist(), strict=True))

        add(items=make.items(make.ids(*range(50))))
        before = splits()
        add(items=make.items(make.ids(*range(50, 90))))
        assert splits() | before == splits()


class TestChoice:
    """Which items a snapshot holds, and why the rest is out."""

    def test_the_best_come_first_up_to_the_limit(self, store: Store, add: Add, make: Any) -> None:
        add(items=make.items(["a", "b", "c", "d", "e"]), scores=make.scores(["a", "b", "c", "d"], [0.1, 0.5, 0.5, 0.9]))
        add(scores=make.scores(["e"], math.nan))
        assert chosen(store, RANKED) == ["d", "b", "c", "a"]
        limited = draft(store, SnapshotSpec("texts", "text", order_by="align", limit=2))
        assert limited.items["item_id"].to_pylist() == ["d", "b"]
        assert limited.funnel == {"arrived": 5, "no score": 1, "below the cut": 2, "selected": 2}

    def test_the_newest_score_counts(self, store: Store, add: Add, make: Any) -> None:
        add(items=make.items(["a", "b"]), scores=make.scores(["a", "b"], [0.1, 0.5], version="9"))
        add(scores=make.scores(["a"], 0.7, version="1"))
        assert chosen(store, RANKED) == ["a", "b"]

    def test_dropped_items_are_out(self, store: Store, add: Add, make: Any) -> None:
        add(items=make.items(["a", "b", "c"]), decisions=make.decisions(["a"], "drop", reason="copy of b"))
        add(annotations=make.claims(["a", "b"], "x"))
        found = draft(store, LABELLED)
        assert found.items["item_id"].to_pylist() == ["b"]
        assert found.funnel == {"arrived": 3, "dropped: copy of b": 1, "no label": 1, "selected": 1}
        add(decisions=make.decisions(["a"], "keep"))
        assert chosen(store, LABELLED) == ["a", "b"]

    @pytest.mark.parametrize("actions", [("drop", "keep"), ("keep", "drop")])
    def test_of_two_decisions_in_one_commit_the_drop_counts(
        self, store: Store, add: Add, make: Any, actions: tuple[str, str]
    ) -> None:
        both = [make.decisions(["a"], action, reason="either") for action in actions]
        add(items=make.items(["a", "b"]), decisions=pa.concat_tables(both), annotations=make.claims(["a", "b"], "x"))
        assert draft(store, LABELLED).items["item_id"].to_pylist() == ["b"]

    def test_sources_and_modality_bound_it(self, store: Store, add: Add, make: Any) -> None:
        add(items=make.items(["a", "b", "c"]), origins=make.origins(["a", "b"], "web"))
        add(origins=make.origins(["b", "c"], "books"))
        add(items=make.items(["i"], "image", image=[b"x"]), origins=make.origins(["i"], "web"))
        assert chosen(store, SnapshotSpec("texts", "text", sources=("web",))) == ["a", "b"]
        assert chosen(store, SnapshotSpec("texts", "text", sources=("web", "books"))) == ["a", "b", "c"]
        assert chosen(store, SnapshotSpec("pictures", "image")) == ["i"]
        assert draft(store, SnapshotSpec("texts", "text", sources=("web",))).funnel == {"arrived": 2, "selected": 2}

    def test_trust_decides_between_claims(self, store: Store, add: Add, make: Any) -> None:
        add(items=make.items(["a"]), annotations=make.claims(["a"], "sure", annotator="z", confidence=0.9))
        add(annotations=make.claims(["a"], "unsure", annotator="y", confidence=0.3))
        self.expect(store, "sure")
        add(annotations=make.claims(["a"], "source", annotator="web", kind="source", confidence=0.1))
        self.expect(store, "source")
        add(annotations=make.claims(["a"], "person", annotator="ann", kind="human", confidence=0.1))
        self.expect(store, "person")
        self.expect(store, "unsure", "y")
        self.expect(store, "sure", "nobody", "z", "y")

    def test_the_newer_of_equal_claims_counts(self, store: Store, add: Add, make: Any) -> None:
        add(items=make.items(["a"]), annotations=make.claims(["a"], "old"))
        add(annotations=make.claims(["a"], "new", annotator_version="2"))
        self.expect(store, "new")

    def expect(self, store: Store, label: str, *trusted: str) -> None:
        spec = SnapshotSpec("texts", "text", label="topic", annotators=trusted)
        assert draft(store, spec).items["label"].to_pylist() == [label]

    def test_the_funnel_adds_up(self, store: Store, add: Add, make: Any) -> None:
        ids = make.ids(*range(40))
        add(items=make.items(ids), annotations=make.claims(ids[:25], "x"), scores=make.scores(ids[5:35], 0.5))
        add(decisions=make.decisions(ids[:10], "drop", reason="one"))
        add(decisions=make.decisions(ids[8:12], "drop", step="other", reason="two"))
        for limit in (0, 3, 100):
            spec = SnapshotSpec("texts", "text", label="topic", order_by="align", limit=limit)
            funnel = dict(draft(store, spec).funnel)
            assert funnel.pop("arrived") == 40
            assert sum(funnel.values()) == 40
            assert funnel["selected"] == (limit if limit == 3 else 13)


class TestNumbers:
    """Committed snapshots are immutable and numbered from 1."""

    def test_what_is_committed_is_found(self, store: Store, add: Add, make: Any) -> None:
        add(items=make.items(["a", "b"]), annotations=make.claims(["a"], "x"))
        first = draft(store, LABELLED)
        frozen = freeze(store, LABELLED)
        assert frozen == Numbered("texts", 1, first.content_hash, spec_hash(LABELLED), 1)
        with store.reader() as reader:
            row = snapshot_row(reader, frozen)
        assert (row.modality, row.funnel, row.as_of) == ("text", first.funnel, first.as_of)
        assert row.spec["label"] == "topic"

    def test_unchanged_content_has_an_unchanged_hash(self, store: Store, add: Add, make: Any) -> None:
        add(items=make.items(["a"]), annotations=make.claims(["a"], "x"))
        frozen = freeze(store, LABELLED)
        add(items=make.items(["unlabelled"]), origins=make.origins(["a"], "elsewhere"))
        assert draft(store, LABELLED).content_hash == frozen.content_hash

    def test_two_runs_cannot_take_one_number(self, store: Store, add: Add, make: Any) -> None:
        add(items=make.items(["a"]))
        write = snapshot_write(draft(store, SnapshotSpec("texts", "text")), 1, 0)
        assert store.commit(write).number is not None
        assert store.commit(write).stale

    def test_increments_are_disjoint_and_complete(self, store: Store, add: Add, make: Any) -> None:
        met: list[str] = []
        for number, size in enumerate((3, 0, 4, 1), start=1):
            add(
                items=make.items(make.ids(*range(10 * number, 10 * number + size))),
                origins=make.origins([f"o{number}"]),
            )
            freeze(store, SnapshotSpec("texts", "text"))
            met += increment(store, number, number - 1)
        assert len(met) == len(set(met)) == 8
        assert sorted(met) == increment(store, 4, None) == increment(store, 4, 0)
        assert sorted(increment(store, 4, 1)) == sorted(set(increment(store, 4, None)) - set(increment(store, 1, None)))

    def test_an_item_that_returns_is_not_met_again(self, store: Store, add: Add, make: Any) -> None:
        spec = SnapshotSpec("texts", "text")
        add(items=make.items(["a", "b"]))
        freeze(store, spec)
        add(decisions=make.decisions(["a"], "drop"))
        freeze(store, spec)
        add(decisions=make.decisions(["a"], "keep"))
        freeze(store, spec)
        assert increment(store, 3, 2) == []
        assert increment(store, 3, None) == ["a", "b"]

    def test_an_item_that_changed_its_split_is_met_in_the_new_one(self, store: Store, add: Add, make: Any) -> None:
        """Earlier versions moved items; a learner must still learn them."""
        columns = {"snapshot": "texts", "number": [1, 2], "item_id": ["a", "a"], "label": None, "score": None}
        add(items=make.items(["a"]), snapshot_items=rows("snapshot_items", {**columns, "split": ["test", "train"]}, 2))
        assert increment(store, 2, 1) == ["a"]

    def test_items_come_with_their_content(self, store: Store, add: Add, make: Any) -> None:
        add(items=make.items(["b", "a"], text=["B", "A"]), annotations=make.claims(["a", "b"], "x"))
        freeze(store, SnapshotSpec("texts", "text", label="topic", splits=ALL))
        with store.reader() as reader:
            found = snapshot_items(reader, "texts", 1, ["train"])
            assert found.select(["item_id", "text", "label", "split"]).to_pylist() == [
                {"item_id": "a", "text": "A", "label": "x", "split": "train"},
                {"item_id": "b", "text": "B", "label": "x", "split": "train"},
            ]
            assert len(snapshot_items(reader, "texts", 1, ["test"])) == 0

    def test_numbers_are_listed_by_name(self, store: Store, add: Add, make: Any) -> None:
        add(items=make.items(["a"]))
        for name in ("texts", "texts", "others"):
            freeze(store, SnapshotSpec(name, "text"))
        with store.reader() as reader:
            assert [found.number for found in list_snapshots(reader, "texts")] == [1, 2]
            assert [found.number for found in list_snapshots(reader, "texts", after=1)] == [2]
            assert latest_snapshot(reader, "unknown") is None


@given(st.lists(st.tuples(_STORABLE, st.none() | _STORABLE), unique_by=lambda row: row[0], max_size=20))
def test_the_content_hash_is_that_of_json_lines(entries: list[tuple[str, str | None]]) -> None:
    ids, labels = [entry[0] for entry in entries], [entry[1] for entry in entries]
    splits = ["train" if number % 2 else "test" for number in range(len(entries))]
    items = pa.table({"item_id": ids, "label": pa.array(labels, pa.string()), "split": splits}, schema=_HASHED)
    ordered = sorted(zip(ids, labels, splits, strict=True), key=lambda row: row[0].encode())
    lines = "".join(json.dumps(row) + "\n" for row in ordered)
    assert content_hash(items) == hashlib.sha256(lines.encode()).hexdigest()
