"""Texts whose class hides behind a place: in training nearly every cat is in a kitchen and every dog in a street."""

from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.planted_captions import LEXICON
from curate.annotate.discovery.questions import Caption

LABELS = ("calm", "lively")
_PLACES = ("kitchen", "street")
_CLUES = (
    ("dozes", "rests", "yawns", "naps", "lingers", "lies still", "idles", "slumbers"),
    ("leaps", "darts", "chases", "bounds", "sprints", "jumps", "hops", "dashes"),
)
_FILLERS = ("A pet", "The animal", "One of them", "A small pet", "The old animal", "A young animal")


@dataclass(frozen=True, slots=True)
class Spurious:
    """Captions with labels, and the group of each: label and place."""

    captions: tuple[Caption, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...]


def spurious(count: int, seed: int, correlation: float, clear: float = 0.97) -> Spurious:
    """Return texts of which a share `correlation` has the place of its label, and a share `clear` the label's own word.

    The place is named twice, the word once: who learns from what is frequent learns the place.
    """
    random = Random(seed)
    captions, labels, groups = [], [], []
    for number in range(count):
        label = random.randrange(2)
        place = _PLACES[label if random.random() < correlation else 1 - label]
        clue = random.choice(_CLUES[label if random.random() < clear else random.randrange(2)])
        first, second = random.sample(LEXICON["place"][place], 2)
        text = f"{random.choice(_FILLERS)} {clue} {first}; the photo was taken {second}. No. {number}."
        captions.append(Caption(f"{seed}-{number:05d}", text, LABELS[label]))
        labels.append(LABELS[label])
        groups.append(f"{LABELS[label]} · {place}")
    return Spurious(tuple(captions), tuple(labels), tuple(groups))


def worst_group(right: NDArray[np.bool_], groups: tuple[str, ...]) -> tuple[str, float]:
    """Return the group with the lowest accuracy, and that accuracy."""
    names = np.array(groups)
    return min(((str(name), float(right[names == name].mean())) for name in set(groups)), key=lambda one: one[1])
