import random
import sys

import pytest
from data_selection.hashed_ngram_dsir import get_ngram_counts

from curate.errors import BadDataError
from curate.select import hashed_ngrams
from curate.select.hashed_ngrams import hashed_ngrams as ngrams_of

ODD = ["", "Ünï  ﬀ İstanbul 12_3 ²½ \x1c\x85 ٣ 中文。a-b", "नमस्ते दुनिया", "w" * 300 + " " + "v" * 55, "a\u200db Ⓐ!!"]


def letters(count: int) -> str:
    """Return assigned code points of all planes at random."""
    dice = random.Random(count)
    drawn = (
        chr(dice.choice([dice.randrange(128), dice.randrange(0x3000), dice.randrange(0x1F000)])) for _ in range(count)
    )
    return "".join(one for one in drawn if hashed_ngrams.category(one) not in ("Cn", "Cs"))


TEXTS = [*ODD, *(letters(size) for size in range(50, 90)), hashed_ngrams.__doc__ or ""]


@pytest.mark.parametrize("kernel", [True, False])
def test_counts_are_those_of_the_library(kernel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    trusted = hashed_ngrams.trusted_kernel()
    assert trusted is not None, "numba is installed, so its kernel is to be trusted"
    monkeypatch.setattr(hashed_ngrams, "_kernel", lambda size: trusted if kernel else None)
    for longest, buckets in ((2, 10_000), (3, 997)):
        found = ngrams_of(TEXTS, longest, buckets)
        for place, text in enumerate(TEXTS):
            values = found.values[found.starts[place] : found.starts[place + 1]]
            expected = get_ngram_counts(text, longest, buckets)
            assert hashed_ngrams.HashedNgrams(
                values, found.starts[:2], found.tokens, buckets
            ).counts().tolist() == list(expected)


def test_an_order_of_threads_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashed_ngrams, "_kernel", lambda size: hashed_ngrams.trusted_kernel())
    many = TEXTS * 40
    one, several = ngrams_of(many, threads=1), ngrams_of(many, threads=4)
    assert (one.values == several.values).all()
    assert (one.starts == several.starts).all()


def test_texts_without_words_and_lone_surrogates() -> None:
    found = ngrams_of([None, "", " \n", "\ud800 x"])
    assert found.lengths().tolist() == [0, 0, 0, 3]
    assert ngrams_of([]).lengths().tolist() == []


def test_more_buckets_than_fit_are_refused() -> None:
    with pytest.raises(BadDataError, match="65,536"):
        ngrams_of(["a"], buckets=1 << 17)


def test_the_character_classes_cover_all_of_unicode() -> None:
    assert len(hashed_ngrams._classes(sys.maxunicode + 1)) == sys.maxunicode + 1
