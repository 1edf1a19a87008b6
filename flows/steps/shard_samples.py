"""A sample of the texts that shards hold, kept while they are scored, and what other ways to choose make of it."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.errors import BadDataError
from curate.flows.steps.align import read_target_at
from curate.select.alignment import Method
from curate.select.baselines import random_scores
from curate.select.rivals import Judged, Part, beaten_by, judge_selectors
from curate.select.top import TopK
from curate.store.fitting import fitting

SAMPLE = 2_000
_MOST_CHARACTERS = 2_000_000
_LONGEST = 20_000
_SCHEMA = pa.schema([("item_id", pa.string()), ("score", pa.float64()), ("text", pa.string())])


class Beside(NamedTuple):
    """What each way to choose made of so many texts `drawn`, and which baselines are as good as alignment."""

    drawn: int
    judged: tuple[Judged, ...] = ()
    as_good: tuple[str, ...] = ()


class ShardSample:
    """Up to 2,000 texts drawn by a hash of their ids, so that the samples of all shards together hold a sample of all.

    Texts of more than 20,000 characters are not drawn. Memory: 4,000 texts and a batch.
    """

    def __init__(self) -> None:
        self._drawn = TopK(SAMPLE)
        self._drawn.offer(_SCHEMA.empty_table())

    def offer(self, records: pa.Table) -> None:
        """Draw from a batch with the columns `item_id` and `text`."""
        short = records.filter(pc.less_equal(pc.utf8_length(records["text"]), _LONGEST))
        draws = pa.array(random_scores(short["item_id"].to_pylist()), pa.float64())
        self._drawn.offer(pa.table([short["item_id"], draws, short["text"]], schema=_SCHEMA))

    def table(self) -> pa.Table:
        """Return what was drawn."""
        return self._drawn.table()


def judged_sample(samples: Iterable[Path], target: str, method: Method, chosen_share: float) -> Beside:
    """Let alignment and the baselines choose a share of the texts that were drawn from all shards.

    Nobody is judged where no sample was kept, or where sample or target hold too little text. Cost: some seconds, and
    some 200 bytes for each of at most 2 million characters.
    """
    drawn = TopK(SAMPLE)
    drawn.offer(_SCHEMA.empty_table())
    for sample in samples:
        drawn.offer(pq.read_table(sample, schema=_SCHEMA))
    found = drawn.table()
    found = found.take(pa.array(fitting(pc.utf8_length(found["text"]).to_pylist(), _MOST_CHARACTERS), pa.int64()))
    if not len(found):
        return Beside(0)
    parts = [Part(read_target_at(target).texts)]
    count = max(1, round(chosen_share * len(found)))
    try:
        judged = judge_selectors(found["item_id"].to_pylist(), found["text"].to_pylist(), parts, count, method=method)
    except BadDataError:
        return Beside(len(found))
    return Beside(len(found), judged, beaten_by(judged))
