"""A sample of what a snapshot chose from, for the comparison of selectors."""

from dataclasses import dataclass

import pyarrow as pa

from curate.store.fitting import fitting
from curate.store.reader import Reader
from curate.store.snapshots.judging import Moment, judge
from curate.store.snapshots.numbered import Numbered, snapshot_row

_SCORED = """
    CREATE OR REPLACE TEMP TABLE compared AS
    SELECT j.item_id, length(i.text) AS size FROM judged j JOIN items i USING (item_id)
    WHERE j.barrier IS NULL AND i.text <> '' AND j.item_id IN (
        SELECT item_id FROM scores WHERE selector = $selector AND commit_number <= $as_of GROUP BY item_id
        HAVING NOT isnan(arg_min(score, (-commit_number, selector_version, target))))"""
_DRAWN = "SELECT item_id, size FROM compared ORDER BY item_id LIMIT $most"
_TEXTS = """
    SELECT item_id, text FROM items WHERE list_contains($drawn::VARCHAR[], item_id) ORDER BY item_id"""
_SHARE = """
    SELECT count(*) AS candidates, count(x.item_id) AS selected FROM compared LEFT JOIN (
        SELECT item_id FROM snapshot_items WHERE snapshot = $snapshot AND number = $number) x USING (item_id)"""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Texts that a snapshot might have chosen, and the share of all such texts that it holds.

    `passed_over` were drawn too, but are so long that the sample would have outgrown its bound. `pool` counts all that
    the snapshot might have chosen.
    """

    item_ids: tuple[str, ...]
    texts: tuple[str, ...]
    selected_share: float
    passed_over: int = 0
    pool: int = 0


def sampled_candidates(reader: Reader, snapshot: Numbered, selector: str, most: int, characters: int) -> Candidates:
    """Return up to `most` candidates: those with the lowest ids, which are hashes, so they are drawn at random.

    A candidate is a text that nothing barred from the snapshot when it was drawn, neither a decision nor the request
    (sources, values, scores, label), and that the selector had scored; its limit, budget and quotas come after that.

    Cost: a judgement of all items, as the snapshot's. Memory: the sample's texts, at most so many characters.
    """
    row = snapshot_row(reader, snapshot)
    judge(reader, row.request, Moment(row.as_of, row.commit_number))
    reader.query(_SCORED, {"selector": selector, "as_of": row.as_of})
    drawn = reader.query(_DRAWN, {"most": most})
    kept = fitting(drawn["size"].to_pylist(), characters)
    found = reader.query(_TEXTS, {"drawn": drawn["item_id"].take(pa.array(kept, pa.int64())).to_pylist()})
    [counts] = reader.query(_SHARE, {"snapshot": snapshot.snapshot, "number": snapshot.number}).to_pylist()
    share = counts["selected"] / counts["candidates"] if counts["candidates"] else 0.0
    texts = tuple(found["text"].to_pylist())
    left_out = len(drawn) - len(kept)
    return Candidates(tuple(found["item_id"].to_pylist()), texts, share, left_out, counts["candidates"])
