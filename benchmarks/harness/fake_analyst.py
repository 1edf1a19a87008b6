"""A fake analyst: a fixed function of each question that knows the planted words; it errs on demand, by a hash."""

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from benchmarks.harness.planted_captions import LEXICON
from curate.annotate.discovery.analyst import Answer, Question
from curate.annotate.discovery.questions import NONE_OF_THESE
from curate.annotate.discovery.words import UNKNOWN

_LINE = re.compile(r"^(\d+): (.*)$", re.MULTILINE)
_ASIDES = ("unacceptable criteria", "other", "mysterious aura", "pixel grain", "n/a")


class FakeAnalyst:
    """Finds the planted words in what it is shown. Of its single answers a share of `noise` is wrong, of a kind that
    small models err in: other attributes, invented ones, answers that are no answer. `asked` are all questions.
    """  # noqa: D205

    version = "fake"

    def __init__(self, noise: float = 0.0, broken: float = 0.0) -> None:
        self._noise = noise
        self._broken = broken
        self.asked: list[Question] = []

    def answers(self, questions: Sequence[Question]) -> list[Answer | None]:
        """Answer each question by itself."""
        self.asked += questions
        return [self._answer(question) for question in questions]

    def _answer(self, question: Question) -> Answer | None:
        if _chance(f"broken {question.seed} {question.user}") < self._broken:
            return None
        return answer_to(question.stage, question.user, question.schema, self._noise, question.seed)


def answer_to(stage: str, user: str, schema: Mapping[str, Any], noise: float = 0.0, seed: int = 0) -> dict[str, Any]:
    """Answer one question of a stage (with spaces or underscores in its name)."""
    texts = [text for _, text in _LINE.findall(user)]
    properties = schema["properties"]
    stage = stage.replace("_", " ")
    if stage == "dimensions":
        return {"aspects": _aspects(texts, noise, seed)}
    if stage in ("merge dimensions", "merge attributes"):
        names = properties["same"]["items"]["properties"]["name"]["enum"]
        stands = {name: _stands_for(name, names, noise, seed) for name in names}
        return {"same": [{"name": name, "other": other} for name, other in stands.items() if name != other]}
    if stage == "attributes":
        wanted = _meant(re.findall(r"differ in: ([^(.]+)", user)[0])
        return {"values": _erring(list(_seen(wanted, texts)), noise, f"{seed} {user}") or ["none"]}
    if stage == "refinement":
        return _checked(texts, properties, user, noise, seed)
    return {name: _assigned(name, user, entry["properties"]["value"]["enum"], noise, seed) for name, entry in
            properties.items()}  # fmt: skip


def _aspects(texts: Sequence[str], noise: float, seed: int) -> list[dict[str, Any]]:
    found = [{"aspect": name, "phrases": list(_seen(name, texts))[:5]} for name in LEXICON]
    found = [one for one in found if _chance(f"aspect {seed} {one['aspect']} {texts}") >= noise]
    if _chance(f"aside {seed} {texts}") < noise:
        found.append({"aspect": "criteria", "phrases": ["unacceptable criteria", "picture"]})
        found.append({"aspect": "mood", "phrases": ["cheerful", "gloomy"]})
    return found


def _seen(name: str, texts: Sequence[str]) -> dict[str, None]:
    return {
        value: None
        for value, forms in LEXICON.get(name, {}).items()
        if any(form in text for text in texts for form in forms)
    }


def _meant(name: str) -> str:
    name = name.strip()
    return next((one for one in LEXICON if one == name), name)


def _erring(values: list[str], noise: float, key: str) -> list[str]:
    kept = [value for value in values if _chance(f"{key} {value}") >= noise]
    return kept + [aside for aside in _ASIDES if _chance(f"{key} {aside}") < noise / 2]


def _stands_for(name: str, names: Sequence[str], noise: float, seed: int) -> str:
    if _chance(f"merge {seed} {name}") < noise / 2:
        return names[int(_chance(f"which {seed} {name}") * len(names))]
    for values in LEXICON.values():
        for value, forms in values.items():
            if name in (value, *forms) and value in names:
                return value
    return name


def _value_of(text: str, name: str, known: Sequence[str]) -> tuple[str, str]:
    """Return the attribute that a text shows, if it is known, and the words for it."""
    for value, forms in LEXICON.get(name, {}).items():
        for form in sorted(forms, key=len, reverse=True):
            if form in text:
                return (value if value in known else NONE_OF_THESE), form
    return UNKNOWN, ""


def _checked(texts: Sequence[str], properties: Mapping[str, Any], user: str, noise: float, seed: int) -> dict[str, Any]:
    name = re.findall(r"Known values of ([^:]+):", user)[0]
    told: dict[str, Any] = {}
    missing: dict[str, None] = {}
    for place, text in enumerate(texts, 1):
        options = properties[str(place)]["enum"]
        value, _ = _value_of(text, name, options)
        if _chance(f"check {seed} {name} {text}") < noise:
            value = options[int(_chance(f"option {seed} {text}") * len(options))]
        if value == NONE_OF_THESE:
            missing |= _seen(name, [text])
        told[str(place)] = value
    return {**told, "others": _erring(list(missing)[:3], noise, f"others {seed} {name} {texts}")[:3]}


def _assigned(name: str, text: str, options: Sequence[str], noise: float, seed: int) -> dict[str, str]:
    value, quote = _value_of(text, name, options)
    if _chance(f"assign {seed} {name} {text}") < noise:
        value = options[int(_chance(f"choice {seed} {name} {text}") * len(options))]
    return {"quote": quote, "value": UNKNOWN if value == NONE_OF_THESE else value}


def _chance(key: str) -> float:
    return int.from_bytes(sha256(key.encode()).digest()[:6], "big") / 2**48
