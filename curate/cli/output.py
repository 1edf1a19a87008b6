"""Standard output is data: plain lines or JSON lines, and silence when the reader has gone away."""

import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any


class OutputClosedError(Exception):
    """Whoever read standard output has had enough (`curate sql … | head`); this is no failure."""


def emit(line: str) -> None:
    """Write one line of data.

    Raises:
        OutputClosedError: nobody reads any more.
    """
    try:
        print(line)
    except BrokenPipeError as error:
        raise OutputClosedError from error


def emit_lines(lines: Iterable[str]) -> None:
    """Write several lines of data."""
    for line in lines:
        emit(line)


def emit_json(value: Any) -> None:
    """Write one JSON value on one line; data classes become objects, bytes hexadecimal digits, times ISO 8601."""
    emit(json_text(value))


def json_text(value: Any) -> str:
    """Return a value as one line of JSON, which has no word for what is no finite number: that becomes null.

    >>> json_text({"bytes": b"ab"})
    '{"bytes": "6162"}'
    >>> json_text([1.5, float("nan")])
    '[1.5, null]'
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    except ValueError:
        finite = json.loads(json.dumps(value, ensure_ascii=False, default=_plain), parse_constant=lambda _: None)
        return json.dumps(finite, ensure_ascii=False)


def flush_output() -> None:
    """Push out what is buffered, here and not at exit, where a closed pipe would leave a complaint.

    Raises:
        OutputClosedError: nobody reads any more.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise OutputClosedError from error


def discard_output() -> None:
    """Send whatever is still buffered to nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, bytes):
        return value.hex()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)
