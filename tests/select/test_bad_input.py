"""Bad input, one by one, for every way to choose: a defined result or a clear error, and nothing dropped in silence."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curate.errors import BadDataError, ConfigurationError, UsageError
from curate.select import alignment, importance, racing
from curate.select.alignment import Aligner
from curate.select.baselines import length_scores, random_scores
from curate.select.budgets import best_within, sizes
from curate.select.compressors import compressor, known_names
from curate.select.coverage import coverage_order
from curate.select.diversity import entropy_law_order, facility_location_order, without_near_duplicates
from curate.select.fused import fused
from curate.select.fusion import borda, reciprocal_rank, weighted_sum, with_quotas
from curate.select.held_out import HeldOut
from curate.select.importance import resample
from curate.select.measures import best_of, length_bias
from curate.select.racing import best, best_of_batches
from curate.select.tfidf import tfidf_scores
from curate.select.tokens import find_tokenizer
from curate.select.top import TopK

CODE = [f"def area_{n}(width, height):\n    return width * height + {n}\n" for n in range(12)]
PROSE = [f"Rain fell on harbour {n} while the boats waited for the wind to turn.\n" for n in range(12)]
POOL = CODE + PROSE
NAN = float("nan")
Selector = Callable[[Any, Any], np.ndarray]
TARGETED: dict[str, Selector] = {
    "alignment": alignment.score,
    "alignment in windows": lambda texts, targets: alignment.score(texts, targets, length_control="windows"),
    "nearest target": lambda texts, targets: alignment.score(texts, targets, reduce="max"),
    "importance": importance.log_weights,
    "tfidf": tfidf_scores,
    "fused": lambda texts, targets: fused(texts, targets).scores,
}
targeted = pytest.mark.parametrize("selector", TARGETED.values(), ids=TARGETED.keys())


@targeted
def test_empty_and_missing_texts_have_no_score_and_keep_their_place(selector: Selector) -> None:
    scores = selector([*POOL, "", None], [CODE[0], CODE[1]])
    assert np.isnan(scores).tolist() == [False] * len(POOL) + [True, True]


@targeted
def test_texts_shorter_than_a_header_are_scored(selector: Selector) -> None:
    """DSIR's library drops them without a word; frames cost more than they hold."""
    scores = selector([*POOL, "a", "if"], [CODE[0], CODE[1]])
    assert scores.shape == (len(POOL) + 2,)
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("name", sorted({form.partition("[")[0] for form in known_names()}))
def test_every_compressor_scores_a_text_shorter_than_its_header(name: str) -> None:
    scores = alignment.score(["a", "if", CODE[1]], [CODE[0]], name)
    assert np.isfinite(scores).all()
    assert scores.argmax() == 2


@targeted
def test_bytes_that_are_no_utf8_are_scored(selector: Selector) -> None:
    """Python's decoding with surrogateescape leaves lone surrogates, which no strict encoder takes."""
    odd = b"def caf\xe9(width): return \xff\xfe width".decode("utf-8", "surrogateescape")
    scores = selector([*POOL, odd], [CODE[0], odd])
    assert np.isfinite(scores).all()


@targeted
def test_a_target_of_one_document_is_enough(selector: Selector) -> None:
    one, bare = selector(POOL, [CODE[0]]), selector(POOL, CODE[0])
    np.testing.assert_array_equal(one, bare)
    assert set(best_of(one, 6).tolist()) <= set(range(len(CODE)))


@targeted
def test_a_pool_that_is_the_target_is_scored(selector: Selector) -> None:
    scores = selector(CODE, CODE)
    assert np.isfinite(scores).all()
    assert len(best_of(scores)) == len(CODE)


@targeted
@pytest.mark.parametrize("targets", [[], [""]])
def test_a_target_without_text_is_refused(selector: Selector, targets: list[str]) -> None:
    with pytest.raises(BadDataError):
        selector(POOL, targets)


def test_a_k_beyond_the_pool_gives_all_there_is() -> None:
    scores = alignment.score([*POOL, ""], CODE[:2])
    assert len(best_of(scores, 1_000)) == len(POOL)
    assert len(best([*POOL, ""], Aligner(CODE[:2]), 1_000).rows) == len(POOL)
    drawn = resample(scores, 1_000, "top-k")
    assert (len(drawn.positions), drawn.short_by) == (len(POOL), 1_000 - len(POOL))
    top = TopK(1_000)
    top.offer(pa.table({"item_id": [str(n) for n in range(len(scores))], "score": scores}))
    assert (top.table().num_rows, top.without_score) == (len(POOL), 1)


def test_a_pool_larger_than_memory_is_never_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream is twenty times what Arrow ever holds of it; a million texts are `benchmarks.alignment`'s."""
    monkeypatch.setattr(racing, "TEXTS_AT_ONCE", 100)
    padding = " " * 4_000
    held, size = [], 0

    def stream() -> Iterator[pa.RecordBatch]:
        nonlocal size
        before = pa.total_allocated_bytes()
        for number in range(200):
            texts = [f"{text}{padding}{number}" for text in POOL]
            batch = pa.RecordBatch.from_pydict({"item_id": [f"{number}-{n}" for n in range(len(texts))], "text": texts})
            size += batch.nbytes
            yield batch
            del batch
            held.append(pa.total_allocated_bytes() - before)

    found = best_of_batches(stream(), Aligner(CODE[:2]), 30)
    assert max(held) * 20 < size
    assert found.num_rows == 30
    whole = [f"{text}{padding}{number}" for number in range(200) for text in POOL]
    expected = np.sort(alignment.score(whole, CODE[:2]))[::-1][:30]
    np.testing.assert_array_equal(found["score"].to_numpy(), expected)


@pytest.mark.parametrize("fuse", [borda, reciprocal_rank, weighted_sum])
def test_nan_from_a_plugin_comes_last_and_is_never_chosen(fuse: Callable[[list[np.ndarray]], np.ndarray]) -> None:
    plugin, ours = np.array([NAN, 3.0, NAN, 1.0]), np.array([0.9, 0.8, NAN, 0.1])
    scores = fuse([plugin, ours])
    assert np.isnan(scores).tolist() == [False, False, True, False]
    assert best_of(scores).tolist() == [1, 0, 3]
    assert np.isfinite(length_bias(plugin, [4, 3, 2, 1]).value)
    assert set(resample(plugin, 4).positions.tolist()) == {1, 3}


def test_scores_that_are_all_nan_choose_nothing() -> None:
    nothing = np.full(3, NAN)
    assert len(best_of(nothing, 2)) == 0
    assert np.isnan(borda([nothing, nothing])).all()
    with pytest.raises(BadDataError):
        length_bias(nothing, [1, 2, 3])


def test_baselines_take_what_the_others_take() -> None:
    assert np.isnan(length_scores(["a", "", None])).tolist() == [False, True, True]
    assert len(random_scores([])) == 0


def test_what_is_no_number_or_no_text_is_refused() -> None:
    two = np.array([1.0, 2.0])
    for refused in (
        lambda: borda([two, two], [float("inf"), 1]),
        lambda: borda([two, two], [NAN, 1]),
        lambda: with_quotas(two, ["a", "b"], 1, {"a": NAN, "b": 1}),
        lambda: with_quotas(two, ["a", "b"], 1, {"a": float("inf"), "b": 1}),
        lambda: resample(two, 1, proportions=[float("inf")]),
        lambda: importance.log_weights(["a cat"], ["cat"], smoothing=NAN),
        lambda: importance.log_weights(["a cat"], ["cat"], smoothing=float("inf")),
        lambda: facility_location_order(np.eye(3), 2, np.array([NAN, 1, 1])),
        lambda: facility_location_order(np.eye(3), 2, np.array([-1.0, 1, 1])),
        lambda: facility_location_order(np.eye(3), 2, np.array([1.0, 1])),
        lambda: best_within([[1, 2], [3, 0]], [1, 1], 1),
        lambda: best_within([1, 2], [1, 1.5], 1),
        lambda: best_within([1, 2], [1, NAN], 1),
        lambda: coverage_order(["a cat", "a dog"], ["a cat sat"], np.array([1.0])),
        lambda: coverage_order(["a cat", "a dog"], ["a cat sat"], np.array([1.0, -1])),
        lambda: alignment.score(["a"], [None]),  # type: ignore[list-item]
    ):
        with pytest.raises(BadDataError):
            refused()
    for letters in (importance.log_weights, tfidf_scores):
        with pytest.raises(UsageError, match="one string"):
            letters("abc", ["cat"])
    with pytest.raises(UsageError, match="type bytes"):
        alignment.score(["a"], [b"abc"])  # type: ignore[list-item]
    with pytest.raises(ConfigurationError, match="no level"):
        compressor("gzip:" + "1" * 5_000)


def test_lone_surrogates_and_nulls_are_measured() -> None:
    odd = "a\udc80b"
    assert sizes([odd], "tokens", find_tokenizer("bytes")).tolist() == [5]
    assert 0 <= random_scores([odd])[0] < 1
    assert entropy_law_order(["a", None], 1).tolist() == [0]
    weights = np.array([[1.0, 1, 1], [2, 2, 2], [3, 3, 3], [4, 4, 4]])
    assert set(resample(weights, 3, "top-k", proportions=[1, 1, 0]).targets.tolist()) == {0, 1}


def test_null_texts_teach_nothing_and_are_alike_to_nothing() -> None:
    known = HeldOut([CODE[0], None], [CODE[1], None])
    assert known.bits([0, 1]).per_character == known.bits([0]).per_character
    assert known.bits([0]).characters.tolist() == [len(CODE[1]), 0]
    assert without_near_duplicates([None, CODE[0], None, CODE[0], ""]).tolist() == [0, 1, 2, 4]
