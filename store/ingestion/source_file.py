"""What a source consists of: files that say who they are, whether they changed, and how they are opened."""

from __future__ import annotations

import errno
import io
import os
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import BinaryIO, cast

from curate.errors import BadDataError
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.shapes import Refusal
from curate.store.ingestion.streams import PulledStream


class EmptySourceError(BadDataError):
    """A source's folder or pattern holds no file that could be read; it may be filled later."""


@dataclass(frozen=True, slots=True)
class SourceFile(ABC):
    """One file of a source as it was when listed.

    `locator` names it in origins and rejects; `fingerprint` changes whenever the file is written, "" means that nobody
    can tell; `folder` is the name of the folder that it lies in, "" if that is the source's own. `refusal` says why it
    must not be read, None if it may.
    """

    locator: str
    fingerprint: str
    size: int = 0
    folder: str = ""
    refusal: Refusal | None = None

    @abstractmethod
    def open(self, *, in_order: bool = True) -> BinaryIO:
        """Open the file to read it from its beginning to its end, or, not `in_order`, here and there.

        Raises:
            OSError: it is not there, or must not be read.
        """


class StandardInput(SourceFile):
    """What another program pipes into this one: read once, told apart from nothing, never skipped."""

    def open(self, *, in_order: bool = True) -> BinaryIO:
        """Return standard input; closing the result leaves it open."""
        if sys.stdin is None or sys.stdin.isatty():
            raise BadDataError("nothing is piped into standard input", hint="cat FILE | curate ingest - --format jsonl")
        return io.BufferedReader(PulledStream(cast(io.BufferedReader, sys.stdin.buffer).read1))


def reason_of(error: OSError) -> str:
    """Return the operating system's words, without the path (the locator says it)."""
    if error.strerror:
        return error.strerror
    return os.strerror(errno.ENOENT) if isinstance(error, FileNotFoundError) else str(error) or type(error).__name__


def nothing_at(address: str) -> BadDataError:
    """Return the error of an address at which nothing exists."""
    return BadDataError(f"nothing exists at {address!r}", hint="correct the source's path")


def empty_source(address: str, mapping: Mapping, *, pattern: bool) -> EmptySourceError:
    """Return the error of a folder or pattern without files."""
    what = "no file matches" if pattern else f"no file for format {mapping.format!r} lies in"
    return EmptySourceError(f"{what} {address!r}", hint="put files there, or correct the source's path or format")
