"""Texts, images and event sequences with nothing wrong, and the same with one fault planted in each."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Fault = Callable[[str, random.Random], str]
Event = dict[str, float | int]

LANGUAGES = {
    "cs": "cs_CZ", "de": "de_DE", "el": "el_GR", "fr": "fr_FR", "he": "he_IL", "ja": "ja_JP", "nl": "nl_NL",
    "pl": "pl_PL", "ru": "ru_RU",
}  # fmt: skip
"""Languages with a vocabulary of their own in faker, by the code of ISO 639."""


def _each_word(change: Callable[[str], str]) -> Fault:
    return lambda text, generator: " ".join(map(change, text.split()))


TEXT_FAULTS: Mapping[str, Fault] = {
    "gopher_short_doc": lambda text, generator: " ".join(text.split()[:30]),
    "gopher_below_avg_threshold": _each_word(lambda word: word[:2]),
    "gopher_above_avg_threshold": _each_word(lambda word: word * 3),
    "gopher_too_many_hashes": _each_word(lambda word: f"#{word} {word}"),
    "gopher_too_many_ellipsis": _each_word(lambda word: f"{word}... {word}"),
    "gopher_too_many_bullets": lambda text, generator: "\n".join(f"- {line}" for line in text.split(". ")),
    "gopher_too_many_end_ellipsis": lambda text, generator: "...\n".join(text.split(". ")),
    "gopher_below_alpha_threshold": _each_word(lambda word: f"{word} {len(word)}{len(word)}"),
    "dup_line_frac": lambda text, generator: "\n".join([text[:80], *text.split(". ")[:3], *[text[:80]] * 4]),
    "duplicated_10_n_grams": lambda text, generator: f"{text} and once more: {text}",
    "too_few_sentences": lambda text, generator: text.replace(".", ","),
    "curly_bracket": lambda text, generator: text[:-1] + " {x: 1}.",
    "lorem_ipsum": lambda text, generator: f"Lorem ipsum dolor sit amet. {text}",
    "short_line_ratio": lambda text, generator: "\n".join(
        " ".join(text.split()[place : place + 3]) for place in range(0, len(text.split()), 3)
    ),
}
"""What turns a good text into one to which the rule of that name must object."""


def foreign(language: str, count: int, seed: int) -> list[str]:
    """Return texts of a few sentences with the words of a language (made by faker)."""
    from faker import Faker

    faker = Faker(LANGUAGES[language])
    faker.seed_instance(seed)
    return [faker.paragraph(nb_sentences=6) for _ in range(count)]


def photographs(count: int, seed: int) -> list[NDArray[np.uint8]]:
    """Return pieces of 240 x 320 pixels of the two photographs that scikit-learn brings."""
    from sklearn.datasets import load_sample_images

    generator = np.random.default_rng(seed)
    photos: Sequence[NDArray[np.uint8]] = load_sample_images().images
    pieces = []
    for number in range(count):
        photo = photos[number % len(photos)]
        top, left = (int(generator.integers(0, most)) for most in (photo.shape[0] - 240, photo.shape[1] - 320))
        pieces.append(photo[top : top + 240, left : left + 320])
    return pieces


def _resized(width: int, height: int) -> Callable[[Any, np.random.Generator], Any]:
    return lambda picture, generator: picture.resize((width, height))


def _blurred(picture: Any, generator: np.random.Generator) -> Any:
    from PIL import ImageFilter

    return picture.filter(ImageFilter.GaussianBlur(float(generator.uniform(5, 9))))


def _solid(picture: Any, generator: np.random.Generator) -> Any:
    from PIL import Image

    return Image.new("RGB", picture.size, tuple(generator.integers(0, 256, 3).tolist()))


def _noise(picture: Any, generator: np.random.Generator) -> Any:
    from PIL import Image

    return Image.fromarray(generator.integers(0, 256, (picture.height, picture.width, 3), np.uint8))


IMAGE_FAULTS: Mapping[str, Callable[[Any, np.random.Generator], Any]] = {
    "short_side": _resized(320, 120),
    "aspect_ratio": _resized(900, 220),
    "blurred": _blurred,
    "dark": lambda picture, generator: picture.point(lambda level: level // 6),
    "bright": lambda picture, generator: picture.point(lambda level: 246 + level // 30),
    "near_solid": _solid,
    "compressible": _solid,
    "incompressible": _noise,
}
"""What turns a photograph into one to which the rule of that name must object."""


def encoded(picture: Any) -> bytes:
    """Return a picture as PNG."""
    written = io.BytesIO()
    picture.save(written, "PNG")
    return written.getvalue()


def sequence(generator: np.random.Generator) -> list[Event]:
    """Return 20 to 60 events of three types in order, at intervals of an exponential distribution."""
    times = np.cumsum(generator.exponential(1.0, int(generator.integers(20, 60))))
    return [{"time": float(time), "type": int(generator.integers(3))} for time in times]


def _swapped(events: list[Event], generator: np.random.Generator) -> list[Event]:
    place = int(generator.integers(1, len(events)))
    return [*events[:place], {**events[place], "time": events[place - 1]["time"] - 0.5}, *events[place + 1 :]]


def _impossible(events: list[Event], generator: np.random.Generator) -> list[Event]:
    place = int(generator.integers(len(events)))
    wrong = float(generator.choice([np.nan, np.inf, -1e9]))
    return [*events[:place], {**events[place], "time": wrong}, *events[place + 1 :]]


EVENT_FAULTS: Mapping[str, Callable[[list[Event], np.random.Generator], list[Event]]] = {
    "too_few_events": lambda events, generator: events[:1],
    "long_gap": lambda events, generator: [*events, {"time": events[-1]["time"] * 20, "type": 0}],
    "disorder": _swapped,
    "impossible_times": _impossible,
    "repeated_events": lambda events, generator: [event for event in events[:8] for _ in range(4)],
}
"""What turns a sequence into one to which the rule of that name must object."""
