"""Snapshots to export, and the whole way from a spec to a folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.store.exports.plan import ExportPlan
from curate.store.exports.write import export_snapshot
from curate.store.snapshots import Numbered, SnapshotSpec, draft_snapshot, latest_snapshot, snapshot_write
from curate.store.store import Store


def freeze_in(store: Store, spec: SnapshotSpec) -> Numbered:
    """Commit the next number of a snapshot."""
    with store.reader() as reader:
        draft, latest = draft_snapshot(reader, spec), latest_snapshot(reader, spec.name)
    before = latest.number if latest else 0
    store.commit(snapshot_write(draft, before + 1, before))
    with store.reader() as reader:
        frozen = latest_snapshot(reader, spec.name)
    assert frozen is not None
    return frozen


def plan_of(frozen: Numbered, spec: SnapshotSpec, declared: tuple[str, ...] = (), **more: Any) -> ExportPlan:
    """The plan that the step would make."""
    return ExportPlan(frozen, spec.modality, declared if spec.label else (), **more)


@pytest.fixture
def freeze(store: Store) -> Callable[..., Numbered]:
    return lambda spec: freeze_in(store, spec)


@pytest.fixture
def export(store: Store) -> Callable[..., Path]:
    """Freeze the next number (or take the one given) and export it without loading it back, unless a check is given."""

    def write(spec: SnapshotSpec, folder: Path, frozen: Numbered | None = None, check: Any = None, **more: Any) -> Path:
        plan = plan_of(frozen or freeze_in(store, spec), spec, **more)
        with store.reader() as reader:
            return export_snapshot(reader, plan, folder, check=check or (lambda *_: None))

    return write


@pytest.fixture
def content_of() -> Callable[[Path], dict[str, bytes]]:
    """Every file below a folder with its bytes."""

    def read(folder: Path) -> dict[str, bytes]:
        files = (path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

    return read
