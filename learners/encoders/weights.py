"""Where weights come from, and the hash that stands for them in an encoder's version."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from curate.errors import ConfigurationError, MissingExtraError
from curate.learners.numerics import Array

EXTRA = "encoders"
_DIGITS = 16


@contextmanager
def needing_encoders(what: str) -> Iterator[None]:
    """Explain an import that fails: the extra `encoders` brings what is missing.

    Raises:
        MissingExtraError: something that the block imports is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(f"the encoder {what!r}", EXTRA) from error


def hash_of_files(*files: Path) -> str:
    """Return 16 hex digits of SHA-256 over the content of files, in this order; a file is read again once it changes.

    Raises:
        ConfigurationError: a file cannot be read.
    """
    digest = sha256()
    for file in files:
        try:
            status = file.stat()
            digest.update(_digest(file, status.st_mtime_ns, status.st_size))
        except OSError as error:
            raise ConfigurationError(f"weights cannot be read: {error}", hint="check the encoder's path") from error
    return digest.hexdigest()[:_DIGITS]


def hash_of_state(state: Any) -> str:
    """Return 16 hex digits of SHA-256 over the names, kinds, shapes and values of a network's tensors."""
    digest = sha256()
    for name, tensor in state.items():
        array = as_array(tensor)
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:_DIGITS]


def as_array(tensor: Any) -> Array:
    """Return a tensor's values; NumPy knows no bfloat16, whose bits are returned as whole numbers."""
    import torch

    held = tensor.detach().cpu()
    return cast(Array, (held.view(torch.int16) if held.dtype is torch.bfloat16 else held).numpy())


def device() -> str:
    """Return the device that networks run on: "cuda" where there is a GPU, or "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@lru_cache(maxsize=32)
def _digest(file: Path, changed: int, size: int) -> bytes:
    digest = sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.digest()
