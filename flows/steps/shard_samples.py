"""A sample of the texts that shards hold, kept while they are scored, and what other ways to choose make of it."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curate.errors import BadDataError
from curate.flows.steps.align import read_target_at
from curate.select.alignment import Method
from curate.select.baselines import random_scores
from curate.select.rivals import Judged, beaten_by, judge_selectors
from curate.select.top import TopK

SAMPLE = 2_000
_MOST_CHARACTERS = 2_000_000
_LONGEST = 20_000
_LEAST = 50
"""So many of the sample are chosen at least: what fewer texts are worth says more of these texts than of the choice."""
_FEWEST_TO_TELL = 2 * _LEAST
_TOO_LITTLE = "too little text to compare alignment with other ways to choose"
_TOO_FEW = "{} texts are too few to tell whether alignment is better than random choice or the shortest texts"
_ALL = "all texts are chosen, so no way to choose is better than another"
_PLACES = ("item_id", "score", "size", "place")
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
    """Up to 2,000 texts, of some 2 million characters, drawn by a hash of their ids.

    The samples of all shards together hold a sample of all: a text is kept while those that are drawn before it stay
    below both bounds, and in a part of the texts they are no more than in the whole. Texts of more than 20,000
    characters are not drawn. Memory: the texts that are kept, twice, and 30 bytes for each text of a batch.
    """

    def __init__(self) -> None:
        self._drawn = _SCHEMA.empty_table()

    def offer(self, records: pa.Table) -> None:
        """Draw from a batch with the columns `item_id` and `text`."""
        draws = pa.array(random_scores(records["item_id"].to_pylist()), pa.float64())
        self.add(pa.table([records["item_id"], draws, records["text"]], schema=_SCHEMA))

    def add(self, drawn: pa.Table) -> None:
        """Take in what another sample has drawn."""
        every = pa.concat_tables([self._drawn, drawn])
        kept = np.zeros(len(every), bool)
        kept[_first_drawn(every)] = True
        order = [("score", "descending"), ("item_id", "ascending")]
        self._drawn = every.filter(pa.array(kept)).sort_by(order).combine_chunks()

    def table(self) -> pa.Table:
        """Return what was drawn."""
        return self._drawn


def _first_drawn(texts: pa.Table) -> NDArray[np.int64]:
    """Return the places of the texts that are drawn first, without a copy of any."""
    sizes = pc.utf8_length(texts["text"])
    places = pa.table([texts["item_id"], texts["score"], sizes, pa.array(range(len(texts)), pa.int64())], names=_PLACES)
    drawn = TopK(SAMPLE)
    drawn.offer(places.filter(pc.less_equal(sizes, _LONGEST)))
    found = drawn.table()
    lengths = found["size"].to_numpy().astype(np.int64)
    return np.asarray(found["place"].to_numpy()[np.cumsum(lengths) - lengths < _MOST_CHARACTERS], np.int64)


def judged_sample(samples: Iterable[Path], target: str, method: Method, chosen_share: float) -> Beside:
    """Let alignment and the baselines choose a share of the texts that were drawn from all shards, but at least 50.

    So with a small share the figures say what the best 50 of the sample are worth, and not what the best of the shards
    are. No baseline is called as good as alignment where fewer than 100 texts were drawn, or all of them are chosen.
    Nobody is judged where no sample was kept, or where sample or target hold too little text. Cost: some seconds, and
    some 200 bytes for each of some 2 million characters.
    """
    drawn = ShardSample()
    for sample in samples:
        drawn.add(pq.read_table(sample, schema=_SCHEMA))
    found = drawn.table()
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
