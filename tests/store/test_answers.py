"""People's answers from Label Studio's export: what is taken, what is refused, and that nothing makes it fall over."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import BadDataError
from curate.store.answers import read_answers
from curate.store.ingestion.canonical import text_id

QUESTIONS = {"kind": ("good", "bad"), "tone": ("calm", "loud")}


def result(attribute: Any = "kind", choices: Any = ("good",)) -> dict[str, Any]:
    chosen = list(choices) if isinstance(choices, tuple) else choices
    return {"from_name": attribute, "to_name": "text", "type": "choices", "value": {"choices": chosen}}


def task(*results: Any, data: Any = None, **annotation: Any) -> dict[str, Any]:
    annotations = [{"completed_by": 7, "result": list(results), **annotation}]
    return {"id": 1, "data": {"item_id": "a"} if data is None else data, "annotations": annotations}


def read(*tasks: Any) -> tuple[list[tuple[str, ...]], list[tuple[str, str]]]:
    answers, unusable = read_answers(json.dumps(tasks).encode(), QUESTIONS)
    taken = [(answer.item_id, answer.attribute, answer.value, answer.person) for answer in answers]
    return taken, [(entry.locator, entry.reason) for entry in unusable]


def test_one_answer_a_question() -> None:
    assert read(task(result(), result("tone", ("loud",)))) == (
        [("a", "kind", "good", "7"), ("a", "tone", "loud", "7")],
        [],
    )


def test_a_task_without_an_id_is_found_by_its_canonical_text() -> None:
    assert read(task(result(), data={"text": "one\r\ntwo"}))[0][0][0] == text_id("one\ntwo")


def test_a_person_is_a_number_never_an_address() -> None:
    taken, _ = read(task(result(), completed_by={"id": 12, "email": "eva@example.org"}))
    assert taken == [("a", "kind", "good", "12")]


def test_the_newest_answer_of_a_person_counts() -> None:
    old = task(result(choices=("bad",)), updated_at="2026-11-02T00:00:00Z")
    new = task(result(), updated_at="2026-11-03T00:00:00Z")
    assert read(new, old)[0] == read(old, new)[0] == [("a", "kind", "good", "7")]
    assert len(read(new, task(result(choices=("bad",)), completed_by=8))[0]) == 2


def test_a_cancelled_answer_is_none() -> None:
    assert read(task(result(), was_cancelled=True)) == ([], [])


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (task(result("colour")), "unknown-attribute"),
        (task(result(["kind"])), "unknown-attribute"),
        (task(result(choices=("ugly",))), "unknown-value"),
        (task(result(choices=(["good"],))), "unknown-value"),
        (task(result(choices=("good", "bad"))), "not-one-value"),
        (task(result(choices=())), "not-one-value"),
        (task({"type": "rectanglelabels", "value": {"x": 1}}), "not-a-choice"),
        (task(None), "not-a-choice"),
        (task(result(), data={"image": "x"}), "no-item"),
        (task(result(), data=[]), "no-item"),
        ({"id": 3, "text": "one", "kind": "good"}, "not-a-task"),
        (None, "not-a-task"),
        ({"data": {"item_id": "a"}, "annotations": [5]}, "not-a-choice"),
    ],
)
def test_what_cannot_be_used_is_named_and_the_rest_goes_on(given: Any, reason: str) -> None:
    taken, unusable = read(given, task(result("tone", ("calm",))))
    assert taken == [("a", "tone", "calm", "7")]
    assert unusable == [("task 1", reason)]


@pytest.mark.parametrize("content", [b"", b"{}", b"null", b"[", b"\xff", b'"a"', b"[" * 100_000])
def test_another_file_is_an_error(content: bytes) -> None:
    with pytest.raises(BadDataError) as caught:
        read_answers(content, QUESTIONS)
    assert caught.value.unchanged


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["kind", "good", "a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["data", "item_id", "text", "annotations", "result", "value", "choices", "from_name", "id"]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=3))
def test_nothing_makes_it_fall_over(tasks: list[Any]) -> None:
    answers, _ = read_answers(json.dumps([*tasks, task(result())]).encode(), QUESTIONS)
    assert ("a", "kind", "good") in {(answer.item_id, answer.attribute, answer.value) for answer in answers}
