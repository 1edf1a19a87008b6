"""`kill -9` at every place of a commit, and a process that hangs there: nothing is lost, nothing is there twice."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.store.manifest import read_manifest
from curate.store.reader import Reader

Check = Callable[[Path], None]
SLOW = pytest.mark.slow
PLACES = [
    ("curate.store.publish:_last_commit", 4),  # committed, and not published
    ("curate.store.segments:_row_groups", 9),  # a segment is half written
]
MORE_PLACES = [
    ("curate.store.write:_Transaction._insert", 6),  # some tables have their rows, others not
    ("curate.store.publish:swap_manifest", 3),  # all segments are written, none is named
    ("curate.store.migrations:_frozen", 2),  # in the middle of the first migrations
    ("curate.store.database:_put_in_place", 1),  # an empty ledger that has no name yet
    ("curate.store.write:_Transaction.apply", 3),  # the transaction has begun
    ("curate.store.write:_Transaction._add_commit", 3),  # all rows are there, the commit's own is not
    ("curate.store.publish:merge_tail", 1),
    ("curate.store.manifest:sync_folder", 7),
]


@pytest.mark.parametrize(("place", "calls"), [*PLACES, *(pytest.param(*more, marks=SLOW) for more in MORE_PLACES)])
def test_a_writer_is_killed(
    folder: Path, work: Any, check: Check, dying: Callable[..., str], place: str, calls: int
) -> None:
    merging = "from curate.store import publish; publish.MERGE_COUNT = 3\n"
    with work.start(folder, merging + dying(place, calls)) as child:
        said = child.communicate()[0].split()
    assert child.returncode == -signal.SIGKILL, said
    published = read_manifest(folder).commit_number
    assert published in (len(said), len(said) + 1)
    # The lease is not waited for: the next one goes on at once, with the batch after the last that was committed.
    went_on = work(folder)
    assert went_on[-1] == "finished"
    assert went_on[0] in (str(len(said) + 1), str(len(said) + 2))
    check(folder)


def test_a_writer_hangs(folder: Path, work: Any, check: Check, dying: Callable[..., str]) -> None:
    """Stopped in its transaction, it keeps the lease and DuckDB's own lock; readers do not care, and it may go on."""
    with work.start(folder, dying("curate.store.write:_Transaction._add_commit", 4, "SIGSTOP")) as child:
        os.waitpid(child.pid, os.WUNTRACED)
        try:
            [refused] = work(folder)
            assert refused.startswith(f"StoreBusyError: the store 'store' is held by process {child.pid} on ")
            assert "(worker)" in refused
            with Reader(folder) as reader:
                assert (reader.commit_number, len(reader.query("FROM items"))) == (3, 3 * 40)
        finally:
            child.send_signal(signal.SIGCONT)
        assert child.communicate()[0].split()[-1] == "finished"
    check(folder)
