"""What the ways of asking a language model have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from curate.annotate.batches import Content
from curate.types import Response


class Ask(Protocol):
    """Gets the answer to a request; `image` is what the reference in it stands for."""

    def __call__(self, path: str, payload: Mapping[str, Any], image: bytes | None = None) -> Response: ...


@dataclass(frozen=True)
class Opinion:
    """What the model said about one attribute of one text."""

    attribute: str
    value: str
    confidence: float


class UnusableAnswerError(Exception):
    """The model answered, and the answer is of no use; the message says why and shows its beginning."""

    def __init__(self, reason: str, answer: object = "") -> None:
        shown = " ".join(str(answer).split())[:120]
        super().__init__(f"{reason}: {shown!r}" if shown else reason)


class Way(Protocol):
    """A way of asking a model about one text or image: the requests it takes, and what their answers mean.

    `path` is appended to the service's address. `preparation` are requests that serve all items; `requests` are those
    of one text, as far as they are known before any answer. `opinions` asks (through a cache) and understands. What
    begins with the same prompt is a part; `part` "" means all of `parts`.
    """

    path: str

    @property
    def parts(self) -> Sequence[str]: ...

    def preparation(self) -> Sequence[Mapping[str, Any]]: ...

    def requests(self, shown: Content, part: str = "") -> Sequence[Mapping[str, Any]]: ...

    def opinions(self, shown: Content, ask: Ask, part: str = "") -> list[Opinion]: ...

    def definition(self) -> Mapping[str, Any]: ...


def first_choice(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the first choice of an answer's body.

    Raises:
        UnusableAnswerError: there is none.
    """
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise UnusableAnswerError("the answer has no choices", body)
    return choices[0]
