"""Commits the batches that a store lacks, and says which were committed and how it ended.

Usage: worker.py FOLDER COUNT [CODE]. CODE is run before, to do harm at the right place. The lease is not waited for: a
holder that died must not hold anybody up.
"""

import os
import random
import resource
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from curate.errors import CurateError
from curate.store.store import Store
from curate.store.work import cursor
from curate.store.write import CursorMove, Write, rows

ROWS = 40


def batch(number: int) -> dict[str, pa.Table]:
    """Items of 2 kB that do not compress, each with a score; the same whenever they are made."""
    noise = random.Random(number)
    ids = [f"{number}-{row}" for row in range(ROWS)]
    text = [noise.randbytes(1_000).hex() for _ in ids]
    items = {"item_id": ids, "modality": "text", "text": text, "image": None, "events": None, "time_unit": None}
    scores = {"item_id": ids, "selector": "s", "selector_version": "1", "target": "", "score": float(number)}
    return {"items": rows("items", {**items, "size": 2_000}), "scores": rows("scores", scores)}


def work(folder: Path, count: int) -> Iterator[str]:
    """Commit, one after the other, the batches up to `count` that the store lacks; yield what there is to say."""
    try:
        store = Store.open(folder, create=True, lease_timeout=0.0, command="worker")
        with store.reader() as reader:
            done = int(cursor(reader, "work") or 0)
        for number in range(done + 1, count + 1):
            move = CursorMove("work", "", str(number - 1 or ""), str(number))
            store.commit(Write("work", batch(number), [move]))
            yield str(number)
        yield "finished"
    except CurateError as error:
        yield f"{type(error).__name__}: {error.message} | {error.unchanged} | {error.hint}"


if __name__ == "__main__":
    exec("".join(sys.argv[3:]), {"os": os, "resource": resource, "signal": signal, "sys": sys, "time": time})
    for line in work(Path(sys.argv[1]), int(sys.argv[2])):
        print(line, flush=True)
