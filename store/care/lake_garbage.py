"""Garbage of a store on DuckLake: what the lake can do without, and what lies in this machine's folder for nothing."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa

from curate.store.address import LakeAddress
from curate.store.care.garbage import (
    Garbage,
    named_checkpoints_query,
    remove_leftover,
    size_of,
    unnamed_checkpoints,
    untouched_unfinished,
)
from curate.store.journal import Journal
from curate.store.lake.ledger import LakeLedger
from curate.store.lake.maintenance import Slack, find_slack, remove_slack
from curate.store.store import Store


def find_lake_garbage(store: Store, exports: Path | None) -> list[Garbage]:
    """Return what `collect_lake_garbage` would free now; nothing is changed.

    Raises:
        StoreBusyError: no turn was to be had.
        ServiceError: PostgreSQL does not answer.
    """
    found = [*(entry for entry, _ in _leftovers(store, exports)), *_answers(store)]
    with closing(_ledger(store)) as ledger:
        return [*found, *map(_as_garbage, find_slack(ledger))]


def collect_lake_garbage(store: Store, exports: Path | None) -> list[Garbage]:
    """Free what nobody needs, and return what was freed.

    Checkpoints go from this machine's folder only; where several machines share it, one of them cleans up for all.

    Raises:
        StoreBusyError: no turn was to be had.
        ServiceError: PostgreSQL does not answer.
    """
    freed = []
    for entry, path in list(_leftovers(store, exports)):
        remove_leftover(store.folder, entry, path)
        freed.append(entry)
    freed += _answers(store)
    Journal(store.folder).forget(_drained(store))
    with closing(_ledger(store)) as ledger:
        return [*freed, *map(_as_garbage, remove_slack(ledger))]


def _ledger(store: Store) -> LakeLedger:
    assert isinstance(store.address, LakeAddress)
    return LakeLedger(store.address, lease_timeout=store.lease_timeout, command="curate gc")


def _leftovers(store: Store, exports: Path | None) -> Iterator[tuple[Garbage, Path]]:
    for path in sorted(untouched_unfinished(store.folder, exports)):
        yield Garbage("unfinished file", path.name, size_of(path), "whoever wrote it was stopped"), path
    with store.reader() as reader:
        named = set(reader.query(named_checkpoints_query())["checkpoint"].to_pylist())
    yield from unnamed_checkpoints(store.folder, named)


def _answers(store: Store) -> list[Garbage]:
    drained = len(_drained(store))
    return [Garbage("answers", "journal", 0, f"{drained} answers that a commit holds")] if drained else []


def _drained(store: Store) -> set[str]:
    """The keys of the journal's answers that a commit holds."""
    waiting = pa.table({"request_key": pa.array(sorted(Journal(store.folder).keys()), pa.string())})
    with store.reader() as reader:
        reader.register("waiting", waiting)
        found = reader.query("SELECT request_key FROM requests SEMI JOIN waiting USING (request_key)")
    return set(found["request_key"].to_pylist())


def _as_garbage(slack: Slack) -> Garbage:
    return Garbage(slack.kind, slack.name, 0, f"{slack.pieces}: {slack.reason}")
