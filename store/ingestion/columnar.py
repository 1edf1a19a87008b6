"""Tables of Arrow as chunks: which columns are read, of which types they may be, and what they stand for."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from pyarrow import types

from curate.store.ingestion.batches import CHUNK_BYTES, Chunk, chunk_rows, row_locators
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.metadata import class_names, is_text, json_objects, plain, single_values
from curate.store.ingestion.shapes import Refusals, RefusedFileError
from curate.store.ingestion.source_file import SourceFile
from curate.types import Modality

SAMPLED_ROWS = 64


class Columns:
    """Which columns of a file are read, and how they become a chunk.

    Strings, binaries, dictionaries and extension types are taken as what they stand for. Images may be plain bytes or
    Hugging Face's struct of bytes and path; integer labels get their names from Hugging Face's `ClassLabel` metadata.

    Raises:
        RefusedFileError: a column is missing, or there twice; a chunk's column has a wrong type.
    """

    def __init__(self, schema: pa.Schema, file: SourceFile, mapping: Mapping) -> None:
        self._file = file
        self._mapping = mapping
        self.names = list(dict.fromkeys((mapping.content, *mapping.beside_content)))
        for name in self.names:
            _check_present(schema, name)
        self._classes = _class_names(schema, mapping.label_column)
        self.chunk({name: _nothing(schema, name) for name in self.names}, 0)

    def chunk(self, batch: pa.RecordBatch | dict[str, pa.Array], first_row: int) -> Chunk:
        """Turn a batch with these columns, whose first row is the file's `first_row`, into a chunk."""
        mapping = self._mapping
        refusals: Refusals = {}
        columns = {name: plain(batch[name]) for name in self.names}
        rows = np.arange(first_row, first_row + len(columns[mapping.content]))

        def single(name: str, reason: str) -> pa.Array | None:
            return single_values(columns[name], name, reason, refusals) if name else None

        metadata = {name: columns[name] for name in mapping.metadata}
        return Chunk(
            rows,
            row_locators(self._file, rows),
            _CONTENT_OF[mapping.modality](columns[mapping.content], mapping.content),
            single(mapping.identifier, "invalid-identifier"),
            self._labels(columns.get(mapping.label_column), refusals),
            single(mapping.licence_column, "invalid-licence"),
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


def _nothing(schema: pa.Schema, name: str) -> pa.Array:
    """An array of the column's type with no value: converting it tells whether the type will do."""
    return pa.chunked_array([], schema.field(name).type).combine_chunks()


def rows_at_once(sample: pa.RecordBatch) -> int:
    """Return how many rows make a chunk, as far as a sample of them foretells; dictionaries count as what they hide."""
    size = sum(plain(column).nbytes for column in sample.columns)
    return chunk_rows(CHUNK_BYTES * sample.num_rows // max(1, size))


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
