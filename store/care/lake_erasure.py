"""Erasure on a lake: the rows go in one transaction behind the fence, then every file that still holds them.

The transaction leaves a note in the lake itself. Whoever opens the lake to write after a kill, on whatever machine,
finishes what it says. Of the journals and inboxes, which belong to machines, this machine's alone are cleaned.
"""

from collections.abc import Mapping
from contextlib import closing

import duckdb

from curate.store.address import LakeAddress
from curate.store.care.erasure import Doom, ErasurePlan, burial, is_unburied
from curate.store.inbox import forget_answers
from curate.store.journal import Journal
from curate.store.lake.ledger import LakeLedger, mark_unclean
from curate.store.lake.maintenance import forget_deleted
from curate.store.store import Store


def erase_from_lake(store: Store, plan: ErasurePlan) -> Mapping[str, int]:
    """Erase and return the rows that each table lost; afterwards no file of the lake holds the content.

    Other writers get their turn between the pieces. Cost: files that hold the content are read and written once. Who
    reads an older commit meanwhile may have to begin again, for all snapshots but the newest are expired.

    Raises:
        StoreBusyError: no turn was to be had; where that happens after the rows went, the next writer goes on.
        CurateError: a disk or the object storage refuses; likewise.
    """
    assert isinstance(store.address, LakeAddress)
    doom = Doom(plan)
    lost: dict[str, int] = {}

    def delete(connection: duckdb.DuckDBPyConnection) -> Mapping[str, int]:
        lost.clear()
        if not is_unburied(connection, doom):
            return {}
        lost.update(doom.delete(connection))
        mark_unclean(connection)
        return {name: -count for name, count in lost.items()}

    # The answers first: without them a model is asked anew, should the rows stay for now.
    Journal(store.folder).rewrite_without(plan.requests)
    forget_answers(store.folder, plan.items)
    with closing(LakeLedger(store.address, lease_timeout=store.lease_timeout, command="curate erase")) as ledger:
        if ledger.commit(burial(plan), store.run_row(), store.run_id, more=delete).number is not None:
            forget_deleted(ledger)
    return lost
