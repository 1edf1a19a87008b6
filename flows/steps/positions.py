"""How far a source's file was read, by which mapping, and whether it says again what it said before."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from curate.settings import SourceSettings
from curate.store.ingestion.source_file import SourceFile

_NO_MAPPING = frozenset({"name", "path", "command", "timeout"})
"""What a source's settings say besides how its rows become items, labels and origins."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a file was read: its fingerprint then, the next row, and whether that was the end.

    `mapping` is the digest of the mapping that it was read by; older cursors have "", which counts as any.
    `again` says that the file was read before, when it or its mapping was another: its places may have said something.
    """

    fingerprint: str
    row: int
    complete: bool
    mapping: str = ""
    again: bool = False

    def encode(self) -> str:
        """Return the position as a cursor keeps it."""
        return json.dumps([self.fingerprint, self.row, self.complete, self.mapping, self.again])

    @classmethod
    def decode(cls, text: str) -> Self:
        """Read a cursor; "" is the beginning of a file never met."""
        return cls(*json.loads(text)) if text else cls("", 0, False)


@dataclass(frozen=True, slots=True)
class Reading:
    """One source's files, as `positions` (cursors by locator) say that they were read, and the mapping of today."""

    mapping: str
    positions: Mapping[str, str]

    @classmethod
    def of(cls, source: SourceSettings, positions: Mapping[str, str]) -> Self:
        """Return what is known of the source's files."""
        return cls(mapping_digest(source), positions)

    def is_done(self, file: SourceFile) -> bool:
        """Whether the file was read to its end, as it is, by this mapping."""
        position = self._position(file)
        return position.complete and self._holds(position, file)

    def start(self, file: SourceFile) -> Position:
        """Return where reading goes on: after what was read of this very content by this mapping, else at row 0."""
        position = self._position(file)
        if self._holds(position, file):
            again = position.again or (position.row > 0 and not position.mapping)
            return replace(position, mapping=self.mapping, again=again)
        return Position(file.fingerprint, 0, False, self.mapping, again=bool(position.fingerprint))

    def _position(self, file: SourceFile) -> Position:
        return Position.decode(self.positions.get(file.locator, ""))

    def _holds(self, position: Position, file: SourceFile) -> bool:
        return position.fingerprint == file.fingerprint and position.mapping in ("", self.mapping)


def mapping_digest(source: SourceSettings) -> str:
    """Return what tells two mappings of a source apart; settings that stand at their defaults have no part in it."""
    told = source.model_dump(mode="json", exclude=set(_NO_MAPPING), exclude_defaults=True)
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
