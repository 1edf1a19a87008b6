"""The format of a learner's state: safetensors with one canonical JSON header and a digest over both.

The same header and arrays always give the same bytes, so the bytes' SHA-256 can be the checkpoint's name.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from curate.errors import StoreError
from curate.learners.numerics import Array

# One key only: safetensors writes several metadata keys in an order that changes from process to process.
_KEY = "curate"


def pack(header: Mapping[str, Any], arrays: Mapping[str, Array]) -> bytes:
    """Write header and arrays into deterministic bytes. The header must be plain JSON."""
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    body = {"header": header, "sha256": _digest(header, contiguous)}
    return save(contiguous, metadata={_KEY: _canonical(body)})


def unpack(state: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read what `pack` wrote.

    Raises:
        StoreError: the bytes are truncated, changed, or not a learner's state at all.
    """
    try:
        arrays = load(state)
        size = int.from_bytes(state[:8], "little")
        body = json.loads(json.loads(state[8 : 8 + size])["__metadata__"][_KEY])
        header, digest = body["header"], body["sha256"]
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"this is not a learner's state: {error}", **_ADVICE) from error
    if digest != _digest(header, arrays):
        raise StoreError("a learner's state was changed after it was written", **_ADVICE)
    return header, arrays


_ADVICE = {"hint": "load an earlier checkpoint, or learn again from the store", "unchanged": "the learner"}


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _digest(header: Mapping[str, Any], arrays: Mapping[str, Array]) -> str:
    digest = sha256(_canonical(header).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
