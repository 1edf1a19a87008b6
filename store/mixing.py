"""What several selectors say about the items that no step has dropped."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from curate.store.fitting import fitting
from curate.store.reader import Reader

_NEWEST = """
    newest AS (
        SELECT item_id, selector, arg_min(score, (-commit_number, selector_version, target)) AS score
        FROM scores ANTI JOIN dropped USING (item_id)
        WHERE list_contains($selectors::VARCHAR[], selector) GROUP BY item_id, selector
        HAVING NOT isnan(arg_min(score, (-commit_number, selector_version, target)))
    )"""
_GRADES = f"""
    WITH {_NEWEST}, counted AS (
        SELECT item_id, score::BIGINT AS tokens FROM scores
        WHERE selector = 'tokens' AND selector_version = $tokenizer
    )
    SELECT n.item_id, list_position($selectors::VARCHAR[], n.selector) - 1 AS selector, n.score,
        CASE $unit WHEN 'items' THEN 1 WHEN 'characters' THEN length(i.text) ELSE c.tokens END AS size
    FROM newest n JOIN items i USING (item_id) LEFT JOIN counted c USING (item_id) ORDER BY n.item_id, selector"""
_BEST = f"""
    WITH {_NEWEST}, ranked AS (
        SELECT item_id, score, row_number() OVER (ORDER BY score DESC, item_id) AS place FROM newest
        QUALIFY place <= $most
    )
    SELECT r.item_id, r.score, coalesce(length(i.text), 0) AS size
    FROM ranked r JOIN items i USING (item_id) ORDER BY r.place"""
_TEXTS = "SELECT item_id, text FROM items WHERE list_contains($items::VARCHAR[], item_id)"
_UNCOUNTED = f"""
    WITH {_NEWEST}
    SELECT i.item_id, i.text FROM items i
    WHERE i.modality = 'text' AND i.item_id IN (SELECT item_id FROM newest) AND i.item_id NOT IN (
        SELECT item_id FROM scores WHERE selector = 'tokens' AND selector_version = $tokenizer)
    ORDER BY i.item_id"""
_LAST = """
    SELECT greatest(
        (SELECT coalesce(max(commit_number), 0) FROM scores WHERE list_contains($selectors::VARCHAR[], selector)),
        (SELECT coalesce(max(commit_number), 0) FROM decisions)) AS last"""


def last_graded(reader: Reader, selectors: Sequence[str]) -> int:
    """Return the last commit that holds a score by one of these selectors, or a decision; 0 where none does."""
    return int(reader.query(_LAST, {"selectors": list(selectors)})["last"][0].as_py())


def grades(reader: Reader, selectors: Sequence[str], unit: str, tokenizer: str) -> pa.Table:
    """Return the newest score of each item by each of the selectors: item_id, `selector` (its place), score, size.

    An item whose newest score is NaN has none. Rows of one item stand together. `size` is 1, or the item's characters
    or tokens, null where they are not known (an image has no characters). Items that a step dropped are left out.

    Cost: one pass over the selectors' scores, and over the texts for characters. Memory: the rows.
    """
    return reader.query(_GRADES, {"selectors": list(selectors), "unit": unit, "tokenizer": tokenizer})


def best_texts(reader: Reader, selector: str, most: int, characters: int) -> pa.Table:
    """Return item_id, score and text of the best `most` items by a selector, best first.

    Where they hold more than so many characters, those that do not fit are passed over (`curate.store.fitting`). Items
    that a step dropped are left out. What is no text has none: null. Equal scores stand in the order of their ids.
    Cost: one pass over the selector's scores. Memory: the texts returned.
    """
    best = reader.query(_BEST, {"selectors": [selector], "most": most})
    kept = best.take(pa.array(fitting(best["size"].to_pylist(), characters), pa.int64())).select(["item_id", "score"])
    found = reader.query(_TEXTS, {"items": kept["item_id"].to_pylist()})
    texts = dict(zip(found["item_id"].to_pylist(), found["text"].to_pylist(), strict=True))
    return kept.append_column("text", pa.array([texts[item] for item in kept["item_id"].to_pylist()], pa.string()))


def uncounted(reader: Reader, selectors: Sequence[str], tokenizer: str, rows: int) -> Iterator[pa.RecordBatch]:
    """Yield item_id and text of those items whose tokens the store does not know, in batches."""
    yield from reader.stream(_UNCOUNTED, {"selectors": list(selectors), "tokenizer": tokenizer}, rows=rows)
