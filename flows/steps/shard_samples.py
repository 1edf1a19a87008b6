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
from curate.select.rivals import Judged, beaten_by, judge_selectors
from curate.select.top import TopK
from curate.store.fitting import fitting

SAMPLE = 2_000
_MOST_CHARACTERS = 2_000_000
_LONGEST = 20_000
_LEAST = 50
"""So many of the sample are chosen at least: what fewer texts are worth says more of these texts than of the choice."""
_FEWEST_TO_TELL = 2 * _LEAST
_TOO_LITTLE = "too little text to compare alignment with other ways to choose"
_TOO_FEW = "{} texts are too few to tell whether alignment is better than random choice or the shortest texts"
_ALL = "all texts are chosen, so no way to choose is better than another"
_SCHEMA = pa.schema([("item_id", pa.string()), ("score", pa.float64()), ("text", pa.string())])


class Beside(NamedTuple):
    """What each way to choose made of so many texts `drawn`: the worth of its best `chosen` of them.

    `as_good` names the baselines that are as good as alignment, and `notes` say what a person should know: that too few
    texts were drawn to tell, for one.
    """

    drawn: int
    chosen: int = 0
    judged: tuple[Judged, ...] = ()
    as_good: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


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
    """Let alignment and the baselines choose a share of the texts that were drawn from all shards, but at least 50.

    So with a small share the figures say what the best 50 of the sample are worth, and not what the best of the shards
    are. No baseline is called as good as alignment where fewer than 100 texts were drawn, or all of them are chosen.
    Nobody is judged where no sample was kept, or where sample or target hold too little text. Cost: some seconds, and
    some 200 bytes for each of at most 2 million characters.
    """
    drawn = TopK(SAMPLE)
    drawn.offer(_SCHEMA.empty_table())
    for sample in samples:
        drawn.offer(pq.read_table(sample, schema=_SCHEMA))
    found = drawn.table()
    found = found.take(pa.array(fitting(pc.utf8_length(found["text"]).to_pylist(), _MOST_CHARACTERS), pa.int64()))
    parts = [read_target_at(target).texts]
    count = min(len(found), max(_LEAST, round(chosen_share * len(found))))
    try:
        judged = judge_selectors(found["item_id"].to_pylist(), found["text"].to_pylist(), parts, count, method=method)
    except BadDataError:
        return Beside(len(found), notes=(_TOO_LITTLE,))
    if len(found) < _FEWEST_TO_TELL:
        return Beside(len(found), count, judged, notes=(_TOO_FEW.format(len(found)),))
    if count == len(found):
        return Beside(len(found), count, judged, notes=(_ALL,))
    return Beside(len(found), count, judged, beaten_by(judged))
