"""Texts that hold evaluation items: shares as counted by hand, and copies that differ."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import BadDataError, UnknownNameError, UsageError
from curate.select.decontamination.matching import AlignedPassages, Match, SharedRuns
from curate.select.decontamination.runs import Evaluations, RunIndex, words_only

QUESTION = (
    "A farmer has seventeen sheep and sells all but nine of them at the market on Tuesday; "
    "how many sheep does the farmer still own when the week ends?"
)
OTHER = "Which river flows through the capital of the country that borders both Chad and the Atlantic Ocean?"
SET = {"maths.jsonl:1": QUESTION, "places.jsonl:7": OTHER}
AROUND = "The weather was fine and the boats went out early that morning. " * 40


def matchers(share: float = 0.5) -> list[SharedRuns | AlignedPassages]:
    return [SharedRuns(Evaluations(SET), share), AlignedPassages(Evaluations(SET), share)]


@pytest.mark.parametrize("matcher", matchers(), ids=["shared runs", "alignment"])
@pytest.mark.parametrize(
    "text",
    [
        QUESTION,
        QUESTION.upper(),
        "\n".join(f"> {word}" for word in QUESTION.split()),
        QUESTION.replace(" ", "\u00a0\t").replace(";", " --"),
        AROUND + QUESTION + AROUND,
    ],
    ids=["verbatim", "capitals", "re-wrapped", "spaces and marks", "embedded"],
)
def test_copies_are_found_by_name(matcher: SharedRuns | AlignedPassages, text: str) -> None:
    found, *others = matcher.matches([text, AROUND, "", None, "one"])
    assert found is not None
    assert found.evaluation == "maths.jsonl:1"
    assert found.share > 0.9
    assert others == [None] * 4


def test_alignment_sees_through_wrong_letters_where_runs_do_not() -> None:
    generator = random.Random(3)
    struck = "".join("x" if generator.random() < 0.06 else letter for letter in QUESTION)
    runs, alignment = matchers()
    text = AROUND + struck + AROUND
    assert runs.matches([text]) == [None]
    [found] = alignment.matches([text])
    assert found is not None
    assert found.evaluation == "maths.jsonl:1"


def test_the_item_that_a_text_holds_most_of_is_named() -> None:
    half = " ".join(QUESTION.split()[:14])
    [found] = SharedRuns(Evaluations(SET), 0.3).matches([f"{half} {OTHER}"])
    assert found == Match("places.jsonl:7", 1.0)


def test_of_two_items_that_a_text_holds_whole_the_first_is_named() -> None:
    assert SharedRuns(Evaluations(SET)).matches([f"{OTHER} {QUESTION}"]) == [Match("maths.jsonl:1", 1.0)]


def test_the_passage_is_where_most_of_the_item_stands_however_its_words_drift() -> None:
    words = [f"{one}{other}" for one in ("ba", "ke", "li", "mo", "nu") for other in ("cat", "dos", "fig", "gel", "hop")]
    item = " ".join(word + end for end in ("s", "t") for word in words)
    drifting = " also ".join(" ".join(item.split()[start : start + 5]) for start in range(0, 50, 5))
    decoy = " ".join(item.split()[20:28])
    [found] = AlignedPassages(Evaluations({"item": item})).matches([f"{decoy} {AROUND} {drifting}"])
    assert found is not None
    assert found.share > 0.75


def test_half_of_an_item_is_half_of_it() -> None:
    words = QUESTION.split()
    [found] = SharedRuns(Evaluations(SET), 0.4).matches([" ".join(words[: len(words) // 2])])
    assert found is not None
    assert found.share == pytest.approx(0.5, abs=0.02)
    assert SharedRuns(Evaluations(SET), 0.55).matches([" ".join(words[: len(words) // 2])]) == [None]


def naive(item: list[str], text: list[str], size: int) -> float:
    width = min(size, len(item))
    runs = {tuple(text[place : place + size]) for place in range(max(1, len(text) - size + 1))}
    covered = {
        place + offset
        for place in range(len(item) - width + 1)
        if tuple(item[place : place + width]) in runs
        for offset in range(width)
    }
    return len(covered) / len(item)


WORDS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=25)


@settings(max_examples=3 * settings().max_examples // 2, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=4, unique_by=tuple), st.lists(WORDS, max_size=4), st.integers(1, 5))
def test_shares_are_those_counted_word_by_word(items: list[list[str]], texts: list[list[str]], size: int) -> None:
    index = RunIndex(Evaluations({str(number): " ".join(item) for number, item in enumerate(items)}), size)
    found = index.overlaps([" ".join(text).encode() for text in texts])
    shares = {
        (text, item): share
        for text, item, share in zip(found.texts.tolist(), found.items.tolist(), found.shares.tolist(), strict=True)
    }
    expected = {
        (text, item): naive(items[item], texts[text], size) for text in range(len(texts)) for item in range(len(items))
    }
    assert shares == pytest.approx({pair: share for pair, share in expected.items() if share})


def test_phrasing_that_many_items_share_does_not_count() -> None:
    frame = "answer the following question about the text above with one word only"
    items = {str(number): f"{frame} subject{number} matter{number}" for number in range(20)}
    items["alone"] = frame
    matcher = SharedRuns(Evaluations(items), 0.5)
    assert matcher.uncomparable == ("alone",)
    assert matcher.matches([f"please {frame}", f"{frame} subject3 matter3"]) == [None, Match("3", 1.0)]


def test_equal_items_count_once_and_empty_ones_are_named() -> None:
    evaluations = Evaluations({"first": "One item, of words", "blank": " \n", "again": "one item of WORDS!"})
    assert evaluations.names == ["first"]
    assert evaluations.unusable == ("blank",)
    assert SharedRuns(evaluations).uncomparable == ("blank",)


def test_scripts_without_spaces_and_lone_surrogates_are_compared_too() -> None:
    chinese = "东京是日本的首都也是世界上人口最多的城市之一"
    broken = "a lone \ud800 surrogate stands between these plain old words"
    evaluations = Evaluations({"zh": chinese, "broken": broken})
    found = SharedRuns(evaluations).matches([f"据说{chinese}。", f"{broken.upper()}!"])
    assert [match and match.evaluation for match in found] == ["zh", "broken"]
    assert words_only("日本 Tower") == "日 本 tower".encode()


def test_an_item_beyond_the_window_is_compared_by_its_beginning() -> None:
    generator = random.Random(1)
    book = " ".join("".join(generator.choices("abcdefghij", k=6)) for _ in range(5_000))
    [found] = AlignedPassages(Evaluations({"book": book})).matches([book])
    assert found is not None
    assert found.share > 0.9


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Evaluations({}), BadDataError, "no evaluation item"),
        (lambda: Evaluations({"a": "--"}), BadDataError, "no evaluation item"),
        (lambda: SharedRuns(Evaluations(SET), 0.0), UsageError, "share of 0"),
        (lambda: SharedRuns(Evaluations(SET), float("nan")), UsageError, "share of nan"),
        (lambda: SharedRuns(Evaluations(SET), size=0), UsageError, "0 words"),
        (lambda: AlignedPassages(Evaluations(SET), compressor="brotli"), UnknownNameError, "brotli"),
    ],
)
def test_what_makes_no_sense_is_refused(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()
