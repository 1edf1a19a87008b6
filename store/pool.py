"""What rankings are made of: the texts that no step has dropped, items as they came, and when either changed last."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from curate.store.reader import Reader

_LEFT = "SELECT item_id, text FROM items ANTI JOIN dropped USING (item_id) WHERE modality = 'text'"
_ARRIVED = """
    SELECT item_id, text FROM items WHERE commit_number > $after AND list_contains($modalities::VARCHAR[], modality)"""
_COUNT_LEFT = "SELECT count(*) AS number FROM items ANTI JOIN dropped USING (item_id) WHERE modality = 'text'"
_IDS_LEFT = """
    SELECT item_id FROM items ANTI JOIN dropped USING (item_id) WHERE list_contains($modalities::VARCHAR[], modality)"""
_COUNT_ARRIVED = """
    SELECT count(*) AS number FROM items
    WHERE commit_number > $after AND list_contains($modalities::VARCHAR[], modality)"""
_LAST_ARRIVED = """
    SELECT coalesce(max(commit_number), 0) AS number FROM items WHERE list_contains($modalities::VARCHAR[], modality)"""
_LAST_DECIDED = "SELECT coalesce(max(commit_number), 0) AS number FROM decisions"
_LAST_EMBEDDED = "SELECT coalesce(max(commit_number), 0) AS number FROM embeddings WHERE encoder_version = $encoder"
_NEWEST = """
    SELECT item_id, arg_min(score, (-commit_number, selector_version, target)) AS score FROM scores
    WHERE selector = $selector AND list_contains($items::VARCHAR[], item_id) GROUP BY item_id
    HAVING NOT isnan(arg_min(score, (-commit_number, selector_version, target)))"""
_STANDING = """
    SELECT item_id FROM scores WHERE selector = $selector GROUP BY item_id
    HAVING NOT isnan(arg_min(score, (-commit_number, selector_version, target)))"""


def texts_left(reader: Reader, rows: int) -> Iterator[pa.RecordBatch]:
    """Yield item_id and text of every text that no step has dropped, in no order, in batches."""
    yield from reader.stream(_LEFT, rows=rows)


def items_arrived(reader: Reader, modalities: Sequence[str], after: int, rows: int) -> Iterator[pa.RecordBatch]:
    """Yield item_id and text (null where it is none) of the items that came after a commit, dropped or not."""
    yield from reader.stream(_ARRIVED, {"modalities": list(modalities), "after": after}, rows=rows)


def count_left(reader: Reader) -> int:
    """Return how many texts no step has dropped."""
    return _number(reader, _COUNT_LEFT, {})


def ids_left(reader: Reader, modalities: Sequence[str]) -> pa.Array:
    """Return the ids of the items that no step has dropped."""
    return reader.query(_IDS_LEFT, {"modalities": list(modalities)})["item_id"].combine_chunks()


def count_arrived(reader: Reader, modalities: Sequence[str], after: int) -> int:
    """Return how many items came after a commit."""
    return _number(reader, _COUNT_ARRIVED, {"modalities": list(modalities), "after": after})


def last_arrived(reader: Reader, modalities: Sequence[str]) -> int:
    """Return the last commit that holds an item; 0 where none does."""
    return _number(reader, _LAST_ARRIVED, {"modalities": list(modalities)})


def last_decided(reader: Reader) -> int:
    """Return the last commit that holds a decision; 0 where none does."""
    return _number(reader, _LAST_DECIDED, {})


def last_embedded(reader: Reader, encoder_version: str) -> int:
    """Return the last commit that holds a vector by this encoder; 0 where none does."""
    return _number(reader, _LAST_EMBEDDED, {"encoder": encoder_version})


def newest_scores(reader: Reader, selector: str, items: Sequence[str]) -> dict[str, float]:
    """Return the newest score by a selector of those of the items that have one, which one that is NaN takes back."""
    found = reader.query(_NEWEST, {"selector": selector, "items": list(items)})
    return dict(zip(found["item_id"].to_pylist(), found["score"].to_pylist(), strict=True))


def standing(reader: Reader, selector: str) -> pa.Array:
    """Return the ids of the items, dropped or not, whose newest score by a selector is a number.

    Cost: one pass over the selector's scores. Memory: the ids.
    """
    return reader.query(_STANDING, {"selector": selector})["item_id"].combine_chunks()


def _number(reader: Reader, sql: str, parameters: dict[str, object]) -> int:
    return int(reader.query(sql, parameters)["number"][0].as_py())
