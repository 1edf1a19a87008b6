"""Training texts in which evaluation items are planted: verbatim, re-wrapped, with wrong letters, inside others."""

from __future__ import annotations

import random
import string
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_AROUND = 4
Plant = Callable[[str, Sequence[str], random.Random], str]


@dataclass(frozen=True, slots=True)
class Planted:
    """A training text: how an evaluation item was planted in it and which, "" and -1 where none was."""

    text: str
    way: str
    item: int


def planted(items: Sequence[str], pool: Sequence[str], each: int, seed: int) -> list[Planted]:
    """Return texts of which `each` have an item planted in each way, and the pool's others, shuffled.

    Four texts of the pool go around each item that is embedded.
    """
    generator = random.Random(seed)
    around = list(pool)
    generator.shuffle(around)
    texts: list[Planted] = []
    for way, plant in WAYS.items():
        for _ in range(each):
            number = generator.randrange(len(items))
            others = [around.pop() for _ in range(_AROUND)] if way.startswith("embedded") else []
            texts.append(Planted(plant(items[number], others, generator), way, number))
    texts += [Planted(text, "", -1) for text in around]
    generator.shuffle(texts)
    return texts


def rewrapped(text: str, generator: random.Random) -> str:
    """Break lines elsewhere, begin each with an indentation or a mark of quotation, and write some all in capitals."""
    prefix = generator.choice(["", "    ", "> ", "# ", "\t"])
    lines = textwrap.wrap(" ".join(text.split()), generator.randrange(30, 90), break_long_words=False)
    wrapped = "\n".join(prefix + line for line in lines)
    return wrapped.upper() if generator.random() < 0.3 else wrapped


def noisy(text: str, share: float, generator: random.Random) -> str:
    """Replace, leave out or double a share of the characters, as bad recognition or typing does."""
    return "".join(_struck(character, generator) if generator.random() < share else character for character in text)


def _struck(character: str, generator: random.Random) -> str:
    return generator.choice([generator.choice(string.ascii_lowercase), "", character * 2])


def embedded(text: str, around: Sequence[str], generator: random.Random) -> str:
    """Put a text between others, at a place drawn at random."""
    place = generator.randrange(len(around) + 1)
    return "\n\n".join([*around[:place], text, *around[place:]])


def _with_noise(share: float) -> Plant:
    return lambda item, around, generator: noisy(item, share, generator)


WAYS: Mapping[str, Plant] = {
    "verbatim": lambda item, around, generator: item,
    "re-wrapped": lambda item, around, generator: rewrapped(item, generator),
    "embedded": embedded,
    "2% wrong letters": _with_noise(0.02),
    "5% wrong letters": _with_noise(0.05),
    "10% wrong letters": _with_noise(0.1),
    "embedded, 5% wrong letters": lambda item, around, generator: embedded(
        noisy(item, 0.05, generator), around, generator
    ),
}
"""The ways of planting by name: from an item, texts to put around it and a generator to a training text."""
