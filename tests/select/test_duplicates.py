import sys
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from curate.select.duplicates import normalized, signatures

# The A with ring comes composed, decomposed and as the unit sign; U+FB01 is a ligature of fi, U+017F a long s.
SAME = ["\u00c5ngström \ufb01les", "A\u030angstro\u0308m  files", "\u212bngström\tfile\u017f", " ångström\nFILES "]


def test_case_space_and_unicode_forms_do_not_matter() -> None:
    assert normalized(SAME[0]) == "ångström files"
    assert len(set(signatures(SAME))) == 1


def test_words_and_digits_matter() -> None:
    assert len(set(signatures(["a b", "ab", "a c", "a b 1", ""]))) == 5


def test_lone_surrogates_have_a_signature() -> None:
    assert signatures(["\udc80"]) != signatures(["\udc81"])


def test_normalizing_every_character_twice_changes_nothing() -> None:
    once = [normalized(f"a{chr(point)}b") for point in range(sys.maxunicode + 1) if not 0xD800 <= point < 0xE000]
    assert [text for text in once if normalized(text) != text] == []


@given(st.text())
def test_normalizing_twice_changes_nothing(text: str) -> None:
    assert normalized(normalized(text)) == normalized(text)


@given(st.text(st.characters(max_codepoint=127)))
def test_the_short_way_for_ascii_is_the_long_way(text: str) -> None:
    assert normalized(text) == " ".join(unicodedata.normalize("NFKC", text.casefold()).split())
