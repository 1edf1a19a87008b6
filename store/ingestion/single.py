"""Files that are one item: a text, or an image. Many small ones are read into one chunk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from curate.store.ingestion.batches import Chunk, assemble, chunked
from curate.store.ingestion.command import CommandOutput
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.shapes import Refusal, RefusedFileError
from curate.store.ingestion.source_file import SourceFile, StandardInput, reason_of
from curate.store.ingestion.streams import unpacked_text

# What they bring next is another text, and not a newer one of the same.
_STREAMS = (StandardInput, CommandOutput)
_Entry = tuple[SourceFile, bytes | Refusal]
_IMAGES = {b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF87a": "GIF", b"GIF89a": "GIF"}


def read_single(file: SourceFile, mapping: Mapping, start_row: int) -> Iterator[pa.Table]:
    """Yield the one row of a text or image file, unless reading starts behind it; at most `item_bytes` are loaded.

    A text may be packed with gzip or zstd, and be UTF-16 with its byte order mark.
    """
    if start_row == 0:
        yield _table([(file, _content(file, mapping))], mapping)


def read_singles(files: Iterable[SourceFile], mapping: Mapping) -> Iterator[tuple[list[SourceFile], pa.Table]]:
    """Yield many files that are one item each with one row for each: as many at a time as make a chunk.

    What Arrow costs for a table, whatever its length, is paid once a chunk. Memory: 16 MiB and one file.
    """
    read = ((file, _content(file, mapping)) for file in files)
    for chunk in chunked(read, lambda entry: len(entry[1]) if isinstance(entry[1], bytes) else 0, mapping.batch_rows):
        yield [file for file, _ in chunk], _table(chunk, mapping)


def _table(entries: list[_Entry], mapping: Mapping) -> pa.Table:
    files, contents = zip(*entries, strict=True)
    chunk = Chunk(
        np.zeros(len(files), np.int64),
        pa.array([file.locator for file in files]),
        pa.array([content if isinstance(content, bytes) else None for content in contents], pa.binary()),
        pa.array([None if isinstance(file, _STREAMS) else file.locator for file in files], pa.string()),
        refusals={at: content for at, content in enumerate(contents) if isinstance(content, Refusal)},
    )
    return assemble(chunk, files, mapping)


def _content(file: SourceFile, mapping: Mapping) -> bytes | Refusal:
    if file.refusal is not None:
        return file.refusal
    try:
        with file.open() as packed:
            stream = unpacked_text(packed, file.locator) if mapping.modality == "text" else packed
            content = stream.read(mapping.item_bytes + 1)
            return content if mapping.modality == "image" else _unless_image(content)
    except RefusedFileError as error:
        return error.refusal
    except OSError as error:
        return Refusal("unreadable", reason_of(error))


def _unless_image(content: bytes) -> bytes | Refusal:
    """Refuse an image where a text was to be read: a folder of them, most likely, whose modality nobody named."""
    kind = next((kind for begin, kind in _IMAGES.items() if content.startswith(begin)), "")
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        kind = "WebP"
    # "GIF89a" and "RIFF" are letters, too; what is a text has no NUL.
    if not kind or (kind in ("GIF", "WebP") and b"\0" not in content[:64]):
        return content
    return Refusal("unsupported-format", f'the file is a {kind} image; set modality = "image" for its source')
