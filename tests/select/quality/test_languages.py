"""Languages by py3langid: those that are wanted pass, others are named."""

import pytest

from curate.errors import UnknownNameError, UsageError
from curate.select.quality.languages import Language

ENGLISH = "This is a plain English sentence about nothing in particular."
GERMAN = "Dies ist ein ganz gewöhnlicher deutscher Satz über gar nichts."
FRENCH = "Ceci n'est pas une pipe, mais une phrase tout à fait ordinaire."


def test_other_languages_are_named_and_wanted_ones_pass() -> None:
    assert Language(["en"]).reasons([ENGLISH, GERMAN, FRENCH]) == [(), ("de",), ("fr",)]
    assert Language(["de", "fr"]).reasons([ENGLISH, GERMAN, FRENCH]) == [("en",), (), ()]


@pytest.mark.parametrize("text", ["", None, "12 + 7 = 19 !!", "\ud800"])
def test_what_shows_no_language_cannot_be_told(text: str | None) -> None:
    assert Language(["en"]).reasons([text]) == [("cannot be told",)]


def test_the_confidence_is_a_bound() -> None:
    _, (probability,) = Language(["en"]).identified([ENGLISH])
    assert Language(["en"], float(probability)).reasons([ENGLISH]) == [()]
    assert Language(["en"], float(probability) + 1e-6).reasons([ENGLISH]) == [("cannot be told",)]


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="language 'english'"):
        Language(["english"])
    with pytest.raises(UsageError, match="no language"):
        Language([])
    with pytest.raises(UsageError, match=r"1\.5"):
        Language(["en"], 1.5)
