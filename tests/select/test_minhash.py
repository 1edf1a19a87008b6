import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import ConfigurationError
from curate.select import minhash
from curate.select.minhash import (
    PERMUTATIONS,
    MinHash,
    banding,
    estimate,
    minima_of,
    packed,
    permutations,
    trusted_kernel,
)
from curate.select.shingles import Shingling, jaccard, prepared, shingles

WORDS = [f"word{number}" for number in range(500)]


def texts_of(seed: int, count: int = 60) -> list[str]:
    """Texts that share more or less of their words: every second one is an edited copy of the one before."""
    chance = random.Random(seed)
    found: list[str] = []
    for number in range(count):
        words = chance.choices(WORDS, k=chance.randint(0, 120))
        if number % 2:
            words = [word if chance.random() < 0.95 else "other" for word in found[-1].split()]
        found.append(" ".join(words))
    return found


@pytest.fixture
def with_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minhash, "_BYTES_WORTH_THE_KERNEL", 0)
    assert trusted_kernel() is not None


def test_the_kernel_repeats_numpy(with_kernel: None, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [*texts_of(1, 1_200), "", "東京タワー", "\udc80 x", "a" * 5_000]
    for name in ("words:3", "words:1", "characters:5"):
        method = MinHash(shingling=Shingling.parse(name))
        fast = method.sign(texts)
        with monkeypatch.context() as patch:
            patch.setattr(minhash, "trusted_kernel", lambda: None)
            slow = method.sign(texts)
        assert (fast.minima == slow.minima).all()
        assert (fast.shingles.values == slow.shingles.values).all()
        assert (fast.shingles.starts == slow.shingles.starts).all()


@given(st.lists(st.text(st.sampled_from("ab 東\0"), max_size=12), max_size=5))
def test_the_kernel_repeats_numpy_on_odd_texts(texts: list[str]) -> None:
    kernel = trusted_kernel()
    assert kernel is not None
    forms = [prepared(text, "words") for text in texts]
    expected = shingles(forms, Shingling("words", 2))
    found, minima = kernel.signatures(forms, Shingling("words", 2), *permutations())
    assert (found.values == expected.values).all()
    assert (minima == minima_of(expected)).all()


def test_signatures_never_change() -> None:
    """Stores hold them: another value needs another version."""
    signed = MinHash().sign(["the quick brown fox jumps", "東京 tower"])
    assert signed.minima[:, :3].tolist() == [[279943828, 177941174, 1236217063], [2431865085, 1579949460, 621299785]]
    assert MinHash().keys(signed.minima)[:, 0].tolist() == [-3744997979212201883, 7206940313187124379]


def test_the_estimate_is_close_to_the_similarity() -> None:
    texts = texts_of(2, 400)
    signed = MinHash().sign(texts)
    sets = signed.shingles.sets()
    both = [place for place in range(0, 400, 2) if signed.present[place] and signed.present[place + 1]]
    true = np.array([jaccard(sets(place), sets(place + 1)) for place in both])
    kept = packed(signed.minima)
    error = estimate(kept[both], kept[[place + 1 for place in both]]) - true
    assert abs(error.mean()) < 0.01
    assert error.std() < 1.2 * np.sqrt((true * (1 - true)).mean() / PERMUTATIONS)


def test_unlike_texts_have_unlike_signatures() -> None:
    signed = MinHash().sign(["one two three four five", "six seven eight nine ten"])
    assert estimate(*packed(signed.minima)) < 0.05
    assert not set(MinHash().keys(signed.minima)[0]) & set(MinHash().keys(signed.minima)[1])


@pytest.mark.parametrize(("threshold", "rows", "bands"), [(0.5, 3, 42), (0.8, 6, 21), (0.9, 10, 12), (1.0, 128, 1)])
def test_the_banding_finds_what_lies_at_the_threshold(threshold: float, rows: int, bands: int) -> None:
    assert banding(threshold) == (bands, rows)
    assert banding(threshold).recall(threshold) >= 0.99


def test_bands_find_the_share_of_pairs_that_they_promise() -> None:
    chance = np.random.default_rng(3)
    method, similarity, pairs = MinHash(), 0.7, 2_000
    first = chance.integers(0, 2**32, (pairs, PERMUTATIONS), np.uint32)
    same = chance.random((pairs, PERMUTATIONS)) < similarity
    second = np.where(same, first, chance.integers(0, 2**32, (pairs, PERMUTATIONS), np.uint32))
    found = (method.keys(first) == method.keys(second)).any(axis=1).mean()
    assert abs(found - method.banding.recall(similarity)) < 0.04


def test_keys_of_other_parameters_never_meet() -> None:
    minima = MinHash().sign(texts_of(4)).minima
    one, other = (set(MinHash(threshold).keys(minima).ravel().tolist()) for threshold in (0.8, 0.81))
    assert not one & other


def test_a_text_without_words_has_no_signature() -> None:
    assert MinHash().sign(["", "  ", "word"]).present.tolist() == [False, False, True]


def test_no_texts_are_no_signatures(with_kernel: None) -> None:
    signed = MinHash().sign([])
    assert signed.minima.shape == (0, PERMUTATIONS)
    assert MinHash().keys(signed.minima).shape == (0, 21)


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.1])
def test_a_threshold_that_says_nothing_is_refused(threshold: float) -> None:
    with pytest.raises(ConfigurationError, match="threshold"):
        MinHash(threshold)
