"""One question, one answer: why is this item in or out."""

from collections.abc import Callable
from typing import Any

import pytest

from curate.errors import BadDataError, UsageError
from curate.store.snapshots import SnapshotSpec, draft_snapshot, latest_snapshot, snapshot_write
from curate.store.store import Store
from curate.store.why import explain, find_item
from curate.store.write import LedgerKey, Write, rows

Add = Callable[..., int]
RANKED = SnapshotSpec("texts", "text", order_by="align", limit=1, splits={"train": 1.0})


@pytest.fixture
def why(store: Store) -> Callable[[str], dict[str, Any]]:
    def ask(prefix: str) -> dict[str, Any]:
        with store.reader() as reader:
            return explain(reader, prefix)

    return ask


Why = Callable[[str], dict[str, Any]]


def freeze(store: Store, spec: SnapshotSpec) -> None:
    with store.reader() as reader:
        draft, latest = draft_snapshot(reader, spec), latest_snapshot(reader, spec.name)
    number = latest.number if latest else 0
    store.commit(snapshot_write(draft, number + 1, number))


def absence(why: Why, item: str) -> str:
    [absent] = why(item)["absent_from"]
    return str(absent["reason"])


def test_an_item_is_explained_section_by_section(store: Store, add: Add, make: Any, why: Why) -> None:
    add(items=make.items(["a"]), origins=make.origins(["a"], entity="web:1", licence="MIT"))
    add(annotations=make.claims(["a"], "x", confidence=0.5), scores=make.scores(["a"], 0.25))
    add(origins=make.origins(["a"], "books"), decisions=make.decisions(["a"], "keep"))
    duplicate = {"item_id": ["b", "a"], "duplicate_of": ["a", "c"], "similarity": 1.0, "method": "exact"}
    add(duplicates=rows("duplicates", duplicate), failures=rows("failures", failure("a")))
    store.commit(Write("align", {}, (), LedgerKey("align", "1", "p"), ["a"]))
    answer = why("a")
    assert answer["item"] == {
        "item_id": "a", "modality": "text", "size": 1, "excerpt": "text of a", "commit_number": 1
    }  # fmt: skip
    assert [(row["source"], row["licence"]) for row in answer["origins"]] == [("web", "MIT"), ("books", "")]
    assert [(row["annotator"], row["value"], row["confidence"]) for row in answer["annotations"]] == [
        ("rules", "x", 0.5)
    ]
    assert [row["score"] for row in answer["scores"]] == [0.25]
    assert [row["action"] for row in answer["decisions"]] == ["keep"]
    assert [row["duplicate_of"] for row in answer["duplicate_of"]] == ["c"]
    assert [row["item_id"] for row in answer["duplicates"]] == ["b"]
    assert [row["reason"] for row in answer["failures"]] == ["no answer"]
    assert [row["step"] for row in answer["steps"]] == ["align"]
    assert answer["verdict"] == "kept, but no snapshot holds it"
    assert answer["absent_from"] == answer["snapshots"] == answer["checkpoints"] == []


def failure(item: str) -> dict[str, Any]:
    return {"item_id": [item], "step": "annotate", "actor": "llm", "reason": "no answer"}


class TestVerdicts:
    """In or out, and what kept it out of the newest number of each snapshot."""

    @pytest.fixture(autouse=True)
    def _two_texts(self, add: Add, make: Any) -> None:
        add(
            items=make.items(["a", "b"]), origins=make.origins(["a", "b"]), scores=make.scores(["a", "b"], [0.75, 0.25])
        )

    def test_held(self, store: Store, why: Why) -> None:
        freeze(store, RANKED)
        freeze(store, SnapshotSpec("all", "text"))
        assert why("a")["verdict"] == "in: held by snapshot all 1, texts 1"
        assert why("a")["absent_from"] == []
        [held, _] = why("a")["snapshots"]
        assert (held["number"], held["score"], held["split"]) == (1, 0.75, "train")

    def test_below_the_cut(self, store: Store, why: Why) -> None:
        freeze(store, RANKED)
        assert absence(why, "b") == "its align score 0.2500 does not reach the cut 0.7500"
        assert why("b")["verdict"] == "kept, but no snapshot holds it"

    def test_a_place_in_an_order_is_called_a_rank(self, store: Store, add: Add, make: Any, why: Why) -> None:
        add(scores=make.scores(["a", "b"], [-9.0, -29.0], selector="fused"))
        freeze(store, SnapshotSpec("texts", "text", order_by="fused", limit=1, splits={"train": 1.0}))
        assert absence(why, "b") == "its fused rank 30 does not reach the cut, rank 10"
        [held] = why("a")["snapshots"]
        assert (held["order_by"], held["score"]) == ("fused", -9.0)

    def test_dropped(self, store: Store, add: Add, make: Any, why: Why) -> None:
        add(decisions=make.decisions(["a"], "drop", reason="copy of b"))
        freeze(store, RANKED)
        assert why("a")["verdict"] == "out: dedup dropped it (copy of b)"
        assert absence(why, "a") == "dropped by dedup: copy of b"

    def test_dropped_then_and_kept_since(self, store: Store, add: Add, make: Any, why: Why) -> None:
        add(decisions=make.decisions(["a"], "drop", reason="copy of b"))
        freeze(store, RANKED)
        add(decisions=make.decisions(["a"], "keep"))
        assert why("a")["verdict"] == "kept, but no snapshot holds it"
        assert absence(why, "a") == "dropped by dedup: copy of b"

    def test_unlabelled(self, store: Store, add: Add, make: Any, why: Why) -> None:
        freeze(store, SnapshotSpec("texts", "text", label="topic"))
        add(annotations=make.claims(["b"], "x"))
        assert absence(why, "a") == absence(why, "b") == "nobody had labelled its 'topic'"

    def test_unscored(self, store: Store, add: Add, make: Any, why: Why) -> None:
        add(items=make.items(["c", "d"]), scores=make.scores(["d"], float("nan")))
        freeze(store, RANKED)
        assert absence(why, "c") == absence(why, "d") == "'align' had not scored it"

    def test_of_another_source(self, store: Store, why: Why) -> None:
        freeze(store, SnapshotSpec("texts", "text", sources=("books", "films")))
        assert absence(why, "a") == "its sources are not among books, films"

    def test_over_the_limit(self, store: Store, why: Why) -> None:
        freeze(store, SnapshotSpec("texts", "text", limit=1))
        assert absence(why, "b") == "the limit of 1 items was reached before it"

    def test_too_late(self, store: Store, add: Add, make: Any, why: Why) -> None:
        freeze(store, RANKED)
        add(items=make.items(["c"]), scores=make.scores(["c"], 0.9))
        assert absence(why, "c") == "it came after this snapshot was taken"

    def test_only_the_newest_number_counts(self, store: Store, add: Add, make: Any, why: Why) -> None:
        freeze(store, RANKED)
        add(scores=make.scores(["b"], 1.0, version="2"))
        freeze(store, RANKED)
        assert why("b")["absent_from"] == []
        [absent] = why("a")["absent_from"]
        assert absent["number"] == 2
        assert why("a")["verdict"] == "in: held by snapshot texts 1"

    def test_of_another_modality(self, store: Store, why: Why) -> None:
        freeze(store, SnapshotSpec("pictures", "image"))
        assert why("a")["absent_from"] == []


def test_the_checkpoints_that_learned_it_are_named(store: Store, add: Add, make: Any, why: Why) -> None:
    add(items=make.items(["a", "b", "t"]), annotations=make.claims(["a"], "x"))
    columns = {"snapshot": "texts", "number": 1, "item_id": ["a", "b", "t"], "label": ["x", None, "x"]}
    add(snapshot_items=rows("snapshot_items", columns | {"split": ["train", "train", "test"], "score": None}, 3))
    for number in (1, 2):
        header: dict[str, Any] = {"checkpoint": f"c{number}", "learner": "pupil", "snapshot": "texts", "number": number}
        others = {"learner_version": "1", "parent": "", "content_hash": "", "encoder_version": "", "classes": [["x"]]}
        add(checkpoints=rows("checkpoints", {**header, **others, "items": 1, "size": 1}, 1))
    assert [row["checkpoint"] for row in why("a")["checkpoints"]] == ["c1", "c2"]
    assert why("b")["checkpoints"] == why("t")["checkpoints"] == []


class TestFinding:
    """An item is named by the beginning of its id."""

    @pytest.fixture(autouse=True)
    def _items(self, add: Add, make: Any) -> None:
        add(items=make.items(["abc1", "abc2", *(f"abd{number}" for number in range(6))]))

    def find(self, store: Store, prefix: str) -> str:
        with store.reader() as reader:
            return find_item(reader, prefix)

    def test_by_id_or_beginning_in_any_case(self, store: Store) -> None:
        assert self.find(store, "abc1") == self.find(store, "ABC1") == "abc1"

    def test_an_ambiguous_beginning_lists_some(self, store: Store) -> None:
        with pytest.raises(UsageError, match=r"'abc' fits several items: abc1, abc2$"):
            self.find(store, "abc")
        with pytest.raises(UsageError, match="abd4 …"):
            self.find(store, "abd")

    @pytest.mark.parametrize("prefix", ["x", "%", "abc_", "' OR true --"])
    def test_an_unknown_one_is_bad_data(self, store: Store, prefix: str) -> None:
        with pytest.raises(BadDataError, match="no item's id starts with"):
            self.find(store, prefix)

    def test_nothing_is_no_name(self, store: Store) -> None:
        with pytest.raises(UsageError):
            self.find(store, "")
