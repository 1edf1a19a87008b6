"""The packages that fitting an adapter needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from curate.errors import MissingExtraError


@contextmanager
def needing_peft(what: str) -> Iterator[None]:
    """Explain an import that fails: the extra `peft` brings what is missing.

    Raises:
        MissingExtraError: something that the block imports is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(what, "peft") from error
