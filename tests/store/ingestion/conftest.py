"""Reading a whole file in one call, as rows of Python values."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from curate.store.ingestion.files import list_files
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.read import read_file
from curate.store.ingestion.shapes import REASONS, RECORDS, REJECTS, Parsed


@dataclass(frozen=True)
class Reading:
    """All batches of one file; every batch's schema and reasons are checked on the way."""

    batches: list[Parsed]

    @property
    def records(self) -> list[dict[str, Any]]:
        return [row for batch in self.batches for row in batch.records.to_pylist()]

    @property
    def rejects(self) -> list[dict[str, Any]]:
        return [row for batch in self.batches for row in batch.rejects.to_pylist()]

    @property
    def reasons(self) -> list[str]:
        return [row["reason"] for row in self.rejects]

    def column(self, name: str) -> list[Any]:
        return [row[name] for row in self.records]


def read_whole(path: Path, mapping: Mapping, start_row: int = 0) -> Reading:
    """Read one file, holding every batch to what is promised of all."""
    (file,) = list_files(path, mapping)
    batches = list(read_file(file, mapping, start_row))
    assert [batch.complete for batch in batches] == [False] * (len(batches) - 1) + [True]
    for batch in batches:
        assert batch.records.schema == RECORDS
        assert batch.rejects.schema == REJECTS
        batch.records.validate(full=True)
        batch.rejects.validate(full=True)
        assert batch.records.num_rows + batch.rejects.num_rows <= mapping.batch_rows
        assert set(batch.rejects["reason"].to_pylist()) <= set(REASONS)
        assert all(batch.records[name].null_count == 0 for name in ("item_id", "size", "entity", "licence", "metadata"))
    return Reading(batches)


@pytest.fixture
def read() -> Callable[..., Reading]:
    """`read(path, modality="text", …)` reads one file with a mapping of source "s"."""

    def _read(path: Path, start_row: int = 0, **options: Any) -> Reading:
        return read_whole(path, Mapping(**{"source": "s", "modality": "text", **options}), start_row)

    return _read
