"""A sample of what a snapshot chose from, for the comparison of selectors."""

from dataclasses import dataclass

from curate.store.reader import Reader
from curate.store.snapshots import Numbered

_SAMPLE = """
    WITH newest AS (
        SELECT item_id FROM scores WHERE selector = $selector AND NOT isnan(score)
        GROUP BY item_id ORDER BY item_id
    ), candidates AS (
        SELECT n.item_id FROM newest n ANTI JOIN dropped d USING (item_id)
    ), drawn AS (SELECT item_id FROM candidates ORDER BY item_id LIMIT $most)
    SELECT i.item_id, i.text FROM items i JOIN drawn USING (item_id) WHERE i.text <> '' ORDER BY i.item_id"""
_SHARE = """
    WITH scored AS (
        SELECT DISTINCT s.item_id FROM scores s ANTI JOIN dropped d USING (item_id)
        WHERE s.selector = $selector AND NOT isnan(s.score)
    )
    SELECT count(*) AS candidates, count(x.item_id) AS selected FROM scored
    LEFT JOIN (SELECT item_id FROM snapshot_items WHERE snapshot = $snapshot AND number = $number) x USING (item_id)"""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Texts that a selector scored and no step dropped, and the share of all such texts that a snapshot holds."""

    item_ids: tuple[str, ...]
    texts: tuple[str, ...]
    selected_share: float


def sampled_candidates(reader: Reader, snapshot: Numbered, selector: str, most: int) -> Candidates:
    """Return up to `most` candidates: those with the lowest ids, which are hashes, so they are drawn at random.

    Cost: a scan of the selector's scores. Memory: the sample's texts.
    """
    drawn = reader.query(_SAMPLE, {"selector": selector, "most": most})
    parameters = {"selector": selector, "snapshot": snapshot.snapshot, "number": snapshot.number}
    [counts] = reader.query(_SHARE, parameters).to_pylist()
    share = counts["selected"] / counts["candidates"] if counts["candidates"] else 0.0
    return Candidates(tuple(drawn["item_id"].to_pylist()), tuple(drawn["text"].to_pylist()), share)
