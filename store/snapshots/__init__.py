"""Snapshots: immutable, numbered training sets, each with a content hash and the reasons for what it left out."""

from curate.store.snapshots.content import (
    items_before_snapshot,
    labelled_content,
    snapshot_items,
    snapshot_labels,
    stream_snapshot,
    taught_items,
    taught_where,
)
from curate.store.snapshots.difference import Difference, count_differences, differing_items
from curate.store.snapshots.draft import Draft, content_hash, draft_snapshot
from curate.store.snapshots.funnel import stage_of
from curate.store.snapshots.moments import commit_as_of
from curate.store.snapshots.numbered import (
    Numbered,
    SnapshotRow,
    find_snapshot,
    latest_snapshot,
    list_snapshots,
    snapshot_overview,
    snapshot_row,
    snapshot_write,
)
from curate.store.snapshots.spec import Quota, ScoreRange, SnapshotSpec, spec_hash
from curate.store.snapshots.splits import assign_split
from curate.store.snapshots.tokens import TOKENS, Count, token_scores
from curate.store.snapshots.waiting import count_changes, count_relicensed, what_hurries

__all__ = [
    "TOKENS",
    "Count",
    "Difference",
    "Draft",
    "Numbered",
    "Quota",
    "ScoreRange",
    "SnapshotRow",
    "SnapshotSpec",
    "assign_split",
    "commit_as_of",
    "content_hash",
    "count_changes",
    "count_differences",
    "count_relicensed",
    "differing_items",
    "draft_snapshot",
    "find_snapshot",
    "items_before_snapshot",
    "labelled_content",
    "latest_snapshot",
    "list_snapshots",
    "snapshot_items",
    "snapshot_labels",
    "snapshot_overview",
    "snapshot_row",
    "snapshot_write",
    "spec_hash",
    "stage_of",
    "stream_snapshot",
    "taught_items",
    "taught_where",
    "token_scores",
    "what_hurries",
]
