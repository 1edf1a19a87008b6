"""Zero-shot claims about images: whose prompts an image is nearest to, in a space that images and texts share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from curate.annotate.canonical import short_hash
from curate.annotate.learner import encoded
from curate.annotate.protocol import Attribute, Protocol, refuse_multiple
from curate.errors import ConfigurationError
from curate.types import Annotated, Claim, Encoder, Failure

if TYPE_CHECKING:
    import pyarrow as pa

Numbers = NDArray[np.float64]
Prompts = Mapping[str, Mapping[str, Sequence[str]]]
"""By attribute and value, the prompts that stand for a value in place of the templates."""
TEMPLATES = (
    "{value}",
    "a photo of {value}.",
    "a picture of {value}.",
    "a close-up photo of {value}.",
    "a photo that shows {value}.",
    "{value}: {description}",
    "a photo of {value}, {description}.",
)


@dataclass(frozen=True, slots=True)
class Towers:
    """A model of images and texts: encoders to features of length 1, and what cosines between them are scaled by.

    `scale` is a function, so that nothing is loaded before an image is there.
    """

    images: Encoder
    texts: Encoder
    scale: Callable[[], float]


def value_prompts(attribute: Attribute, templates: Sequence[str], own: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Return each value's prompts: its `own`, or the templates with value and description put in.

    A template with {description} serves the values that have one. Underscores in values read as spaces.

    Raises:
        ConfigurationError: no template fits a value.

    >>> kind = Attribute("kind", "What is it?", ("tabby_cat", "dog"), {"dog": "It barks."})
    >>> value_prompts(kind, ["a {value}", "a {value}: {description}"], {})
    [['a tabby cat'], ['a dog', 'a dog: It barks']]
    """
    prompts = []
    for value in attribute.values:
        told = attribute.descriptions.get(value, "").strip().rstrip(".")
        fitting = [template for template in templates if told or "{description}" not in template]
        written = [_written(template, value.replace("_", " "), told) for template in fitting]
        prompts.append(list(dict.fromkeys(own.get(value) or written)))
        if not prompts[-1]:
            raise ConfigurationError(
                f"no template fits the value {value!r} of {attribute.name!r}, which has no description",
                hint='templates = ["a photo of {value}.", …]',
            )
    return prompts


class ClipAnnotator:
    """Claims the value whose prompts an image is nearest to, with its probability among the values as confidence.

    A value's direction is the mean of its prompts' features, brought to length 1 (the prompt ensemble of Radford et al.
    2021, section 3.1.4); the probabilities are the softmax of the scaled cosines. They say which value fits best, not
    whether any does: where none is as probable as `least` it abstains, as it does on items without an image. An image
    that does not decode is a failure.

    Cost: the image tower once an item; the prompts once an annotator.

    Raises:
        UnknownNameError: `attributes` or `prompts` name what the protocol does not have.
        ConfigurationError: no template fits a value, or an attribute takes several values: nearest is one only.
    """

    kind = "clip"

    def __init__(
        self,
        name: str,
        protocol: Protocol,
        towers: Towers,
        *,
        attributes: Sequence[str] = (),
        templates: Sequence[str] = (),
        prompts: Prompts | None = None,
        least: float = 0.0,
    ) -> None:
        self.name = name
        self.attributes = protocol.chosen(attributes)
        refuse_multiple(name, self.attributes, "says which one value fits best")
        self.images = towers.images
        self._towers = towers
        self._least = least
        for attribute, own in (prompts or {}).items():
            for value in own:
                protocol.attribute(attribute).check(value)
        self.prompts = {
            one.name: value_prompts(one, templates or TEMPLATES, (prompts or {}).get(one.name, {}))
            for one in self.attributes
        }
        models = [towers.images.version, towers.texts.version]
        self.version = short_hash({"way": 1, "models": models, "prompts": self.prompts, "least": least})
        self._directions = cache(self._encoded_prompts)

    def annotate(self, items: pa.Table) -> Annotated:
        """Claim what lies nearest, in item order and within an item in the order of the attributes."""
        shown = _pictures(items)
        if not len(shown):
            return Annotated()
        features, failures = encoded(self.images, shown)
        able = [item_id for item_id in shown["item_id"].to_pylist() if item_id not in failures]
        found = self.probabilities(features) if able else {}
        claims = [
            Claim(item_id, one.name, one.values[int(row.argmax())], min(float(row.max()), 1.0))
            for place, item_id in enumerate(able)
            for one in self.attributes
            if (row := found[one.name][place]).max() >= self._least
        ]
        return Annotated(claims, [Failure(item_id, reason) for item_id, reason in failures.items()])

    def probabilities(self, features: NDArray[np.float32]) -> dict[str, Numbers]:
        """Return by attribute float64 of shape (items, values) for images' features of shape (items, dimension)."""
        scale = self._towers.scale()
        return {
            name: _softmax(scale * (features.astype(np.float64) @ self._directions(name).T)) for name in self.prompts
        }

    def _encoded_prompts(self, attribute: str) -> Numbers:
        """Return the direction of each value, of shape (values, dimension)."""
        prompts = self.prompts[attribute]
        features = self._towers.texts.encode(_texts([prompt for several in prompts for prompt in several]))
        parts = np.split(features.astype(np.float64), np.cumsum([len(several) for several in prompts])[:-1])
        directions = np.stack([part.mean(axis=0) for part in parts])
        scaled: Numbers = directions / np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
        return scaled


def _written(template: str, value: str, description: str) -> str:
    """Put both in at once: what looks like a place inside of them is none."""
    parts = template.split("{value}")
    return value.join(part.replace("{description}", description) for part in parts)


def _pictures(items: pa.Table) -> pa.Table:
    return items.filter(items["image"].is_valid()) if "image" in items.column_names else items.slice(0, 0)


def _texts(prompts: Sequence[str]) -> Any:
    import pyarrow as pa

    return pa.table({"item_id": [str(place) for place in range(len(prompts))], "text": pa.array(prompts, pa.string())})


def _softmax(logits: Numbers) -> Numbers:
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Numbers = weights / weights.sum(axis=1, keepdims=True)
    return shares
