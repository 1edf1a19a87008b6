"""From a file's rows to batches with deterministic borders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike

from curate.store.ingestion.content import CONTENT_OF
from curate.store.ingestion.mapping import FOLDER_LABEL, Mapping
from curate.store.ingestion.shapes import RECORDS, REJECTS, ROWS, Parsed, Refusal, Refusals, RefusedFileError
from curate.store.ingestion.source_file import SourceFile

CHUNK_ROWS = 16_384
CHUNK_BYTES = 16 * 2**20
_T = TypeVar("_T")


@dataclass(slots=True)
class Chunk:
    """Consecutive rows of a file as a reader found them; arrays of one length, None for a column that is not mapped.

    `rows` are 0-based row numbers (rising; blank lines leave gaps), `refusals` the positions that are refused already.
    """

    rows: np.ndarray[Any, np.dtype[np.int64]]
    locator: pa.Array
    content: pa.Array
    identifier: pa.Array | None = None
    label: pa.Array | None = None
    licence: pa.Array | None = None
    metadata: pa.Array | None = None
    refusals: Refusals = field(default_factory=dict)


def chunk_rows(rows: float) -> int:
    """Return how many rows make a chunk where `rows` of them would fill it: at least 1 and at most 16,384."""
    return int(max(1, min(CHUNK_ROWS, rows)))


def chunked(entries: Iterable[_T], size_of: Callable[[_T], int], rows: int | None = None) -> Iterator[list[_T]]:
    """Cut what is read one by one into chunks; where reading fails, what was read before comes first."""
    most = chunk_rows(CHUNK_ROWS if rows is None else rows)
    chunk: list[_T] = []
    size = 0
    try:
        for entry in entries:
            chunk.append(entry)
            size += size_of(entry)
            if len(chunk) >= most or size >= CHUNK_BYTES:
                yield chunk
                chunk, size = [], 0
    except (RefusedFileError, OSError):
        if chunk:
            yield chunk
        raise
    if chunk:
        yield chunk


def row_locators(file: SourceFile, rows: ArrayLike) -> pa.Array:
    """Return `path#number` for every row, counted from 1."""
    numbers = pa.array(np.asarray(rows, np.int64) + 1).cast(pa.string())
    return pc.binary_join_element_wise(f"{file.locator}#", numbers, "")


def assemble(chunk: Chunk, file: SourceFile | Sequence[SourceFile], mapping: Mapping) -> pa.Table:
    """Turn a chunk into a table of the schema `ROWS`: each row either a record or, with a reason, a refusal.

    The rows are of one file, or each is of its own.
    """
    length = len(chunk.rows)
    item_id, stored, size = CONTENT_OF[mapping.modality](chunk.content, mapping, chunk.refusals)
    columns = {
        "item_id": item_id,
        "modality": pa.repeat(mapping.modality, length),
        mapping.modality: stored,
        "size": size,
        "locator": chunk.locator,
        "entity": _entities(chunk.identifier, mapping.source, length),
        "licence": _licences(chunk.licence, mapping.licence, length),
        "metadata": pa.repeat("", length) if chunk.metadata is None else chunk.metadata,
        "label": _labels(chunk.label, file, mapping, length),
        "row": pa.array(chunk.rows),
    }
    if mapping.modality == "events":
        columns["time_unit"] = pa.repeat(mapping.time_unit, length)
    if chunk.refusals:
        columns["reason"], columns["detail"] = _refusal_columns(chunk.refusals, length)
    arrays = [columns.get(entry.name) for entry in ROWS]
    filled = [
        pa.nulls(length, entry.type) if array is None else array for array, entry in zip(arrays, ROWS, strict=True)
    ]
    return pa.Table.from_arrays(filled, schema=ROWS)


def refused_file(file: SourceFile, row: int, refusal: Refusal) -> pa.Table:
    """Return the one row that says why a file, or its rest from `row` on, cannot be read."""
    detail = f"from row {row + 1} on: {refusal.detail}" if row else refusal.detail
    return _refused(file.locator, row, Refusal(refusal.reason, detail))


def refused_rows(file: SourceFile, first: int, last: int, refusal: Refusal) -> pa.Table:
    """Return the one row that says why some consecutive rows of a file cannot be read; others follow."""
    detail = f"rows {first + 1} to {last + 1}: {refusal.detail}"
    return _refused(f"{file.locator}#{first + 1}", last, Refusal(refusal.reason, detail))


def _refused(locator: str, row: int, refusal: Refusal) -> pa.Table:
    entry = {"locator": locator, "row": row, "reason": refusal.reason, "detail": refusal.detail}
    return pa.Table.from_pylist([entry], ROWS)


def group(tables: Iterable[pa.Table], mapping: Mapping, start_row: int) -> Iterator[Parsed]:
    """Cut rows into batches; a batch is the longest run that keeps the limits, so a border depends on its start only.

    Memory: one batch, one table and what they are cut from.
    """
    held = None
    for rows in _runs(tables, mapping):
        if held is not None:
            yield held
        held = parsed(rows)
    held = held or Parsed(RECORDS.empty_table(), REJECTS.empty_table(), start_row, True)
    yield replace(held, complete=True)


def parsed(rows: pa.Table) -> Parsed:
    """Part rows into records and rejects; the file may go on."""
    next_row = rows["row"][-1].as_py() + 1
    fine = rows["reason"].is_null()
    if rows["reason"].null_count == rows.num_rows:
        return Parsed(rows.select(RECORDS.names), REJECTS.empty_table(), next_row, False)
    records, rejects = rows.filter(fine).select(RECORDS.names), rows.filter(pc.invert(fine)).select(REJECTS.names)
    return Parsed(records, rejects, next_row, False)


def _runs(tables: Iterable[pa.Table], mapping: Mapping) -> Iterator[pa.Table]:
    held: list[pa.Table] = []
    rows = size = 0
    for table in tables:
        total = _total_bytes(table)
        start = 0
        while start < len(table):
            fitting = int(np.searchsorted(total, total[start] + mapping.batch_bytes - size, side="right")) - 1
            end = min(max(fitting, start if held else start + 1), start + mapping.batch_rows - rows)
            if end > start:
                held.append(table.slice(start, end - start))
                rows, size = rows + end - start, size + int(total[end] - total[start])
                start = end
            if start < len(table):  # only then it is sure that the run cannot be longer
                yield pa.concat_tables(held)
                held, rows, size = [], 0, 0
    if held:
        yield pa.concat_tables(held)


def _total_bytes(rows: pa.Table) -> np.ndarray[Any, np.dtype[np.int64]]:
    """How many bytes of records come before each row, and at last all of them."""
    sizes = pc.if_else(rows["reason"].is_null(), rows["size"], 0).to_numpy()
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)))


def _entities(identifiers: pa.Array | None, source: str, length: int) -> pa.Array:
    if identifiers is None:
        return pa.repeat("", length)
    return pc.fill_null(
        pc.binary_join_element_wise(f"{source}:", pc.if_else(pc.equal(identifiers, ""), None, identifiers), ""), ""
    )


def _labels(
    labels: pa.Array | None, file: SourceFile | Sequence[SourceFile], mapping: Mapping, length: int
) -> pa.Array | None:
    if mapping.label == FOLDER_LABEL:
        if isinstance(file, SourceFile):
            return pa.repeat(file.folder, length) if file.folder else None
        labels = pa.array([each.folder for each in file], pa.string())
    return labels if labels is None else pc.if_else(pc.equal(labels, ""), None, labels)


def _licences(licences: pa.Array | None, otherwise: str, length: int) -> pa.Array:
    if licences is None:
        return pa.repeat(otherwise, length)
    return pc.fill_null(pc.if_else(pc.equal(licences, ""), None, licences), otherwise)


def _refusal_columns(refusals: Refusals, length: int) -> tuple[pa.Array, pa.Array]:
    entries = [refusals.get(position, Refusal(None, None)) for position in range(length)]  # type: ignore[arg-type]
    return pa.array([entry.reason for entry in entries], pa.string()), pa.array(
        [entry.detail for entry in entries], pa.string()
    )
