"""The wording of every question that discovery asks, and the schema of its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curate.annotate.discovery.analyst import Question
from curate.annotate.discovery.parameters import PROPOSED, VALUES_SHOWN, DiscoveryParameters
from curate.annotate.discovery.structure import Dimension
from curate.annotate.discovery.words import UNKNOWN
from curate.annotate.llm.examples import excerpt

TEMPLATE = 1  # raised whenever a wording below changes, so that cached answers to the old one are not taken for it
NONE_OF_THESE = "none of these"
_MOST_PAIRS = 4
_PHRASE = {"type": "string", "maxLength": 40}
_ANALYST = "You analyse collections of short texts. You answer with JSON only, and say only what the texts say."


@dataclass(frozen=True, slots=True)
class Caption:
    """What stands for an item: its text, or a caption of its image; and its class, "" where there is none."""

    item_id: str
    text: str
    of_class: str = ""


def propose_dimensions(
    captions: Sequence[Caption], parameters: DiscoveryParameters, classes: Sequence[str], seed: int
) -> Question:
    """Ask in which aspects captions differ, with the values that they show."""
    about = f" All of them are about {', '.join(classes[:8])}; that is not an aspect." if any(classes) else ""
    user = (
        f"{_listed(captions, parameters)}\n\n"
        f"The {len(captions)} texts above differ in several independent aspects.{about} Name the {PROPOSED} clearest "
        "aspects. Each aspect is one noun, and most of the texts say something about it. Beside each aspect write "
        f"{VALUES_SHOWN} different words or phrases, copied from different texts, that answer the same question about "
        "it. A phrase belongs to one aspect only."
    )
    entry = _object({"aspect": _PHRASE, "phrases": _array(_PHRASE, VALUES_SHOWN, least=2)})
    return _question("dimensions", user, {"aspects": _array(entry, PROPOSED)}, 40 * PROPOSED + 60, parameters, seed)


def merge_dimensions(
    candidates: Sequence[tuple[str, Sequence[str]]], parameters: DiscoveryParameters, seed: int
) -> Question:
    """Ask which of several dimensions are the same one: pairs of their names."""
    names = [name for name, _ in candidates]
    lines = "\n".join(f"{name}: {', '.join(values)}" for name, values in candidates)
    user = (
        f"Aspects of texts, with examples:\n{lines}\n\nAre two of these aspects the same aspect under two names? List "
        "such pairs; list none if all are different."
    )
    return _question("merge dimensions", user, {"same": _pairs(names)}, 120, parameters, seed)


def list_attributes(
    captions: Sequence[Caption],
    dimension: Dimension,
    examples: Sequence[str],
    parameters: DiscoveryParameters,
    seed: int,
) -> Question:
    """Ask which attributes of one dimension the captions show."""
    such = f" (such as {', '.join(examples)})" if examples else ""
    told = f" {dimension.description}" if dimension.description else ""
    most = parameters.most_attributes
    user = (
        f"{_listed(captions, parameters)}\n\nThe texts above differ in: {dimension.name}{such}.{told} List every "
        f"different {dimension.name} that the texts above name, each once, in one to three words, the most frequent "
        "first. List nothing that the texts do not say."
    )
    return _question("attributes", user, {"values": _array(_PHRASE, most)}, 10 * most + 40, parameters, seed)


def merge_attributes(
    dimension: Dimension, names: Sequence[str], parameters: DiscoveryParameters, seed: int
) -> Question:
    """Ask which attributes say the same: pairs of their names."""
    user = (
        f"These are values of {dimension.name}: {', '.join(names)}.\n\nDo two of them mean the same "
        f"{dimension.name} in other words? List such pairs of synonyms; list none if all are different."
    )
    return _question("merge attributes", user, {"same": _pairs(names)}, 120, parameters, seed)


def check_batch(
    captions: Sequence[Caption], dimension: Dimension, order: Sequence[str], parameters: DiscoveryParameters, seed: int
) -> Question:
    """Ask for the attribute of each caption of a batch, and what else the captions name."""
    user = (
        f"{_listed(captions, parameters)}\n\nKnown values of {dimension.name}: {', '.join(order)}.\nFor each text "
        f'write its {dimension.name}: one of the known values; "{NONE_OF_THESE}" if it names another {dimension.name}; '
        f'"{UNKNOWN}" if it names none. Then list the other values of {dimension.name} that the texts name, in one to '
        "three words, if there are any."
    )
    properties: dict[str, Any] = {
        str(place): {"enum": [*order, NONE_OF_THESE, UNKNOWN]} for place in range(1, len(captions) + 1)
    }
    properties["others"] = _array(_PHRASE, 3, least=0)
    return _question("refinement", user, properties, 12 * len(captions) + 60, parameters, seed)


def assign(
    caption: Caption,
    dimensions: Sequence[Dimension],
    order: Mapping[str, Sequence[str]],
    parameters: DiscoveryParameters,
    seed: int,
    *,
    drawn: bool,
) -> Question:
    """Ask for an item's attribute in every dimension at once, each with the words that show it."""
    lines = "\n".join(f"- {one.name}: {', '.join(order[one.name])}" for one in dimensions)
    system = (
        f"You sort texts. For each aspect, copy the words of the text that show it, then choose the value.\n{lines}\n"
        f'Where the text does not say it, write "" and "{UNKNOWN}". Answer with JSON only.'
    )
    properties = {
        one.name: _object(
            {"quote": {"type": "string", "maxLength": 60}, "value": {"enum": [*order[one.name], UNKNOWN]}}
        )
        for one in dimensions
    }
    temperature = parameters.temperature if drawn else 0.0
    text = excerpt(caption.text, parameters.characters)
    most = 48 * len(dimensions) + 20
    return Question("assignment", system, text, _object(properties), most, temperature, seed if drawn else 0)


def _question(
    stage: str, user: str, properties: dict[str, Any], most: int, parameters: DiscoveryParameters, seed: int
) -> Question:
    drawn = parameters.temperature if parameters.votes > 1 or stage in ("dimensions", "attributes") else 0.0
    return Question(stage, _ANALYST, user, _object(properties), most, drawn, seed)


def _listed(captions: Sequence[Caption], parameters: DiscoveryParameters) -> str:
    shown = (excerpt(caption.text, parameters.characters) for caption in captions)
    return "\n".join(f"{place}: {text}" for place, text in enumerate(shown, 1))


def _pairs(names: Sequence[str]) -> dict[str, Any]:
    one = {"enum": list(names)}
    return _array(_object({"name": one, "other": one}), _MOST_PAIRS, least=0)


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _array(items: Mapping[str, Any], most: int, least: int = 1) -> dict[str, Any]:
    return {"type": "array", "items": dict(items), "minItems": least, "maxItems": most}
