import numpy as np
import pytest

from curate.errors import BadDataError
from curate.select import coverage, fused, importance, minhash, tfidf
from curate.select.coverage import coverage_order
from curate.statistics import average_precision

PROSE = [line for line in (importance.__doc__ or "").split("\n\n") + (minhash.__doc__ or "").split("\n\n") if line]
CODE = [
    f"def {name}(width, height):\n    return {body}\n"
    for name, body in (("area", "width * height"), ("half", "width * height / 2"), ("sum_of", "width + height"))
]
TARGET = ["def perimeter(width, height):\n    return 2 * (width + height)\n"]


def test_the_fused_ranking_puts_the_targets_kind_first() -> None:
    found = fused.fused([*PROSE, *CODE, None, ""], TARGET)
    assert np.isnan(found.scores[-2:]).all()
    assert average_precision([False] * len(PROSE) + [True] * 3, found.scores[:-2]) == 1.0
    assert set(found.parts) == {"alignment", "trigrams", "4-grams", "words"}
    again = fused.fused([*PROSE, *CODE, None, ""], TARGET, found.parts)
    np.testing.assert_array_equal(again.scores, found.scores)


def test_a_copy_adds_little_and_waits() -> None:
    assert coverage_order(["(width, height):", "(width, height):", "return 2 * ("], TARGET).tolist() == [0, 2, 1]


def test_each_turn_takes_the_greatest_gain() -> None:
    texts = [*PROSE, *CODE]
    shared = coverage._shared(texts, TARGET)
    covered = np.full(len(shared.weights), coverage.SMOOTHING)
    lengths = [len(text.encode()) for text in texts]

    def gain(text: int) -> float:
        part = slice(shared.starts[text], shared.starts[text + 1])
        found = shared.ngrams[part]
        return float(shared.weights[found] @ np.log1p(shared.counts[part] / covered[found])) / lengths[text]

    left = set(range(len(texts)))
    for text in coverage_order(texts, TARGET).tolist():
        assert gain(text) == pytest.approx(max(map(gain, left)), abs=1e-15)
        left.remove(text)
        part = slice(shared.starts[text], shared.starts[text + 1])
        covered[shared.ngrams[part]] += shared.counts[part]


def test_the_kernel_orders_as_python_does() -> None:
    from curate.select.coverage_kernel import greedy

    texts = [*PROSE, *CODE] * 3
    shared = coverage._shared(texts, TARGET)
    factors = 1.0 / np.array([len(text) for text in texts])
    arguments = (shared.ngrams, shared.counts, shared.starts, shared.weights, factors)
    covered = [np.full(len(shared.weights), coverage.SMOOTHING) for _ in range(2)]
    one, other = greedy(*arguments, covered[0]), coverage._greedy(*arguments, covered[1])
    np.testing.assert_allclose(covered[0], covered[1])
    assert sorted(one.tolist()) == sorted(other.tolist()) == list(range(len(texts)))
    assert one[:5].tolist() == other[:5].tolist()


def test_no_target_is_refused() -> None:
    with pytest.raises(BadDataError):
        fused.fused(CODE, [])
    with pytest.raises(BadDataError, match="bytes"):
        coverage_order(CODE, ["a"])


def test_tfidf_is_scikit_learns() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [*PROSE, *CODE]
    pattern = r"\w+|[^\w\s]+"
    words = TfidfVectorizer(token_pattern=pattern).fit([*texts, *TARGET]).vocabulary_
    vectors = TfidfVectorizer(token_pattern=pattern, vocabulary=words).fit(texts)
    expected = (vectors.transform(texts) @ vectors.transform(TARGET).T).toarray().mean(axis=1)
    np.testing.assert_allclose(tfidf.tfidf_scores(texts, TARGET), expected, atol=0.03)
