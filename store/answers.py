"""People's answers out of Label Studio's JSON export: pure parsing, no database."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curate.errors import BadDataError
from curate.store.ingestion.canonical import text_id
from curate.types import NONE_OF_THEM, joined_values


@dataclass(frozen=True, slots=True)
class Answer:
    """One person's answer to one question about one item.

    `person` is Label Studio's number of the person: names and addresses are not taken over. `answered_at` is when the
    answer was last changed, as the export says; the newer of two is the one that counts.
    """

    item_id: str
    attribute: str
    value: str
    person: str
    answered_at: str
    locator: str


@dataclass(frozen=True, slots=True)
class UnusableAnswer:
    """What could not be taken in: where it stands, why, and a hash of the task that it is in."""

    locator: str
    reason: str
    detail: str
    fingerprint: str


def read_answers(
    content: bytes, questions: Mapping[str, Sequence[str]], multiple: Collection[str] = ()
) -> tuple[list[Answer], list[UnusableAnswer]]:
    """Return the answers in an export (format JSON) to `questions`, the values of each attribute, and what is unusable.

    Of attributes that are `multiple` an answer is a list of values, or the choice "none of them" alone.
    An item is found by `item_id` in the task's data, else by its text. Cancelled answers are no answers. Of a person's
    several answers to one question about one item the newest is returned. Memory: the whole file.

    Raises:
        BadDataError: this is no Label Studio export in the format JSON.

    >>> result = '{"from_name": "kind", "type": "choices", "value": {"choices": ["good"]}}'
    >>> task = '{"data": {"item_id": "a"}, "annotations": [{"completed_by": 7, "result": [%s]}]}' % result
    >>> answers, unusable = read_answers(f"[{task}]".encode(), {"kind": ["good", "bad"]})
    >>> answers[0].value, answers[0].person, unusable
    ('good', '7', [])
    """
    newest: dict[tuple[str, str, str], Answer] = {}
    unusable = []
    for position, task in enumerate(_tasks(content), start=1):
        for found in _answers(task, f"task {position}", questions, multiple):
            if isinstance(found, UnusableAnswer):
                unusable.append(found)
                continue
            key = (found.item_id, found.attribute, found.person)
            if key not in newest or found.answered_at >= newest[key].answered_at:
                newest[key] = found
    return list(newest.values()), unusable


def _tasks(content: bytes) -> list[Any]:
    try:
        tasks = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadDataError(f"this is not JSON: {error}", unchanged="nothing was taken in") from error
    if not isinstance(tasks, list):
        raise BadDataError(
            "this is no list of tasks", unchanged="nothing was taken in", hint="export from Label Studio as JSON"
        )
    return tasks


class _UnusableError(Exception):
    """Carries reason and detail up to where the task is known."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def _answers(
    task: Any, locator: str, questions: Mapping[str, Sequence[str]], multiple: Collection[str]
) -> Iterator[Answer | UnusableAnswer]:
    fingerprint = hashlib.sha256(json.dumps(task, sort_keys=True).encode()).hexdigest()[:16]
    try:
        item, annotations = _annotations(task)
    except _UnusableError as error:
        yield UnusableAnswer(locator, error.reason, error.detail, fingerprint)
        return
    for annotation in annotations:
        for result in _results(annotation):
            try:
                attribute, value = _choice(result, questions, multiple)
                yield Answer(item, attribute, value, *_who_and_when(annotation), locator)
            except _UnusableError as error:
                yield UnusableAnswer(locator, error.reason, error.detail, fingerprint)


def _annotations(task: Any) -> tuple[str, list[Any]]:
    if not isinstance(task, dict) or not isinstance(task.get("annotations"), list):
        raise _UnusableError("not-a-task", "it has no list of annotations; export as JSON, not as JSON-MIN")
    data = task.get("data")
    if isinstance(data, dict):
        if isinstance(data.get("item_id"), str):
            return data["item_id"], task["annotations"]
        if isinstance(data.get("text"), str):
            return text_id(data["text"]), task["annotations"]
    raise _UnusableError("no-item", "its data has neither item_id nor text")


def _results(annotation: Any) -> list[Any]:
    if not isinstance(annotation, dict) or not isinstance(annotation.get("result"), list):
        return [None]
    return [] if annotation.get("was_cancelled") else annotation["result"]


def _choice(result: Any, questions: Mapping[str, Sequence[str]], multiple: Collection[str]) -> tuple[str, str]:
    """The attribute and the value that a result says, or the list of its values in the order of the attribute."""
    value = result.get("value") if isinstance(result, dict) else None
    choices = value.get("choices") if isinstance(value, dict) else None
    if not isinstance(choices, list):
        raise _UnusableError("not-a-choice", "a result that is no choice among values")
    attribute = result.get("from_name")
    if not isinstance(attribute, str) or attribute not in questions:
        raise _UnusableError("unknown-attribute", f"the protocol has no attribute {attribute!r}")
    if len(choices) != 1 and attribute not in multiple:
        raise _UnusableError("not-one-value", f"{attribute}: {len(choices)} values instead of one")
    if attribute in multiple and NONE_OF_THEM in choices and NONE_OF_THEM not in questions[attribute]:
        if len(choices) > 1:
            raise _UnusableError("contradiction", f"{attribute}: {NONE_OF_THEM!r}, and {len(choices) - 1} besides")
        choices = []
    for choice in choices:
        if choice not in questions[attribute]:
            raise _UnusableError("unknown-value", f"{attribute} has no value {choice!r}")
    if attribute in multiple:
        return attribute, joined_values(value for value in questions[attribute] if value in choices)
    return attribute, choices[0]


def _who_and_when(annotation: Mapping[str, Any]) -> tuple[str, str]:
    person = annotation.get("completed_by")
    if isinstance(person, dict):
        person = person.get("id")
    return str(person if isinstance(person, int) else 0), str(annotation.get("updated_at") or "")
