"""Snapshots: immutable, numbered training sets, each with a content hash and the reasons for what it left out."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import pyarrow as pa

from curate.store.reader import Reader
from curate.store.write import CursorMove, Write, rows
from curate.types import SPLITS


@dataclass(frozen=True, slots=True)
class SnapshotSpec:
    """What a snapshot shall hold; equal specs over equal stores give equal content.

    `sources` empty means all. `order_by` names a selector whose latest score ranks the items, highest first; `limit` 0
    means no limit. `label` names an attribute; `annotators` is the order of trust in which their claims are taken, and
    those not named follow (people, then sources, then the most confident). `splits` are fractions that sum to 1.
    """

    name: str
    modality: str
    sources: tuple[str, ...] = ()
    order_by: str = ""
    limit: int = 0
    label: str = ""
    annotators: tuple[str, ...] = ()
    splits: Mapping[str, float] = field(default_factory=lambda: {"train": 0.8, "validation": 0.1, "test": 0.1})

    def canonical(self) -> str:
        """The spec as canonical JSON."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True, slots=True)
class Draft:
    """A snapshot that is not committed yet: its items (item_id, label, split, score), hash and funnel."""

    spec: SnapshotSpec
    items: pa.Table
    content_hash: str
    funnel: Mapping[str, int]
    as_of: int


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
    """What a committed snapshot was asked to hold, why the rest was left out, and as of which commit."""

    spec: Mapping[str, Any]
    funnel: Mapping[str, int]
    as_of: int

    @property
    def modality(self) -> str:
        """The modality of the snapshot's items; the settings may have changed since."""
        return str(self.spec["modality"])


_RANKED = """
    WITH scoped AS (
        SELECT i.item_id FROM items i
        WHERE i.modality = $modality
          AND (len($sources) = 0 OR i.item_id IN (SELECT item_id FROM origins WHERE list_contains($sources, source)))
    ), claims AS (
        SELECT item_id, value FROM annotations SEMI JOIN scoped USING (item_id)
        WHERE attribute = $label
        QUALIFY row_number() OVER (PARTITION BY item_id ORDER BY
            coalesce(list_position($annotators, annotator), 1000000),
            CASE annotator_kind WHEN 'human' THEN 0 WHEN 'source' THEN 1 ELSE 2 END,
            confidence DESC, commit_number DESC, annotator, value) = 1
    ), ranking AS (
        SELECT item_id, score FROM scores SEMI JOIN scoped USING (item_id)
        WHERE selector = $order_by AND NOT isnan(score)
        QUALIFY row_number() OVER (PARTITION BY item_id ORDER BY commit_number DESC, selector_version, target) = 1
    ), judged AS (
        SELECT s.item_id, c.value AS label, r.score,
            CASE
                WHEN d.item_id IS NOT NULL THEN 'dropped: ' || d.reason
                WHEN $label <> '' AND c.value IS NULL THEN 'no label'
                WHEN $order_by <> '' AND r.score IS NULL THEN 'no score'
                ELSE ''
            END AS reason
        FROM scoped s LEFT JOIN dropped d USING (item_id) LEFT JOIN claims c USING (item_id)
        LEFT JOIN ranking r USING (item_id)
    )"""
_CHOSEN = (
    _RANKED
    + """
    SELECT item_id, label, score FROM judged WHERE reason = '' ORDER BY score DESC NULLS LAST, item_id
    LIMIT CASE WHEN $limit > 0 THEN $limit END"""
)
_FUNNEL = _RANKED + "SELECT reason, count(*) AS items FROM judged GROUP BY reason ORDER BY reason"


def draft_snapshot(reader: Reader, spec: SnapshotSpec) -> Draft:
    """Choose the items of a snapshot from the published store.

    Cost: one pass over the scoped items, their claims and scores; memory proportional to the chosen items' ids.
    """
    parameters: dict[str, Any] = {
        "modality": spec.modality,
        "sources": list(spec.sources),
        "label": spec.label,
        "annotators": list(spec.annotators),
        "order_by": spec.order_by,
    }
    chosen = reader.query(_CHOSEN, parameters | {"limit": spec.limit})
    splits = [assign_split(item_id, spec.splits) for item_id in chosen["item_id"].to_pylist()]
    items = chosen.append_column("split", pa.array(splits, pa.string()))
    return Draft(spec, items, content_hash(items), _funnel(reader, parameters, len(items)), reader.commit_number)


def assign_split(item_id: str, splits: Mapping[str, float]) -> str:
    """Return an item's split, a function of its id alone: an item never moves when data arrive.

    The test split lies lowest in the hash's range, so that a larger test fraction takes from the others and gives none.

    >>> assign_split("00", {"train": 0.0, "validation": 0.0, "test": 1.0})
    'test'
    """
    share = int.from_bytes(hashlib.sha256(f"split:{item_id}".encode()).digest()[:8], "big") / 2**64
    edge = 0.0
    for name in reversed(SPLITS):
        edge += splits.get(name, 0.0)
        if share < edge:
            return name
    return SPLITS[0]


def content_hash(items: pa.Table) -> str:
    """Return SHA-256 over the sorted ids, labels and splits, a JSON list a line: equal content has an equal hash."""
    columns = (items[name].to_pylist() for name in ("item_id", "label", "split"))
    lines = sorted(json.dumps(row) + "\n" for row in zip(*columns, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def latest_snapshot(reader: Reader, name: str) -> Numbered | None:
    """Return the newest snapshot of this name."""
    found = list_snapshots(reader, name)
    return found[-1] if found else None


def list_snapshots(reader: Reader, name: str, after: int = 0) -> list[Numbered]:
    """Return the snapshots of this name with a number above `after`, in order."""
    found = reader.query(
        "SELECT snapshot, number, content_hash, spec_hash, size FROM snapshots"
        " WHERE snapshot = ? AND number > ? ORDER BY number",
        [name, after],
    )
    return [Numbered(**row) for row in found.to_pylist()]


def snapshot_row(reader: Reader, snapshot: Numbered) -> SnapshotRow:
    """Return the committed description of a snapshot."""
    [row] = reader.query(
        "SELECT spec, funnel, as_of FROM snapshots WHERE snapshot = ? AND number = ?",
        [snapshot.snapshot, snapshot.number],
    ).to_pylist()
    return SnapshotRow(json.loads(row["spec"]), json.loads(row["funnel"]), row["as_of"])


def snapshot_write(draft: Draft, number: int, before: int) -> Write:
    """Prepare the commit of a draft under the next number; it is void if another run numbered one meanwhile."""
    spec = draft.spec.canonical()
    header = {
        "snapshot": draft.spec.name,
        "number": [number],
        "content_hash": draft.content_hash,
        "size": [len(draft.items)],
        "spec": spec,
        "spec_hash": spec_hash(draft.spec),
        "as_of": [draft.as_of],
        "funnel": json.dumps(dict(draft.funnel), sort_keys=True),
    }
    columns = {name: draft.items[name] for name in ("item_id", "label", "split", "score")}
    members = rows("snapshot_items", {"snapshot": draft.spec.name, "number": number, **columns}, len(draft.items))
    move = CursorMove("snapshot", draft.spec.name, str(before) if before else "", str(number))
    return Write("snapshot", {"snapshots": rows("snapshots", header), "snapshot_items": members}, cursors=[move])


def spec_hash(spec: SnapshotSpec) -> str:
    """Return the hash that tells two specs apart."""
    return hashlib.sha256(spec.canonical().encode()).hexdigest()


def snapshot_items(reader: Reader, name: str, number: int, splits: Sequence[str], after: int | None = None) -> pa.Table:
    """Return the content, label and split of a snapshot's items in the order of their ids.

    With `after`, only those items that no snapshot of this name from 1 to `after` held in the same split.
    """
    query = """
        SELECT s.item_id, s.label, s.split, s.score, i.modality, i.text, i.image, i.events
        FROM snapshot_items s JOIN items i USING (item_id)
        WHERE s.snapshot = $name AND s.number = $number AND list_contains($splits, s.split)
          AND NOT EXISTS (
            SELECT 1 FROM snapshot_items e
            WHERE e.snapshot = $name AND e.number <= $after AND e.item_id = s.item_id AND e.split = s.split)
        ORDER BY s.item_id"""
    return reader.query(query, {"name": name, "number": number, "splits": list(splits), "after": after or 0})


def items_before_snapshot(reader: Reader, name: str, number: int, most: int) -> pa.Table:
    """Return up to `most` items of a snapshot's modality that were there when it was taken, in the order of their ids.

    Labelled or not, chosen or not; left out are dropped items and those whose id belongs to the test split.
    """
    snapshot = next(found for found in list_snapshots(reader, name) if found.number == number)
    row = snapshot_row(reader, snapshot)
    ids = reader.query(
        "SELECT item_id FROM items ANTI JOIN dropped USING (item_id)"
        " WHERE modality = ? AND commit_number <= ? ORDER BY item_id",
        [row.modality, row.as_of],
    )["item_id"].to_pylist()
    splits = row.spec["splits"]
    wanted = list(islice((item for item in ids if assign_split(item, splits) != "test"), most))
    reader.register("wanted", pa.table({"item_id": pa.array(wanted, pa.string())}))
    return reader.query(
        "SELECT item_id, modality, text, image, events FROM items SEMI JOIN wanted USING (item_id) ORDER BY 1"
    )


def _funnel(reader: Reader, parameters: Mapping[str, Any], chosen: int) -> dict[str, int]:
    found = reader.query(_FUNNEL, dict(parameters))
    counts = dict(zip(found["reason"].to_pylist(), found["items"].to_pylist(), strict=True))
    eligible = counts.pop("", 0)
    funnel = {"arrived": eligible + sum(counts.values()), **counts}
    if eligible > chosen:
        funnel["below the cut"] = eligible - chosen
    return funnel | {"selected": chosen}
