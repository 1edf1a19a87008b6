"""Drafting: from a spec and the store as it is, or was, to the items of a snapshot and the reasons for the rest."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from curate.store.reader import Reader
from curate.store.reasons import short_reason
from curate.store.snapshots.cuts import Cuts
from curate.store.snapshots.funnel import funnel
from curate.store.snapshots.judging import Moment, judge
from curate.store.snapshots.spec import SnapshotSpec
from curate.store.snapshots.tokens import Count, weigh
from curate.store.work import cursor

_HASHED_ROWS = 10_000
_CANDIDATES = """
    SELECT item_id, label, score, split, stays, anchor, cells, size FROM judged WHERE barrier IS NULL
    ORDER BY score DESC NULLS LAST, item_id"""
# An item's own digits in a reason would give it a line of its own.
_BARRED = f"""
    SELECT {{'bar': barrier.bar, 'by': barrier.by, 'detail': regexp_replace(
        {short_reason("barrier.detail")}, '\\b[0-9a-f]{{16,64}}\\b', 'another', 'g')}} AS barrier, count(*) AS items
    FROM judged WHERE barrier IS NOT NULL AND barrier.bar IN ('dropped', 'undecided') GROUP BY 1
    UNION ALL
    SELECT {{'bar': barrier.bar, 'by': barrier.by, 'detail': ''}}, count(*)
    FROM judged WHERE barrier IS NOT NULL AND barrier.bar NOT IN ('dropped', 'undecided') GROUP BY 1"""


@dataclass(frozen=True, slots=True)
class Draft:
    """A snapshot that is not committed yet: its items (item_id, label, score, split), hash and funnel.

    `staying` counts items that their past keeps in another split than the spec's fractions would give them, `anchors`
    holds the anchors to keep (item_id, anchor), and `turn` is where the cursor of all snapshots stood: a draft made
    before another snapshot was committed is void. `uncounted` candidates have no known number of tokens,
    and count as none.
    """

    spec: SnapshotSpec
    items: pa.Table
    content_hash: str
    funnel: Mapping[str, int]
    as_of: int
    staying: int
    anchors: pa.Table
    turn: str
    uncounted: int = 0


def draft_snapshot(reader: Reader, spec: SnapshotSpec, as_of: int | None = None, count: Count | None = None) -> Draft:
    """Choose the items of a snapshot from the published store, with `as_of` from what it knew at that commit.

    For a budget of tokens, `count` counts those of candidates of which the store does not know them; see `weigh`.
    What was held out to evaluate is never forgotten: for that, every snapshot counts that there is now.

    Cost: see `judge`, a sort of the candidates, and one look at each where quotas, limit or budget bound them.
    Memory: see `judge`, and the chosen items' ids; no content.
    """
    moment = Moment(reader.commit_number if as_of is None else as_of, reader.commit_number + 1)
    judge(reader, spec, moment)
    uncounted = weigh(reader, spec, count) if spec.tokens else 0
    cuts = Cuts(spec)
    candidates = reader.stream(_CANDIDATES)
    chosen = pa.Table.from_batches(cuts.take(candidates), candidates.schema)
    items = chosen.select(["item_id", "label", "score", "split"])
    barred = reader.query(_BARRED)
    pairs = zip(barred["barrier"].to_pylist(), barred["items"].to_pylist(), strict=True)
    return Draft(
        spec=spec,
        items=items,
        content_hash=content_hash(items),
        funnel=funnel(pairs, cuts.left_out, len(items)),
        as_of=moment.as_of,
        staying=pc.sum(chosen["stays"]).as_py() or 0,
        anchors=chosen.select(["item_id", "anchor"]).filter(pc.is_valid(chosen["anchor"])),
        turn=cursor(reader, "snapshot"),
        uncounted=uncounted,
    )


def content_hash(items: pa.Table) -> str:
    """Return SHA-256 over the sorted ids, labels and splits, a JSON list a line: equal content has an equal hash."""
    digest = hashlib.sha256()
    ordered = items.select(["item_id", "label", "split"]).sort_by("item_id")
    for batch in ordered.to_batches(_HASHED_ROWS):
        item_id, label, split = batch.columns
        row = ("[", _id_as_json(item_id), ", ", _as_json(label), ", ", _as_json(split), "]\n", "")
        lines = pc.binary_join_element_wise(*row)
        digest.update(lines.buffers()[2][: pc.sum(pc.binary_length(lines)).as_py()])
    return digest.hexdigest()


def _id_as_json(ids: pa.Array) -> pa.Array:
    if not pc.all(pc.match_substring_regex(ids, "^[0-9a-f]+$")).as_py():
        return _as_json(ids)
    return pc.binary_join_element_wise('"', ids, '"', "")


def _as_json(column: pa.Array) -> pa.Array:
    """Each value as JSON; values that repeat are turned into it once."""
    coded = column.dictionary_encode(null_encoding="encode")
    names = pa.array([json.dumps(value) for value in coded.dictionary.to_pylist()], pa.string())
    return names.take(coded.indices)
