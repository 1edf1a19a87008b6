"""One spelling for plain data, so that equal data have equal hashes: versions and cache keys are made of it."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any


def canonical_json(data: Any) -> str:
    """Write plain data as JSON with sorted keys and no spaces.

    >>> canonical_json({"b": [1], "a": "é"})
    '{"a":"é","b":[1]}'
    """
    return json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def full_hash(data: Any) -> str:
    """Return the SHA-256 of plain data's canonical JSON, in hex."""
    return sha256(canonical_json(data).encode()).hexdigest()


def short_hash(data: Any) -> str:
    """Return the first 16 hex digits of `full_hash`; the versions of annotators are such hashes.

    >>> short_hash({"a": 1, "b": 2}) == short_hash({"b": 2, "a": 1})
    True
    """
    return full_hash(data)[:16]
