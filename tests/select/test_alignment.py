import ast
import gzip
import inspect
import itertools
import json
import statistics
import textwrap
from collections.abc import Callable
from typing import Any

import lz4.block
import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import BadDataError, ConfigurationError, UnknownNameError, UsageError
from curate.select.alignment import Aligner, AlignmentSelector, Method, score
from curate.select.compressors import Compressor, compressor
from curate.select.packing import cut, packed, packed_strings
from curate.select.racing import best
from curate.select.similarity import CONTROLS
from curate.statistics import spearman
from curate.types import Selector

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "lz4-block": lambda data: lz4.block.compress(data, store_size=False),
    "gzip:6": lambda data: gzip.compress(data, 6),
    "zstd:3": lambda data: zstandard.ZstdCompressor(level=3).compress(data),
}
FUNCTIONS = [inspect.getsource(function) for function in (ast.walk, ast.get_docstring, json.dumps, inspect.getsource)]
PROSE = [
    "The harbour lay still before dawn, and the keeper of the light climbed down to the quay to count the boats.",
    "It is a truth universally acknowledged, that a single man in possession of a good fortune, must want a wife.",
    "Rain had fallen for nine days; on the tenth the river took the lower road and the mill with it.",
]


def naive(texts: list[str], targets: list[str], name: str) -> list[float]:
    """The formula, word for word: source first, no separator, the mean over all targets."""

    def size(text: str) -> int:
        return len(COMPRESS[name](text.encode()))

    def distance(source: str, target: str) -> float:
        one, other = size(source), size(target)
        return (size(source + target) - min(one, other)) / max(one, other)

    return [1 - statistics.fmean(distance(text, target) for target in targets) for text in texts]


def halves_of_the_window(document: str) -> list[str]:
    return [part.decode() for part in pieces(document.encode(), compressor("lz4-block").window // 2)]


def pieces(document: bytes, limit: int) -> list[bytes]:
    return cut(packed([document]), limit)[0].as_bytes()


words = st.lists(st.sampled_from(["def ", "return ", "x", "\n", "größe", "12"]), min_size=1, max_size=60).map("".join)


@pytest.mark.parametrize("name", COMPRESS)
@given(
    texts=st.lists(words, min_size=1, max_size=4),
    targets=st.lists(words.filter(lambda text: bool(text.strip())), min_size=1, max_size=3),
)
def test_score_is_the_formula(name: str, texts: list[str], targets: list[str]) -> None:
    np.testing.assert_allclose(score(texts, targets, name), naive(texts, targets, name), rtol=0, atol=1e-12)


def test_max_is_the_nearest_target() -> None:
    single = np.array([score(PROSE, [target]) for target in FUNCTIONS])
    np.testing.assert_array_equal(score(PROSE, FUNCTIONS, reduce="max"), single.max(axis=0))


def test_top_m_is_the_mean_of_the_nearest() -> None:
    single = np.sort([score(PROSE, [target]) for target in FUNCTIONS], axis=0)
    np.testing.assert_allclose(score(PROSE, FUNCTIONS, reduce="top-m", top_m=2), single[-2:].mean(axis=0), atol=1e-15)
    np.testing.assert_array_equal(score(PROSE, FUNCTIONS, reduce="top-m", top_m=99), score(PROSE, FUNCTIONS))


def test_sampled_scores_are_those_against_some_of_the_targets() -> None:
    drawn = score(PROSE, FUNCTIONS, sampled=2, seed=3)
    halves = [score(PROSE, [one, other]) for one, other in itertools.combinations(FUNCTIONS, 2)]
    assert any((drawn == half).all() for half in halves)
    np.testing.assert_array_equal(score(PROSE, FUNCTIONS, sampled=99), score(PROSE, FUNCTIONS))


@pytest.mark.parametrize("name", ["lz4-block", "lz4-frame"])
def test_geometric_control_divides_what_is_saved_by_the_mean_size(name: str) -> None:
    size = compressor(name).size
    source, target = PROSE[0].encode(), FUNCTIONS[0].encode()
    one, other, both = (size(data) - size(b"x") + 1 for data in (source, target, source + target))
    expected = (one + other - both) / (one * other) ** 0.5
    found = score(PROSE[:1], FUNCTIONS[:1], name, length_control="geometric")[0]
    assert found == pytest.approx(expected, abs=1e-12)


def test_windows_score_the_mean_of_their_pieces() -> None:
    long = "".join(FUNCTIONS)[:1_300]
    parts = [part.decode() for part in pieces(long.encode(), 512)]
    windows = score([long], FUNCTIONS, length_control="windows")
    assert windows[0] == pytest.approx(score(parts, FUNCTIONS, length_control="geometric").mean(), abs=1e-12)


@pytest.mark.parametrize("name", ["lz4-frame", "gzip:6"])
def test_windows_take_out_the_bias_of_framed_compressors(name: str) -> None:
    source = inspect.getsource(inspect)
    texts = [source[start : start + length] for length in (300, 900, 2_700) for start in range(0, 50_000, 5_000)]
    plain, windows = (
        abs(spearman([len(text) for text in texts], score(texts, FUNCTIONS, name, length_control=control)))
        for control in CONTROLS[::2]
    )
    assert windows < 0.3 < 0.6 < plain


def test_python_functions_beat_prose_for_a_python_target() -> None:
    candidates = [textwrap.dedent(inspect.getsource(function)) for function in (ast.dump, json.loads, inspect.getmro)]
    scores = score(candidates + PROSE, FUNCTIONS)
    assert scores[:3].min() > scores[3:].max()


@pytest.mark.parametrize("threads", [1, 3])
def test_scores_depend_neither_on_threads_nor_on_company(threads: int) -> None:
    together = score(FUNCTIONS + PROSE, FUNCTIONS, threads=threads)
    alone = [score([text], FUNCTIONS)[0] for text in FUNCTIONS + PROSE]
    np.testing.assert_array_equal(together, alone)


def test_batches_do_not_change_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [*PROSE, PROSE[0] * 700, *FUNCTIONS]
    whole = score(texts, FUNCTIONS)
    monkeypatch.setattr("curate.select.similarity._PAIRS_AT_ONCE", 2 * len(FUNCTIONS))
    monkeypatch.setattr("curate.select.alignment._CHARACTERS_AT_ONCE", 900)
    np.testing.assert_array_equal(score(texts, FUNCTIONS), whole)


def test_a_long_text_scores_the_mean_of_its_pieces() -> None:
    long = "".join(FUNCTIONS) * 12
    parts = halves_of_the_window(long)
    assert len(parts) > 1
    assert score([long], FUNCTIONS)[0] == pytest.approx(np.mean(score(parts, FUNCTIONS)), abs=1e-12)


def test_a_long_text_still_sees_the_target() -> None:
    filler = "".join(chr(97 + byte % 26) for byte in np.random.default_rng(0).bytes(100_000))
    informed = (FUNCTIONS[0] + filler)[:100_000]
    assert score([informed], FUNCTIONS[:1])[0] > score([filler], FUNCTIONS[:1])[0]


def test_a_long_target_counts_as_its_pieces() -> None:
    long = "".join(FUNCTIONS) * 12
    parts = halves_of_the_window(long)
    np.testing.assert_array_equal(score(PROSE, [long]), score(PROSE, parts))


@given(document=st.binary(max_size=300), limit=st.integers(1, 50))
def test_pieces_lose_nothing_and_fit(document: bytes, limit: int) -> None:
    parts = pieces(document, limit)
    assert b"".join(parts) == document
    assert all(0 < len(part) <= limit for part in parts)
    assert max(map(len, parts), default=0) - min(map(len, parts), default=0) <= 1


@given(texts=st.lists(st.none() | st.text(max_size=9), max_size=6))
def test_packing_keeps_every_text(texts: list[str | None]) -> None:
    expected = [(text or "").encode("utf-8", "surrogatepass") for text in texts]
    assert packed_strings(texts).as_bytes() == expected
    if all(text is None or text.isprintable() for text in texts):
        column = pa.chunked_array([pa.array([*texts, "cut off"], pa.string())[:-1], pa.array(["more", None])])
        assert packed_strings(column).as_bytes() == [*expected, b"more", b""]


def test_null_and_empty_texts_have_no_score() -> None:
    scores = score(["", None, "x", " \n"], FUNCTIONS)
    assert np.isnan(scores).tolist() == [True, True, False, False]
    assert score([], FUNCTIONS).shape == (0,)


def test_short_texts_and_lone_surrogates_are_measured() -> None:
    assert np.isfinite(score(["a", "\udc80\udcff", "\0"], ["b"])).all()


def test_a_text_is_closest_to_itself() -> None:
    assert score([FUNCTIONS[0], FUNCTIONS[1]], [FUNCTIONS[0]]).argmax() == 0


@pytest.mark.parametrize(
    ("targets", "message"), [([], "no target"), (["x", ""], "document 2 of 2"), ([" \n"], "no text")]
)
def test_targets_without_text_are_refused(targets: list[str], message: str) -> None:
    with pytest.raises(BadDataError, match=message):
        score(["x"], targets)


def test_bad_parameters_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="stores"):
        score(["x"], ["y"], "gzip:0")
    with pytest.raises(UnknownNameError, match="known: max, mean, top-m"):
        score(["x"], ["y"], reduce="median")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="known: geometric, none, windows"):
        score(["x"], ["y"], length_control="some")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="at least one"):
        score(["x"], ["y"], sampled=0)
    with pytest.raises(UsageError, match="at least one"):
        score(["x"], ["y"], reduce="top-m", top_m=0)


@pytest.mark.parametrize(
    ("texts", "message"), [("abc", "one string"), ([1], "text 1 of 1"), (["a", None, b"x"], "bytes")]
)
def test_what_is_no_list_of_texts_is_refused(texts: Any, message: str) -> None:
    for refusing in (lambda: score(texts, ["y"]), lambda: best(texts, Aligner(["y"]), 1, confidence=1)):
        with pytest.raises(UsageError, match=message):
            refusing()


@pytest.mark.parametrize("size", [float("nan"), 0, -3])
def test_a_compressor_that_gives_no_size_is_refused(size: float) -> None:
    def measured(data: bytes) -> Any:
        return size if data.startswith(b"odd") else len(data) // 2 + 1 if data.count(data[:9]) > 1 else len(data)

    fake = Compressor("fake", "fake 1", 1_000, lambda data: measured(data) if len(data) < 512 else 600)
    with pytest.raises(BadDataError, match="'fake' measured a text at"):
        score(["fine", "odd text"], ["a target"], fake)


def test_selector_scores_the_text_column() -> None:
    selector = AlignmentSelector(FUNCTIONS, target="functions")
    assert isinstance(selector, Selector)
    assert (selector.name, selector.target) == ("align", "functions")
    items = pa.table({"item_id": ["a", "b"], "text": pa.array([PROSE[0], None], pa.string())})
    scores = selector.score(items)
    assert scores[0] == score(PROSE[:1], FUNCTIONS)[0]
    assert np.isnan(scores[1])
    assert np.isnan(selector.score(items.drop(["text"]))).all()


def test_selector_version_changes_with_what_the_scores_depend_on() -> None:
    versions = [
        AlignmentSelector(FUNCTIONS).version,
        AlignmentSelector(FUNCTIONS[1:]).version,
        AlignmentSelector(["".join(FUNCTIONS)]).version,
        AlignmentSelector(FUNCTIONS, Method("gzip")).version,
        AlignmentSelector(FUNCTIONS, Method("gzip:9")).version,
        AlignmentSelector(FUNCTIONS, Method(reduce="max")).version,
        AlignmentSelector(FUNCTIONS, Method(length_control="windows")).version,
        AlignmentSelector(FUNCTIONS, Method(reduce="top-m", length_control="windows", sampled=3)).version,
        Aligner(FUNCTIONS, Method(reduce="top-m")).version,
        Aligner(FUNCTIONS, Method(reduce="top-m", top_m=2)).version,
        Aligner(FUNCTIONS, Method(sampled=2)).version,
        Aligner(FUNCTIONS, Method(sampled=2, seed=1)).version,
    ]
    assert len(set(versions)) == len(versions)
    assert AlignmentSelector(list(FUNCTIONS), target="other name").version == versions[0]
    assert Aligner(FUNCTIONS).version == versions[0]
