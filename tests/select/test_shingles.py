import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import ConfigurationError
from curate.select import shingles as module
from curate.select.shingles import Shingles, Shingling, jaccard, prepared, shingles

WORDS = Shingling("words", 3)


def cut(*texts: str, shingling: Shingling = WORDS) -> Shingles:
    return shingles([prepared(text, shingling.unit) for text in texts], shingling)


def runs(text: str, shingling: Shingling) -> list[tuple[str, ...]]:
    """The shingles of a text by the definition, as tuples of words or characters."""
    form = prepared(text, shingling.unit).decode("utf-8", "surrogatepass")
    units = form.split() if shingling.unit == "words" else list(form)
    return [
        tuple(units[k : k + shingling.size]) for k in range(max(len(units) - shingling.size + 1, min(len(units), 1)))
    ]


@given(
    st.lists(st.text(st.sampled_from("ab  Ñ東\n\0"), max_size=30), max_size=6),
    st.sampled_from(["words:1", "words:3", "characters:1", "characters:4"]),
)
def test_shingles_are_equal_where_the_runs_are(texts: list[str], name: str) -> None:
    shingling = Shingling.parse(name)
    found = cut(*texts, shingling=shingling)
    expected = [run for text in texts for run in runs(text, shingling)]
    assert np.diff(found.starts).tolist() == [len(runs(text, shingling)) for text in texts]
    numbers = dict(zip(expected, found.values.tolist(), strict=True))
    assert len(set(numbers.values())) == len(numbers)
    assert [numbers[run] for run in expected] == found.values.tolist()


def test_a_text_has_the_same_shingles_in_any_company(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [" ".join(random.Random(seed).choices(["one", "two", "three", "zwölf"], k=seed)) for seed in range(40)]
    together = cut(*texts)
    monkeypatch.setattr(module, "_PART_BYTES", 200)
    parted = cut(*texts)
    alone: Sequence[int] = [value for text in texts for value in cut(text).values.tolist()]
    assert together.values.tolist() == parted.values.tolist() == alone
    assert together.starts.tolist() == parted.starts.tolist()


def test_words_are_parted_where_a_script_sets_no_spaces() -> None:
    assert prepared("東京タワー is tall", "words").decode() == "東 京 タ ワ ー is tall"
    first, second = (cut(text).sets()(0) for text in ("我们今天去公园散步吧", "我们今天去公园散步了"))
    assert jaccard(first, second) == 7 / 9


def test_nothing_has_no_shingles() -> None:
    assert cut().starts.tolist() == [0]
    assert cut("", " \n").starts.tolist() == [0, 0, 0]
    assert cut("one two").starts.tolist() == [0, 1]


@given(st.sets(st.integers(0, 9)), st.sets(st.integers(0, 9)))
def test_jaccard_is_that_of_sets(first: set[int], second: set[int]) -> None:
    one, other = (np.array(sorted(values), np.uint64) for values in (first, second))
    assert jaccard(one, other) == len(first & second) / max(len(first | second), 1)


@pytest.mark.parametrize("name", ["words", "words:0", "words:51", "letters:3", "words:3 "])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="no shingles"):
        Shingling.parse(name)


def test_a_shingling_is_written_as_it_is_read() -> None:
    assert str(Shingling.parse("characters:9")) == "characters:9"
