"""Bounded memory: what a question cannot hold goes to disk, and nothing of it stays."""

import os
import subprocess
import sys

from curate.store.spill import bound_memory, is_alive
from curate.store.store import Store

# Several times what fits: without a place to go the sort fails.
_SORT = "SELECT count(*) AS rows FROM (SELECT hash(range) AS h, range FROM range(3000000) ORDER BY h LIMIT 2500000)"


def test_what_does_not_fit_goes_to_disk_and_vanishes(store: Store) -> None:
    with store.reader() as reader:
        bound_memory(reader, 64)
        bound_memory(reader, 48)
        assert reader.query(_SORT)["rows"].to_pylist() == [2_500_000]
        assert (store.folder / f"spill-{os.getpid()}").is_dir()
    assert not list(store.folder.glob("spill-*"))


def test_what_the_dead_left_is_taken_away_and_the_living_keep_theirs(store: Store) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert not is_alive(gone.pid)
    assert is_alive(os.getpid())
    for owner in (gone.pid, os.getppid()):
        (store.folder / f"spill-{owner}").mkdir()
    with store.reader() as reader:
        bound_memory(reader, 64)
    assert [path.name for path in store.folder.glob("spill-*")] == [f"spill-{os.getppid()}"]
