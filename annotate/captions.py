"""Captions as claims: what a model writes about an image becomes the value of an attribute that is no question."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.annotate.canonical import short_hash
from curate.errors import BadDataError
from curate.types import Annotated, Captioner, Claim, Failure

if TYPE_CHECKING:
    import pyarrow as pa


class CaptionAnnotator:
    """Claims a caption for each image, as a value of `attribute`; the protocol does not ask that and lists no values.

    The confidence is the captioner's own: how probable its words were to it, and no chance of being right. It abstains
    below `least`, where the captioner says nothing, and on items without an image. An image that does not decode is a
    failure.
    """

    kind = "caption"

    def __init__(self, name: str, captioner: Captioner, *, attribute: str = "caption", least: float = 0.0) -> None:
        self.name = name
        self.attribute = attribute
        self._captioner = captioner
        self._least = least
        self.version = short_hash({"captioner": captioner.version, "least": least})

    def annotate(self, items: pa.Table) -> Annotated:
        """Claim what the captioner writes, in item order."""
        shown = items.filter(items["image"].is_valid()) if "image" in items.column_names else items.slice(0, 0)
        claims: list[Claim] = []
        failures: list[Failure] = []
        for item_id, told in zip(shown["item_id"].to_pylist(), self._captions(shown), strict=True):
            if isinstance(told, BadDataError):
                failures.append(Failure(item_id, told.message))
            elif told[0] and told[1] >= self._least:
                claims.append(Claim(item_id, self.attribute, told[0], min(told[1], 1.0)))
        return Annotated(claims, failures)

    def _captions(self, items: pa.Table) -> list[tuple[str, float] | BadDataError]:
        """Ask for all at once, or one by one where that fails."""
        if not len(items):
            return []
        try:
            return list(self._captioner.captions(items))
        except BadDataError as error:
            if len(items) == 1:
                return [error]
        return [self._captions(items.slice(place, 1))[0] for place in range(len(items))]
