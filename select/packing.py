"""Texts as one array of bytes: no object for each, whatever their number, and pieces of long ones without copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from curate.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


_TEXTS = {str, type(None)}


class Texts(NamedTuple):
    """Many byte strings in one array: the i-th is `data[starts[i] : starts[i + 1]]`."""

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many bytes each has."""
        return self.starts[1:] - self.starts[:-1]

    def rows(self, start: int, stop: int) -> Texts:
        """Return the texts from `start` up to `stop`, without a copy."""
        return Texts(self.data, self.starts[start : stop + 1])

    def take(self, rows: NDArray[np.int64]) -> Texts:
        """Return a copy of some texts, in the order of `rows`, or all as they are.

        >>> packed([b"a", b"bc", b"d"]).take([2, 1]).as_bytes()
        [b'd', b'bc']
        """
        import numpy as np
        import pyarrow as pa

        if len(rows) == len(self.starts) - 1 and np.array_equal(rows, np.arange(len(rows))):
            return self
        return _of_arrow(self.as_arrow().take(pa.array(rows)))

    def as_arrow(self) -> pa.LargeBinaryArray:
        """Return the texts as a column, without a copy."""
        import pyarrow as pa

        buffers = [None, pa.py_buffer(self.starts), pa.py_buffer(self.data)]
        return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(self.starts) - 1, buffers)

    def as_bytes(self) -> list[bytes]:
        """Return each text as an object of its own."""
        return [self.data[start:stop].tobytes() for start, stop in zip(self.starts[:-1], self.starts[1:], strict=True)]


def packed(texts: Sequence[bytes]) -> Texts:
    """Lay byte strings end to end.

    >>> packed([b"ab", b"", b"c"]).starts.tolist()
    [0, 2, 2, 3]
    """
    import numpy as np

    starts = np.zeros(len(texts) + 1, dtype=np.int64)
    np.cumsum([len(text) for text in texts], out=starts[1:])
    return Texts(np.frombuffer(b"".join(texts), dtype=np.uint8), starts)


def packed_strings(texts: Sequence[str | None] | pa.ChunkedArray | pa.Array) -> Texts:
    """Lay texts end to end in UTF-8, lone surrogates in their three-byte forms; None is an empty text.

    An Arrow column's texts never become objects of Python.

    Raises:
        UsageError: the texts are one string, or no strings.

    >>> packed_strings(["a", None, "ß"]).starts.tolist()
    [0, 1, 1, 3]
    """
    import pyarrow as pa
    import pyarrow.compute

    if isinstance(texts, (pa.ChunkedArray, pa.Array)):
        column = pa.compute.fill_null(texts.cast(pa.large_string()), "")
        return _of_arrow(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column)
    if isinstance(texts, str):
        check_texts(texts)
    try:
        column = pa.array(texts)  # which finds out in passing whether all are texts
    except UnicodeEncodeError:
        check_texts(texts)
        return packed([(text or "").encode("utf-8", "surrogatepass") for text in texts])
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        check_texts(texts)
        raise
    if column.type not in (pa.string(), pa.null()):
        check_texts(texts)
    return packed_strings(column)


def check_texts(texts: Sequence[str | None]) -> None:
    """Refuse a string, which is a sequence of letters, and what is no text.

    Raises:
        UsageError: which of them is none, and what it is.
    """
    if isinstance(texts, str):
        raise UsageError("one string is not a list of texts", hint="write [text], or each letter would be a text")
    if set(map(type, texts)) <= _TEXTS:
        return
    for place, text in enumerate(texts):
        if text is not None and not isinstance(text, str):
            raise UsageError(
                f"text {place + 1} of {len(texts)} is no text, but of the type {type(text).__name__}",
                hint="give a str, or None where there is no text",
            )


def _of_arrow(array: pa.LargeStringArray | pa.LargeBinaryArray) -> Texts:
    import numpy as np

    _, starts, data = array.buffers()
    bounds = np.frombuffer(starts, dtype=np.int64, offset=8 * array.offset, count=len(array) + 1)
    return Texts(np.frombuffer(data or b"", dtype=np.uint8), bounds)


def cut(texts: Texts, limit: int) -> tuple[Texts, NDArray[np.int64]]:
    """Cut each text into the fewest pieces of (nearly) equal length that are at most `limit` bytes long.

    Returns the pieces and for each the number of its text. Nothing is lost: the pieces joined are the text; a text
    within the limit is its own piece, an empty one has none. A cut may fall inside a character, which no byte
    compressor minds.

    >>> pieces, owners = cut(packed([b"abcdefg", b"", b"xy"]), 3)
    >>> pieces.as_bytes(), owners.tolist()
    ([b'ab', b'cd', b'efg', b'xy'], [0, 0, 0, 2])
    """
    import numpy as np

    lengths = texts.lengths
    counts = -(-lengths // limit)
    owners = np.repeat(np.arange(len(lengths)), counts)
    numbers = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = texts.starts[owners] + lengths[owners] * numbers // counts[owners]
    return Texts(texts.data, np.append(starts, texts.starts[-1])), owners
