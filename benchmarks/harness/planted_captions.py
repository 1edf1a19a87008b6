"""Captions with planted subpopulations: class x action x place x weather, correlated, with words left out and noise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from curate.annotate.discovery.questions import Caption

CLASSES = ("cat", "dog", "horse")
LEXICON: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "action": {
        "sleeping": ("sleeping", "sleeping peacefully", "asleep"),
        "eating": ("eating", "eating a meal", "having a snack"),
        "running": ("running", "running fast", "racing around"),
        "playing": ("playing", "playing with a ball", "in a playful mood"),
    },
    "place": {
        "kitchen": ("in a kitchen", "in the kitchen", "beside the kitchen stove"),
        "beach": ("on a beach", "on the sandy beach", "by the sea"),
        "forest": ("in a forest", "in the forest", "among the forest trees"),
        "street": ("on a street", "in a busy street", "on a city street"),
    },
    "weather": {
        "rain": ("in the rain", "on a rainy day", "while rain is falling"),
        "snow": ("in the snow", "on a snowy day", "while snow is falling"),
        "sun": ("in the sun", "on a sunny day", "under a bright sun"),
        "fog": ("in the fog", "on a foggy day", "wrapped in fog"),
    },
}
_OPENINGS = ("A {} is {}", "A photo of a {} {}", "The {} here is {}", "There is a {} {}")
_NOISE = ("", "", " There is a red sign.", " The picture is slightly blurred.", " A person stands behind it.")


@dataclass(frozen=True, slots=True)
class Planted:
    """Captions, and the attribute of each that was meant, whether the caption says it or not."""

    captions: tuple[Caption, ...]
    meant: tuple[Mapping[str, str], ...]

    def said(self) -> list[dict[str, str]]:
        """Return what each caption says of what was meant."""
        return [
            {dimension: value for dimension, value in meant.items() if _says(caption.text, dimension, value)}
            for caption, meant in zip(self.captions, self.meant, strict=True)
        ]


def plant(count: int, seed: int, *, correlation: float = 0.4, left_out: float = 0.08) -> Planted:
    """Return so many different captions; with probability `correlation` the class decides the place."""
    random = Random(seed)
    captions: list[Caption] = []
    meant: list[Mapping[str, str]] = []
    seen: set[str] = set()
    while len(captions) < count:
        of_class = random.choice(CLASSES)
        values = {dimension: random.choice(list(forms)) for dimension, forms in LEXICON.items()}
        if random.random() < correlation:
            values["place"] = list(LEXICON["place"])[CLASSES.index(of_class)]
        text = _written(of_class, values, random, left_out)
        if text not in seen:
            seen.add(text)
            captions.append(Caption(f"{len(captions):05d}", text, of_class))
            meant.append(values)
    return Planted(tuple(captions), tuple(meant))


def canonical(dimension: str, name: str) -> str:
    """Return the planted attribute that a name of an attribute means; "" where it means none.

    >>> canonical("place", "sandy beach"), canonical("weather", "rainy"), canonical("place", "moon")
    ('beach', 'rain', '')
    """
    from curate.annotate.discovery.words import stems

    for value, forms in LEXICON[dimension].items():
        words = frozenset[str]().union(*(stems(form) for form in (value, *forms))) - _VAGUE
        if stems(name) & words:
            return value
    return ""


def planted_dimension(attributes: Sequence[str]) -> str:
    """Return the planted dimension that most of these attributes belong to; "" where fewer than half do."""
    counts = {one: sum(bool(canonical(one, name)) for name in attributes) for one in LEXICON}
    best = max(counts, key=counts.__getitem__)
    return best if attributes and 2 * counts[best] >= len(attributes) else ""


_VAGUE = frozenset({"day", "busi", "bus", "fast", "bright", "ball", "fall", "mood", "around", "wrap", "while"})


def _written(of_class: str, values: Mapping[str, str], random: Random, left_out: float) -> str:
    said = {d: random.choice(LEXICON[d][value]) for d, value in values.items() if random.random() >= left_out}
    text = random.choice(_OPENINGS).format(of_class, said.get("action", "in view"))
    rest = [said[one] for one in ("place", "weather") if one in said]
    random.shuffle(rest)
    return " ".join([text, *rest]) + "." + random.choice(_NOISE)


def _says(text: str, dimension: str, value: str) -> bool:
    return any(form in text for form in LEXICON[dimension][value])
