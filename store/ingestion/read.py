"""Reads the files of a source into batches of records and rejects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

import pyarrow as pa

from curate.store.ingestion.arrow import read_arrow
from curate.store.ingestion.batches import group, parsed, refused_file
from curate.store.ingestion.delimited import read_delimited
from curate.store.ingestion.formats import format_of
from curate.store.ingestion.json_values import read_json
from curate.store.ingestion.jsonl import read_jsonl
from curate.store.ingestion.mapping import FileFormat, Mapping
from curate.store.ingestion.parquet import read_parquet
from curate.store.ingestion.shapes import Parsed, Refusal, RefusedFileError
from curate.store.ingestion.single import read_single, read_singles
from curate.store.ingestion.source_file import SourceFile, reason_of
from curate.store.ingestion.textlines import read_text_lines
from curate.store.ingestion.webdataset import read_webdataset

_Reader = Callable[[SourceFile, Mapping, int], Iterator[pa.Table]]
_READERS: dict[FileFormat, _Reader] = {
    "text": read_single,
    "images": read_single,
    "lines": read_text_lines,
    "json": read_json,
    "jsonl": read_jsonl,
    "csv": read_delimited,
    "parquet": read_parquet,
    "arrow": read_arrow,
    "webdataset": read_webdataset,
}


class Part(NamedTuple):
    """A batch of one file, or the whole of several that are one item each."""

    files: Sequence[SourceFile]
    parsed: Parsed


def read_files(
    files: Iterable[SourceFile], mapping: Mapping, start_row_of: Callable[[SourceFile], int]
) -> Iterator[Part]:
    """Yield the batches of files one after the other, each from its start row on; many one-item files make one.

    Raises, costs and promises what `read_file` does; starting again behind any part gives the same remaining parts.
    """
    for is_single, run in groupby(files, lambda file: _is_single(file, mapping)):
        if is_single:
            for singles, rows in read_singles(run, mapping):
                yield Part(singles, replace(parsed(rows), complete=True))
        else:
            for file in run:
                yield from (Part([file], batch) for batch in read_file(file, mapping, start_row_of(file)))


def read_file(file: SourceFile, mapping: Mapping, start_row: int = 0) -> Iterator[Parsed]:
    """Yield the file's batches from `start_row` on (0 or a `next_row` of an earlier call); at least one is yielded.

    Every row (of JSON: every value; of JSONL and CSV: every line or record that is not blank; of a tar: every sample)
    ends as a record or as a reject. Nothing that a file holds makes this raise: what cannot be read becomes rejects
    with reasons from `shapes.REASONS`, and a file that breaks in the middle keeps the rows before and those that can be
    found behind.

    Batch borders depend on the file and `start_row` only: a batch is the longest run of rows that keeps the mapping's
    limits, so starting again at any `next_row` gives the same remaining batches.

    Memory: about two batches, a chunk of 16,384 rows or 16 MiB, and one decoded image; see also the readers.

    Raises:
        ServiceError: the file lies behind an address, and that fails; the file is as good as it was.
    """
    yield from group(_rows(file, mapping, start_row), mapping, start_row)


def _is_single(file: SourceFile, mapping: Mapping) -> bool:
    try:
        return file.refusal is None and _READERS[format_of(file.locator, mapping)] is read_single
    except RefusedFileError:
        return False


def _rows(file: SourceFile, mapping: Mapping, start_row: int) -> Iterator[pa.Table]:
    row = start_row
    try:
        if file.refusal is not None:
            raise RefusedFileError(*file.refusal)
        for table in _READERS[format_of(file.locator, mapping)](file, mapping, start_row):
            yield table
            row = table["row"][-1].as_py() + 1
    except RefusedFileError as error:
        yield refused_file(file, row, error.refusal)
    except OSError as error:
        yield refused_file(file, row, Refusal("unreadable", reason_of(error)))
