"""Committed snapshots: immutable, numbered from 1 by name."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import UsageError
from curate.store.reader import Reader
from curate.store.snapshots.draft import Draft
from curate.store.snapshots.spec import SnapshotSpec, spec_hash
from curate.store.write import CursorMove, Write, rows
from curate.types import SPLITS

_NUMBERED = "SELECT snapshot, number, content_hash, spec_hash, size FROM snapshots"
_OVERVIEW = """
    SELECT s.snapshot, s.number, s.size, s.as_of, s.commit_number, strftime(c.committed_at, '%Y-%m-%dT%H:%M:%S+00:00')
        AS committed_at, s.content_hash
    FROM snapshots s JOIN commits c USING (commit_number)
    WHERE $name = '' OR s.snapshot = $name ORDER BY s.snapshot, s.number"""


@dataclass(frozen=True, slots=True)
class Numbered:
    """A committed snapshot's identity."""

    snapshot: str
    number: int
    content_hash: str
    spec_hash: str
    size: int


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """What a committed snapshot was asked to hold, why the rest was left out, what it shows, and its own commit."""

    spec: Mapping[str, Any]
    funnel: Mapping[str, int]
    as_of: int
    commit_number: int

    @property
    def modality(self) -> str:
        """The modality of the snapshot's items; the settings may have changed since."""
        return str(self.spec["modality"])

    @property
    def request(self) -> SnapshotSpec:
        """The spec as it was given."""
        return SnapshotSpec.parse(json.dumps(self.spec))


def latest_snapshot(reader: Reader, name: str) -> Numbered | None:
    """Return the newest snapshot of this name."""
    found = list_snapshots(reader, name)
    return found[-1] if found else None


def list_snapshots(reader: Reader, name: str, after: int = 0) -> list[Numbered]:
    """Return the snapshots of this name with a number above `after`, in order."""
    found = reader.query(f"{_NUMBERED} WHERE snapshot = ? AND number > ? ORDER BY number", [name, after])
    return [Numbered(**row) for row in found.to_pylist()]


def find_snapshot(reader: Reader, name: str, number: int) -> Numbered:
    """Return one snapshot.

    Raises:
        UsageError: there is none of this name and number.
    """
    listed = {found.number: found for found in list_snapshots(reader, name)}
    if number in listed:
        return listed[number]
    numbers = f"its numbers go from {min(listed)} to {max(listed)}" if listed else "none has this name"
    raise UsageError(f"there is no snapshot {name!r} {number}: {numbers}", hint="curate snapshot list")


def snapshot_overview(reader: Reader, name: str = "") -> list[dict[str, Any]]:
    """Return name, number, size, `as_of`, commit, its time and content hash of all snapshots, or of one name's."""
    found: list[dict[str, Any]] = reader.query(_OVERVIEW, {"name": name}).to_pylist()
    return found


def snapshot_row(reader: Reader, snapshot: Numbered) -> SnapshotRow:
    """Return the committed description of a snapshot."""
    [row] = reader.query(
        "SELECT spec, funnel, as_of, commit_number FROM snapshots WHERE snapshot = ? AND number = ?",
        [snapshot.snapshot, snapshot.number],
    ).to_pylist()
    return SnapshotRow(json.loads(row["spec"]), json.loads(row["funnel"]), row["as_of"], row["commit_number"])


def snapshot_write(draft: Draft, number: int, before: int) -> Write:
    """Prepare the commit of a draft under the next number; it is void if any snapshot was committed meanwhile.

    Of this name, because the number is taken; of another, because it may evaluate with what the draft would train on.
    """
    header = {
        "snapshot": draft.spec.name,
        "number": [number],
        "content_hash": draft.content_hash,
        "size": [len(draft.items)],
        "spec": draft.spec.canonical(),
        "spec_hash": spec_hash(draft.spec),
        "as_of": [draft.as_of],
        "funnel": json.dumps(dict(draft.funnel), sort_keys=True),
    }
    items = _by_split(draft.items)
    columns = {name: items[name] for name in ("item_id", "label", "split", "score")}
    members = rows("snapshot_items", {"snapshot": draft.spec.name, "number": number, **columns}, len(draft.items))
    anchors = rows("anchors", {name: draft.anchors[name] for name in ("item_id", "anchor")}, len(draft.anchors))
    tables = {"snapshots": rows("snapshots", header), "snapshot_items": members, "anchors": anchors}
    moves = [
        CursorMove("snapshot", draft.spec.name, str(before) if before else "", str(number)),
        CursorMove("snapshot", "", draft.turn, str(int(draft.turn or 0) + 1)),
    ]
    return Write("snapshot", tables, cursors=moves)


def _by_split(items: pa.Table) -> pa.Table:
    """Put ranked items split by split: an export, which wants them so, need not sort them then."""
    return pa.concat_tables([items.filter(pc.equal(items["split"], split)) for split in SPLITS])
