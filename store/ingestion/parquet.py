"""Parquet: Arrow in, Arrow out, streamed by row groups and, within one, by chunks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from curate.store.ingestion.batches import Chunk, assemble, row_locators
from curate.store.ingestion.files import SourceFile
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.metadata import class_names, is_text, json_objects, plain, single_values
from curate.store.ingestion.shapes import Refusals, RefusedFileError, excerpt
from curate.types import Modality

_CHUNK_ROWS = 16_384
_CHUNK_BYTES = 16 * 2**20
_SAMPLED_ROWS = 64
_BUFFER_BYTES = 2**20
_MAGIC = b"PAR1"


def read_parquet(file: SourceFile, mapping: Mapping, start_row: int) -> Iterator[pa.Table]:
    """Yield tables of rows; row groups before `start_row` are not read.

    Strings, binaries, dictionaries and extension types are taken as what they stand for. Images may be plain bytes or
    Hugging Face's struct of bytes and path; integer labels get their names from Hugging Face's `ClassLabel` metadata.

    Memory: a chunk holds 16,384 rows or about 16 MiB, as far as a row group's mean size and its first 64 rows foretell.

    Raises:
        RefusedFileError: the file is damaged, or lacks a column, or one has a wrong type.
        OSError: the file cannot be read.
    """
    with file.path.open("rb") as stream, _opened(stream) as parquet:
        reader = _Columns(parquet.schema_arrow, mapping)
        for first_row, batch in _batches(parquet, reader.names, start_row):
            yield assemble(reader.chunk(file, batch, first_row), file, mapping)


class _Columns:
    """Which columns of a file are read, and how they become a chunk."""

    def __init__(self, schema: pa.Schema, mapping: Mapping) -> None:
        self._mapping = mapping
        wanted = (mapping.content, mapping.identifier, mapping.label_column, *mapping.metadata)
        self.names = list(dict.fromkeys(name for name in wanted if name))
        for name in self.names:
            _check_present(schema, name)
        self._classes = _class_names(schema, mapping.label_column)

    def chunk(self, file: SourceFile, batch: pa.RecordBatch, first_row: int) -> Chunk:
        mapping = self._mapping
        refusals: Refusals = {}
        columns = {name: plain(batch.column(name)) for name in self.names}
        rows = np.arange(first_row, first_row + batch.num_rows)
        identifier = columns.get(mapping.identifier)
        if identifier is not None:
            identifier = single_values(identifier, mapping.identifier, "invalid-identifier", refusals)
        metadata = {name: columns[name] for name in mapping.metadata}
        return Chunk(
            rows,
            row_locators(file, rows),
            _CONTENT_OF[mapping.modality](columns[mapping.content], mapping.content),
            identifier,
            self._labels(columns.get(mapping.label_column), refusals),
            json_objects(metadata, refusals) if metadata else None,
            refusals,
        )

    def _labels(self, column: pa.Array | None, refusals: Refusals) -> pa.Array | None:
        if column is None:
            return None
        if self._classes and types.is_integer(column.type):
            return class_names(column, self._classes, refusals)
        return single_values(column, self._mapping.label_column, "invalid-label", refusals)


def _check_present(schema: pa.Schema, name: str) -> None:
    found = len(schema.get_all_field_indices(name))
    if found == 0:
        raise RefusedFileError("missing-column", f"there is no column {name!r}; there are {', '.join(schema.names)}")
    if found > 1:
        raise RefusedFileError("ambiguous-column", f"there are {found} columns {name!r}")


def _class_names(schema: pa.Schema, label: str) -> list[str]:
    """The names of a `ClassLabel` feature in the metadata that Hugging Face's `datasets` writes, or none."""
    try:
        feature = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][label]
        return [str(name) for name in feature["names"]] if feature["_type"] == "ClassLabel" else []
    except (ValueError, KeyError, TypeError, RecursionError):
        return []


@contextmanager
def _opened(stream: BinaryIO) -> Iterator[pq.ParquetFile]:
    """The open file, with every complaint of Arrow's about its content as a refusal."""
    head = stream.read(len(_MAGIC))
    stream.seek(-min(len(_MAGIC), stream.seek(0, 2)), 2)
    tail = stream.read()
    if head != _MAGIC:
        raise RefusedFileError("broken-parquet", "the file does not begin like Parquet")
    if tail != _MAGIC:
        raise RefusedFileError("truncated-parquet", "the file begins like Parquet and lacks its end; copy it again")
    stream.seek(0)
    # Damage that Arrow notices only in use (a wrong offset, an impossible date) comes as any of these.
    try:
        with pq.ParquetFile(
            stream, buffer_size=_BUFFER_BYTES, pre_buffer=False, page_checksum_verification=True
        ) as parquet:
            yield parquet
    except RefusedFileError:
        raise
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise RefusedFileError("broken-parquet", f"{type(error).__name__}: {excerpt(str(error))}") from error


def _batches(parquet: pq.ParquetFile, names: list[str], start_row: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    first_row = 0
    for number in range(parquet.num_row_groups):
        rows = parquet.metadata.row_group(number).num_rows
        if first_row + rows > start_row:
            size = _rows_at_once(parquet, number, names)
            for batch in parquet.iter_batches(size, row_groups=[number], columns=names):
                skipped = min(max(0, start_row - first_row), batch.num_rows)
                if skipped < batch.num_rows:
                    yield first_row + skipped, batch.slice(skipped)
                first_row += batch.num_rows
        else:
            first_row += rows


def _rows_at_once(parquet: pq.ParquetFile, number: int, names: list[str]) -> int:
    """How many rows of a row group make a chunk: by its stated size and, as dictionaries hide that, a sample."""
    group = parquet.metadata.row_group(number)
    rows = max(1, group.num_rows)
    columns = (group.column(index) for index in range(group.num_columns))
    size = sum(column.total_uncompressed_size for column in columns if column.path_in_schema.split(".")[0] in names)
    by_size = _clamped(_CHUNK_BYTES * rows // max(1, size))
    sample = next(parquet.iter_batches(min(by_size, _SAMPLED_ROWS), row_groups=[number], columns=names), None)
    if sample is None:
        return by_size
    sampled = sum(plain(column).nbytes for column in sample.columns)
    return min(by_size, _clamped(_CHUNK_BYTES * sample.num_rows // max(1, sampled)))


def _clamped(rows: int) -> int:
    return max(1, min(_CHUNK_ROWS, rows))


def _texts(column: pa.Array, name: str) -> pa.Array:
    if not is_text(column.type):
        raise RefusedFileError("not-text", f"column {name!r} is of type {column.type}, no text")
    return column.cast(pa.binary())


def _images(column: pa.Array, name: str) -> pa.Array:
    if types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
        column = pa.compute.struct_field(column, "bytes")
    if not is_text(column.type):
        raise RefusedFileError("not-an-image", f"column {name!r} is of type {column.type}, no bytes of images")
    return column.cast(pa.binary())


def _events(column: pa.Array, name: str) -> pa.Array:
    if types.is_null(column.type):
        return column.cast(pa.list_(pa.struct([("time", pa.float64()), ("type", pa.int32())])))
    kind = column.type
    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    if not is_list or not types.is_struct(kind.value_type) or not _has_numbers(kind.value_type):
        raise RefusedFileError("invalid-events", f"column {name!r} is of type {kind}, no list of numeric time and type")
    return column


def _has_numbers(kind: pa.StructType) -> bool:
    return all(kind.get_field_index(name) >= 0 and _is_number(kind.field(name).type) for name in ("time", "type"))


def _is_number(kind: pa.DataType) -> bool:
    return any(test(kind) for test in (types.is_integer, types.is_floating, types.is_decimal))


_CONTENT_OF: dict[Modality, Callable[[pa.Array, str], pa.Array]] = {"text": _texts, "image": _images, "events": _events}
