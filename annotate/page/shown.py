"""What a person sees of an item and of a question: cut texts, images, events as a chart, keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from curate.annotate.protocol import Attribute
from curate.errors import BadDataError
from curate.types import NONE_OF_THEM, ItemContent, separate_values

SHOWN_CHARACTERS = 20_000
SHOWN_EVENTS = 200
WIDTH, LANE = 600, 22
_KEYS = "123456789abdefhijklmoqrtvwxyz"
"""Keys of values, in order; c, g, n, p, s and u are the page's own."""
_BEGINNINGS = {b"\x89PNG": "image/png", b"\xff\xd8": "image/jpeg", b"GIF8": "image/gif", b"RIFF": "image/webp"}


@dataclass(frozen=True, slots=True)
class Choice:
    """A value with its key ("" where the keys are used up) and its description."""

    value: str
    key: str
    description: str


@dataclass(frozen=True, slots=True)
class Lane:
    """The events of one type in the chart: `y` of its line, `xs` of its events."""

    type: int
    y: int
    xs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Events:
    """An event sequence as chart and table; both hold the first 200 events of `count`."""

    rows: Sequence[tuple[float, int]]
    count: int
    lanes: tuple[Lane, ...]
    height: int
    unit: str
    width: int = WIDTH


def shown_answer(answer: str) -> str:
    """Return an answer as a person reads it: of several values their list in words.

    >>> shown_answer("red"), shown_answer('["red", "blue"]'), shown_answer("[]")
    ('red', 'red, blue', 'none of them')
    """
    return ", ".join(separate_values(answer)) or NONE_OF_THEM


def choices(attribute: Attribute) -> list[Choice]:
    """Return an attribute's values with one key each."""
    keys = _KEYS + " " * len(attribute.values)
    return [
        Choice(value, key.strip(), attribute.descriptions.get(value, ""))
        for value, key in zip(attribute.values, keys, strict=False)
    ]


def shown_text(content: ItemContent) -> tuple[str, bool]:
    """Return a text's first 20,000 characters, and whether that is not all."""
    return content.text[:SHOWN_CHARACTERS], len(content.text) > SHOWN_CHARACTERS


def shown_events(content: ItemContent) -> Events:
    """Lay the first events of a sequence out in time, a line for each type."""
    rows = content.events[:SHOWN_EVENTS]
    times = [time for time, _ in rows] or [0.0]
    first, span = min(times), (max(times) - min(times)) or 1.0
    lanes = [
        Lane(
            type,
            LANE * place + LANE // 2,
            tuple(round(46 + (WIDTH - 56) * (time - first) / span, 1) for time, other in rows if other == type),
        )
        for place, type in enumerate(sorted({type for _, type in rows}))
    ]
    return Events(rows, len(content.events), tuple(lanes), LANE * max(1, len(lanes)), content.time_unit)


def image_type(content: ItemContent) -> str:
    """Return the media type of an item's image, as its first bytes say: a PNG, JPEG, GIF or WebP.

    Raises:
        BadDataError: it is none of these.
    """
    for beginning, kind in _BEGINNINGS.items():
        if content.image.startswith(beginning):
            return kind
    raise BadDataError(f"item {content.item_id[:16]} holds no image that a browser shows")
