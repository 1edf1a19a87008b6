"""Duplicates over a real store: whatever the order of arrival, the same items are kept."""

import io
import random
from collections.abc import Callable, Sequence
from functools import cache
from itertools import combinations, count, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from curate.flows.project import Project
from curate.flows.steps import comparison
from curate.flows.steps.comparison import EVALUATION
from curate.flows.steps.dedup import DedupStep
from curate.settings import Settings
from curate.store.clusters import cluster_representatives
from curate.store.write import Write, rows
from curate.types import SilentProgress, StepReport

WORDS = [f"word{number}" for number in range(4_000)]


def prose(seed: int, length: int = 80) -> list[str]:
    return random.Random(seed).choices(WORDS, k=length)


def edited(words: Sequence[str], *places: int) -> list[str]:
    """The words with others at these places; each takes three shingles of three words away and brings three."""
    return [f"new{place}" if place in places else word for place, word in enumerate(words)]


def similarity(first: str, second: str) -> float:
    """The Jaccard similarity of runs of three words, by the definition."""
    one, other = ({tuple(t.split()[k : k + 3]) for k in range(len(t.split()) - 2)} for t in (first, second))
    return len(one & other) / len(one | other)


class Bench:
    """A project whose items come from the test, and questions about what became of them."""

    def __init__(self, folder: Path, **dedup: Any) -> None:
        self.folder = folder
        self.use(**dedup)

    def use(self, **dedup: Any) -> None:
        self.project = Project(self.folder, Settings.model_validate({"dedup": dedup}), "test")

    def add(self, contents: dict[str, Any], modality: str = "text") -> None:
        columns = {name: list(contents.values()) if name == modality else None for name in ("text", "image", "events")}
        ids = list(contents)
        items = rows("items", {"item_id": ids, "modality": modality, **columns, "time_unit": None, "size": 1}, len(ids))
        self.project.store.commit(Write("ingest", {"items": items}))

    def run(self) -> StepReport:
        return DedupStep().run(self.project, SilentProgress())

    def decide(self, ids: Sequence[str], action: str, step: str = "ingest") -> None:
        decisions = rows("decisions", {"item_id": list(ids), "step": step, "action": action, "reason": "test"})
        self.project.store.commit(Write(step, {"decisions": decisions}))

    def hold(self, item: str, split: str) -> None:
        """Let a snapshot hold an item."""
        held = {"snapshot": "s", "number": [1], "item_id": item, "label": None, "split": split, "score": None}
        self.project.store.commit(Write("snapshot", {"snapshot_items": rows("snapshot_items", held)}))

    def ask(self, sql: str) -> list[dict[str, Any]]:
        with self.project.reader() as reader:
            found: list[dict[str, Any]] = reader.query(sql).to_pylist()
            return found

    def kept(self) -> set[str]:
        return {row["item_id"] for row in self.ask("SELECT item_id FROM items ANTI JOIN dropped USING (item_id)")}

    def reasons(self) -> dict[str, str]:
        return {row["item_id"]: row["reason"] for row in self.ask("SELECT item_id, reason FROM dropped")}

    def representatives(self, ids: Sequence[str]) -> dict[str, str]:
        with self.project.reader() as reader:
            return cluster_representatives(reader, ids)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(scope="module")
def benches(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Bench]:
    """Return a function that makes a new project each time: for property tests, whose examples share no store."""
    folder, numbers = tmp_path_factory.mktemp("benches"), count()
    return lambda **dedup: Bench(folder / str(next(numbers)), **dedup)


BASE = prose(1)
FAMILY = {
    "d": " ".join(BASE),
    "c": " ".join(edited(BASE, 40)),
    "e": " ".join(edited(BASE, 40, 60)),
    "b": "  ".join(BASE).upper(),
    "z": " ".join(prose(2)),
}


def test_a_near_duplicate_is_dropped_with_its_similarity_and_method(bench: Bench) -> None:
    bench.add({"b": " ".join(BASE), "a": " ".join(edited(BASE, 40))})
    assert bench.run().details == {"dropped": 1}
    [row] = bench.ask("SELECT item_id, duplicate_of, similarity, method FROM duplicates")
    assert (row["item_id"], row["duplicate_of"]) == ("b", "a")
    assert row["similarity"] == similarity(" ".join(BASE), " ".join(edited(BASE, 40)))
    assert row["method"].startswith("minhash:1 words:3 threshold=0.8 ")
    assert bench.reasons() == {"b": "near-duplicate by MinHash"}


def test_equal_after_normalisation_comes_first(bench: Bench) -> None:
    bench.add(FAMILY)
    bench.run()
    assert bench.kept() == {"b", "z"}
    assert bench.reasons()["d"] == "duplicate"
    assert bench.reasons()["c"] == bench.reasons()["e"] == "near-duplicate by MinHash"
    assert bench.representatives([*FAMILY, "unheard of"]) == dict.fromkeys("bcde", "b") | {
        "z": "z",
        "unheard of": "unheard of",
    }


def test_without_near_only_equal_texts_are_dropped(tmp_path: Path) -> None:
    bench = Bench(tmp_path, near=False)
    bench.add(FAMILY)
    bench.run()
    assert bench.reasons() == {"d": "duplicate"}
    assert len(bench.ask("FROM bands")) == len(FAMILY)


def test_short_sentences_of_one_pattern_are_no_duplicates(bench: Bench) -> None:
    bench.add({f"{number:02}": f"The fox and number {number} of the pack" for number in range(50)})
    assert bench.run().details == {"dropped": 0}


def test_a_second_run_writes_nothing(bench: Bench) -> None:
    bench.add(FAMILY)
    bench.run()
    before = bench.project.store.reader().commit_number
    assert bench.run().idle
    assert bench.project.store.reader().commit_number == before


def family_of(seed: int, size: int) -> list[str]:
    """Variants in a chain: each differs from the one before in two places, so the ends may be far apart."""
    words, chance, found = prose(seed), random.Random(seed), []
    for _ in range(size):
        found.append(" ".join(words))
        words = edited(words, *chance.sample(range(len(words)), 2))
    return found


TEXTS = [text for seed, size in enumerate((1, 2, 4, 6, 3)) for text in family_of(seed, size)]
TEXTS += [TEXTS[4].upper(), TEXTS[9].replace(" ", "  "), "", " ", "one", "ONE"]
NAMES = [f"{number:02}" for number in range(len(TEXTS))]


def alike(first: str, second: str) -> bool:
    """The definition of a duplicate."""
    one, other = first.lower(), second.lower()
    long = min(len(one.split()), len(other.split())) > 2
    return one.split() == other.split() or (long and similarity(one, other) >= 0.8)


@cache
def alike_places() -> list[tuple[int, int]]:
    """The places of all pairs of `TEXTS` that are alike, by brute force."""
    return [pair for pair in combinations(range(len(TEXTS)), 2) if alike(*(TEXTS[place] for place in pair))]


def components(names: Sequence[str]) -> set[str]:
    """The smallest name of each connected component, where each text has one of these names."""
    head = list(names)
    for _ in names:
        for one, other in alike_places():
            head[one] = head[other] = min(head[one], head[other])
    return set(head)


@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_the_kept_items_do_not_depend_on_order_and_batches(data: st.DataObject, benches: Callable[..., Bench]) -> None:
    names = data.draw(st.permutations(NAMES), "names")
    order = data.draw(st.permutations(names), "order")
    borders = sorted({0, len(order), *data.draw(st.lists(st.integers(0, len(order)), max_size=2), "borders")})
    contents = dict(zip(names, TEXTS, strict=True))
    bench = benches(images=False)
    for start, end in pairwise(borders):
        bench.add({item: contents[item] for item in order[start:end]})
        bench.run()
    assert bench.kept() == components(names)
    groups = bench.representatives(names)
    assert {groups[item] for item in names} == bench.kept()
    assert {row["item_id"] for row in bench.ask("FROM duplicates")} == set(names) - bench.kept() | {
        row["item_id"] for row in bench.ask("FROM decisions WHERE action = 'keep'")
    }


def test_an_item_that_joins_two_groups_makes_them_one(bench: Bench) -> None:
    far = edited(BASE, 10, 30, 50, 70)
    bridge = edited(BASE, 10, 30)
    bench.add({"m": " ".join(BASE), "k": " ".join(far)})
    bench.run()
    assert bench.kept() == {"k", "m"}
    bench.add({"x": " ".join(bridge)})
    bench.run()
    assert bench.kept() == {"k"}
    assert bench.representatives(["k", "m", "x"]) == dict.fromkeys("kmx", "k")
    [row] = bench.ask("FROM duplicates WHERE item_id = 'm'")
    assert (row["duplicate_of"], row["similarity"]) == ("k", similarity(" ".join(BASE), " ".join(far)))


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_new_near_duplicate_of_an_evaluation_item_is_dropped(bench: Bench, split: str) -> None:
    bench.add({"m": " ".join(BASE)})
    bench.run()
    bench.hold("m", split)
    bench.add({"a": " ".join(edited(BASE, 40)), "b": " ".join(BASE).upper()})
    bench.run()
    assert bench.kept() == {"m"}
    assert bench.reasons() == dict.fromkeys("ab", EVALUATION)
    assert {row["duplicate_of"] for row in bench.ask("FROM duplicates")} == {"m"}
    assert bench.representatives(["m"]) == {"m": "a"}


def test_a_training_item_gives_way_to_a_smaller_near_duplicate(bench: Bench) -> None:
    bench.add({"m": " ".join(BASE)})
    bench.run()
    bench.hold("m", "train")
    bench.add({"a": " ".join(edited(BASE, 40))})
    bench.run()
    assert bench.kept() == {"a"}
    assert bench.reasons() == {"m": "near-duplicate by MinHash"}


def test_a_bridge_drops_what_was_trained_on_and_never_what_evaluates(bench: Bench) -> None:
    bench.add({"m": " ".join(BASE), "k": " ".join(edited(BASE, 10, 30, 50, 70))})
    bench.run()
    bench.hold("m", "test")
    bench.add({"x": " ".join(edited(BASE, 10, 30))})
    bench.run()
    assert bench.kept() == {"m"}
    assert bench.reasons() == dict.fromkeys("kx", EVALUATION)


def test_a_superseded_representative_leaves_its_place(bench: Bench) -> None:
    """A document that is edited a little is a near-duplicate of itself: the newer version must not vanish with it."""
    bench.add({"a": " ".join(BASE)})
    bench.run()
    bench.add({"c": " ".join(edited(BASE, 40)), "d": " ".join(edited(BASE, 41))})
    bench.run()
    assert bench.kept() == {"a"}
    bench.decide(["a"], "drop")
    bench.run()
    assert bench.kept() == {"c"}
    assert bench.representatives(["a", "c", "d"]) == {"a": "a", "c": "c", "d": "c"}
    before = bench.project.store.reader().commit_number
    assert bench.run().idle
    assert bench.project.store.reader().commit_number == before


def test_a_group_that_a_superseded_item_held_together_falls_apart(bench: Bench) -> None:
    bench.add({"m": " ".join(BASE), "k": " ".join(edited(BASE, 10, 30, 50, 70)), "x": " ".join(edited(BASE, 10, 30))})
    bench.run()
    assert bench.kept() == {"k"}
    bench.decide(["x"], "drop")
    bench.run()
    assert bench.kept() == {"k", "m"}
    bench.decide(["x"], "keep")
    bench.run()
    assert bench.kept() == {"k"}
    assert bench.representatives(["k", "m", "x"]) == dict.fromkeys("kmx", "k")


def test_a_superseded_evaluation_item_still_stands_in_the_way(bench: Bench) -> None:
    bench.add({"m": " ".join(BASE)})
    bench.run()
    bench.hold("m", "test")
    bench.decide(["m"], "drop")
    bench.add({"a": " ".join(edited(BASE, 40))})
    bench.run()
    assert bench.reasons() == {"m": "test", "a": EVALUATION}


def test_what_is_superseded_before_it_is_compared_counts_for_nothing(bench: Bench) -> None:
    bench.add({"a": " ".join(BASE), "m": " ".join(edited(BASE, 40))})
    bench.decide(["a"], "drop")
    bench.run()
    assert bench.kept() == {"m"}


def test_another_threshold_judges_everything_anew(bench: Bench) -> None:
    texts = {"a": " ".join(BASE), "b": " ".join(edited(BASE, 40)), "c": " ".join(edited(BASE, 20, 40, 60))}
    assert (
        0.75
        < similarity(texts["a"], texts["c"])
        < 0.8
        < similarity(texts["b"], texts["c"])
        < 0.9
        < similarity(texts["a"], texts["b"])
        < 0.95
    )
    bench.add(texts)
    for threshold, kept in ((0.75, {"a"}), (0.95, {"a", "b", "c"}), (0.9, {"a", "c"}), (0.75, {"a"})):
        bench.use(threshold=threshold)
        assert bench.run().done == 3
        assert bench.kept() == kept
        assert bench.run().idle


def test_a_band_key_leads_to_a_bounded_number_of_items(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "BAND_CAPACITY", 3)
    for start in range(0, 12, 4):
        bench.add({f"{n:02}": " ".join(edited(BASE, n)) for n in range(start, start + 4)})
        bench.run()
    assert bench.kept() == {"00"}
    assert max(row["items"] for row in bench.ask("SELECT band, count(*) AS items FROM bands GROUP BY band")) == 3


def picture(seed: int, side: int = 96) -> Image.Image:
    """A smooth random pattern, as coarse as a photograph's large shapes."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def test_images_that_look_alike_are_dropped_whenever_they_come(bench: Bench) -> None:
    bench.add({"b": encoded(picture(1)), "z": encoded(picture(2))}, "image")
    bench.run()
    bench.add({"a": encoded(picture(1), "JPEG", quality=40), "c": encoded(picture(1).resize((64, 64)))}, "image")
    assert bench.run().details == {"dropped": 2}
    assert bench.kept() == {"a", "z"}
    assert bench.reasons() == dict.fromkeys("bc", "near-duplicate by image hash")
    found = bench.ask("FROM duplicates")
    assert all(row["method"] == "cosine-hash:2 bits=64 distance=4" for row in found)
    assert all(1 - 4 / 64 <= row["similarity"] <= 1 for row in found)


def test_images_can_be_left_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path, images=False)
    bench.add({"a": encoded(picture(1)), "b": encoded(picture(1), "JPEG")}, "image")
    assert bench.run().idle


def test_pictures_too_small_to_tell_apart_are_kept(bench: Bench) -> None:
    bench.add({"a": encoded(picture(1, 16)), "b": encoded(picture(1, 17))}, "image")
    assert bench.run().details == {"dropped": 0}
    assert bench.ask("FROM signatures") == []


def test_nothing_is_done_where_it_is_switched_off(tmp_path: Path) -> None:
    bench = Bench(tmp_path, enabled=False)
    bench.add(FAMILY)
    assert bench.run().notes == ("switched off in [dedup]",)
    assert DedupStep().plan(bench.project, SilentProgress()).to_do == 0


def test_the_plan_counts_texts_and_images(bench: Bench) -> None:
    bench.add(FAMILY)
    bench.add({"p": encoded(picture(1))}, "image")
    plan = DedupStep().plan(bench.project, SilentProgress())
    assert (plan.to_do, plan.already_done) == (6, 0)
    bench.run()
    plan = DedupStep().plan(bench.project, SilentProgress())
    assert (plan.to_do, plan.already_done) == (0, 6)


def test_a_batch_is_void_if_the_groups_were_drawn_anew_meanwhile(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.add({"a": " ".join(BASE), "m": " ".join(edited(BASE, 40))})
    bench.run()
    bench.add({"x": " ".join(edited(BASE, 41))})
    tables = comparison.Comparison.tables

    def tables_while_another_process_works(one: comparison.Comparison) -> dict[str, pa.Table]:
        made = tables(one)
        monkeypatch.undo()
        bench.decide(["a"], "drop")
        bench.run()
        return made

    monkeypatch.setattr(comparison.Comparison, "tables", tables_while_another_process_works)
    bench.run()
    assert bench.kept() == {"m"}
    assert bench.representatives(["a", "m", "x"]) == {"a": "a", "m": "m", "x": "m"}


def test_signatures_may_be_asked_before_texts_are_read(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "_WORTH_A_LOOK_AT_SIGNATURES", 0)
    bench.add(FAMILY | {"p": " ".join(edited(BASE, 5, 15, 25, 35, 45, 55, 65))})
    bench.run()
    bench.add({"a": " ".join(edited(BASE, 30)), "y": " ".join(prose(2)).upper(), "x": " ".join(prose(3))})
    bench.run()
    assert bench.kept() == {"a", "p", "x", "y"}
