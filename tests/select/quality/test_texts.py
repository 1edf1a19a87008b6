"""Published rules: bounds on either side, edge cases to the letter, and what is read over many texts at once."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import UnknownNameError, UsageError
from curate.select.quality.document import Document
from curate.select.quality.rules import RULE_SETS
from curate.select.quality.runs import covered_characters
from curate.select.quality.texts import TextQuality

STOP = "the cat and the dog have been with us to be kind of fun"
NAMES = "ant bee cow dog elk fox gnu hen ibex jay kiwi lynx mole newt owl pig quail rat seal tick urchin vole wasp yak"
VARIED = " ".join(f"{one}{other}" for one in NAMES.split() for other in ("house", "field", "garden"))
GOOD = f"{STOP}. {VARIED}."


def broken(name: str, text: str, **bounds: float) -> set[str]:
    (found,) = TextQuality([name], bounds=bounds).reasons([text])
    return set(found)


def words(count: int, word: str = "word") -> str:
    return " ".join([word] * count)


GOPHER = {
    "gopher_short_doc": (words(50), words(49)),
    "gopher_long_doc": (words(100_000, "abc"), words(100_001, "abc")),
    "gopher_below_avg_threshold": (words(60, "abc"), words(60, "abc") + " ab"),
    "gopher_above_avg_threshold": (words(60, "a" * 10), words(60, "a" * 10) + " " + "a" * 11),
    "gopher_too_many_hashes": (words(9) + " #", words(8) + " #"),
    "gopher_too_many_ellipsis": (words(9) + " ...", words(8) + " …"),
    "gopher_too_many_bullets": ("- one\n" * 9 + "two", "  • one\n" * 10 + "two"),
    "gopher_too_many_end_ellipsis": ("one...\n" * 3 + "two\n" * 7, "one…  \n" * 4 + "two\n" * 6),
    "gopher_below_alpha_threshold": (words(8) + " 1 2", words(8) + " 1 2 3"),
    "gopher_enough_stop_words": ("the cat of cats", "the the the The OF"),
}


@pytest.mark.parametrize("rule", GOPHER)
def test_gopher_objects_beyond_its_bound_and_not_at_it(rule: str) -> None:
    passing, failing = GOPHER[rule]
    assert rule not in broken("gopher-quality", passing)
    assert rule in broken("gopher-quality", failing)


LINES = [f"{name} {index}" for index, name in enumerate(NAMES.split())]
REPETITION = {
    "dup_line_frac": ("\n".join([*LINES[:7], *LINES[:3]]), "\n".join([*LINES[:6], *LINES[:3]])),
    "dup_para_frac": ("\n\n".join([*LINES[:7], *LINES[:3]]), "\n\n".join([*LINES[:6], *LINES[:3]])),
    "dup_line_char_frac": ("x" * 20 + "\n" + "x" * 20 + "y" * 59, "x" * 20 + "\n" + "x" * 20 + "\n" + "y" * 57),
    "dup_para_char_frac": ("a" * 40 + "\n\n" + "a" * 10, "a" * 20 + "\n\n" + "a" * 20 + "\n\n" + "b" * 50),
    "top_2_gram": ("ab cd " * 2 + "e" * 38, "ab cd " * 2 + "e" * 37),
}


@pytest.mark.parametrize("rule", REPETITION)
def test_repetition_objects_beyond_its_bound_and_not_at_it(rule: str) -> None:
    passing, failing = REPETITION[rule]
    assert rule not in broken("gopher-repetition", passing)
    assert rule in broken("gopher-repetition", failing)


def test_a_sentence_that_comes_again_is_found_by_the_long_runs() -> None:
    text = " ".join([VARIED, STOP, VARIED[:40], STOP])
    measures = next(TextQuality(["gopher-repetition"]).measures([text]))
    again = sum(map(len, STOP.split()))
    assert measures["duplicated_7_n_grams"] == pytest.approx((again) / len(text))
    assert broken("gopher-repetition", VARIED) == set()


def naive(text: str) -> dict[str, int]:
    """The paper's measures, read off one run of words after the other."""
    split = Document(text).words
    found = {}
    for n in range(2, 11):
        runs = [tuple(split[place : place + n]) for place in range(len(split) - n + 1)]
        if n < 5:
            best = Counter(runs).most_common(1)
            found[f"top_{n}"] = len(" ".join(best[0][0])) * best[0][1] if best else 0
            continue
        known, place, found[f"again_{n}"] = set(), 0, 0
        while place < len(runs):
            if runs[place] in known:
                found[f"again_{n}"] += sum(map(len, runs[place]))
                place += n
            else:
                known.add(runs[place])
                place += 1
    return found


@settings(max_examples=2 * settings().max_examples, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["a", "bc", "def", "..", "9"]), max_size=60).map(" ".join), max_size=4))
def test_runs_of_many_texts_are_those_of_each_read_word_by_word(texts: list[str]) -> None:
    found = covered_characters([Document(text) for text in texts])
    assert [{name: int(column[place]) for name, column in found.items()} for place in range(len(texts))] == [
        naive(text) for text in texts
    ]


KEPT = "This line is one sentence.\n"


@pytest.mark.parametrize(
    ("text", "objections"),
    [
        (KEPT * 5, set()),
        (KEPT * 4, {"too_few_sentences"}),
        (KEPT * 4 + "Two words.\n", {"too_few_sentences"}),
        (KEPT * 4 + "Just three words.\n", set()),
        (KEPT * 4 + "No mark at its end\n", {"too_few_sentences"}),
        (KEPT * 4 + "An ellipsis ends it...\n", {"too_few_sentences"}),
        (KEPT * 4 + "Please switch JavaScript on now.\n", {"too_few_sentences"}),
        (KEPT * 4 + "We use cookies. Read it all.\n", {"too_few_sentences"}),
        (KEPT * 4 + f"A long {'w' * 1001} here.\n", {"too_few_sentences"}),
        (KEPT * 4 + f"A long {'w' * 1000} here.\n", set()),
        (KEPT * 4 + "A claim that has a source.[12]\n", set()),
        (KEPT * 4 + 'She said "so it is."\n', set()),
        (KEPT * 3 + "Two are in it. This is so!\n", set()),
        (KEPT * 5 + "Lorem Ipsum dolor sit.\n", {"lorem_ipsum"}),
        (KEPT * 5 + "lorem ipsum in a title\n", set()),
        (KEPT * 5 + "It calls f() { and more.\n", {"curly_bracket"}),
        (KEPT * 5 + "f() {\n", set()),
    ],
)
def test_c4_counts_the_sentences_of_the_lines_that_it_keeps(text: str, objections: set[str]) -> None:
    assert broken("c4", text) == objections


def test_c4_paragraphs_asks_for_three_long_lines() -> None:
    assert broken("c4-paragraphs", "\n".join(["x" * 200] * 3)) == set()
    assert broken("c4-paragraphs", "\n".join(["x" * 200] * 2 + ["x" * 199] * 9)) == {"too_few_paragraphs"}


LONG = "a line of more than thirty characters"
FINEWEB = {
    "line_punct_ratio": ("\n".join([LONG] * 22 + [LONG + "."] * 3), "\n".join([LONG] * 23 + [LONG + "!"] * 3)),
    "short_line_ratio": ("\n".join(["x" * 30] * 67 + ["x" * 31] * 33), "\n".join(["x" * 30] * 68 + ["x" * 31] * 32)),
    "char_dup_ratio": ("ab\nab\n" + "c" * 196, "ab\nab\n" + "c" * 195),
    "list_ratio": ("a b c d e f g\n\n\nh i j", "a b c d e f\n\n\nh i j"),
}


@pytest.mark.parametrize("rule", FINEWEB)
def test_fineweb_objects_beyond_its_bound_and_not_at_it(rule: str) -> None:
    passing, failing = FINEWEB[rule]
    assert rule not in broken("fineweb", passing)
    assert rule in broken("fineweb", failing)


@pytest.mark.parametrize("text", ["", " \n\t ", None])
@pytest.mark.parametrize("name", RULE_SETS)
def test_an_empty_text_is_called_so(name: str, text: str | None) -> None:
    assert TextQuality([name]).reasons([text]) == [("empty",)]


@settings(max_examples=settings().max_examples, deadline=None)
@given(st.lists(st.text(st.characters(), max_size=80), max_size=5))
def test_any_text_has_reasons_and_they_do_not_depend_on_its_neighbours(texts: list[str]) -> None:
    quality = TextQuality(list(RULE_SETS))
    assert quality.reasons(texts) == [quality.reasons([text])[0] for text in texts]


def test_bounds_and_rules_left_out_are_in_the_version_and_in_force() -> None:
    usual = TextQuality(["gopher-quality"])
    lenient = TextQuality(["gopher-quality"], bounds={"gopher_short_doc": 3}, without=["gopher_enough_stop_words"])
    assert usual.version != lenient.version
    assert lenient.reasons(["just three words", "two words"]) == [(), ("gopher_short_doc",)]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"sets": ["gopher"]}, UnknownNameError, "unknown set of quality rules 'gopher'"),
        ({"sets": []}, UsageError, "no set of quality rules"),
        ({"sets": ["c4"], "without": ["list_ratio"]}, UnknownNameError, "unknown quality rule 'list_ratio'"),
        ({"sets": ["c4-paragraphs"], "without": ["too_few_paragraphs"]}, UsageError, "no quality rule is left"),
        ({"sets": ["c4"], "bounds": {"lorem_ipsum": float("nan")}}, UsageError, "is no number"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        TextQuality(**arguments)
