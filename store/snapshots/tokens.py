"""How many tokens the candidates of a snapshot have: kept as scores, so that no text is counted twice."""

from collections.abc import Callable

import pyarrow as pa

from curate.store.reader import Reader
from curate.store.snapshots.spec import SnapshotSpec
from curate.store.write import rows

TOKENS = "tokens"
"""The selector under which counts are kept, with the tokenizer as its version."""
_ROWS = 5_000
_NOW = "counted_now"
_KEPT = (
    "SELECT item_id, score::BIGINT AS tokens FROM scores WHERE selector = $selector AND selector_version = $tokenizer"
)
_UNCOUNTED = f"""
    CREATE OR REPLACE TEMP TABLE uncounted AS
    SELECT item_id FROM judged ANTI JOIN ({_KEPT}) USING (item_id) WHERE barrier IS NULL"""
# A table of DuckDB's own: it cannot push a join's Bloom filter down into Arrow.
_GATHERED = f"CREATE OR REPLACE TEMP TABLE counted AS ({_KEPT}) UNION ALL SELECT item_id, tokens FROM {_NOW}"
_WEIGHED = """
    CREATE OR REPLACE TEMP TABLE judged AS
    SELECT j.* REPLACE (counted.tokens AS size,
        CASE WHEN barrier IS NULL AND counted.tokens > $tokens
            THEN {'bar': 'too long', 'by': '', 'detail': counted.tokens::VARCHAR} ELSE barrier END AS barrier)
    FROM judged j LEFT JOIN counted USING (item_id)"""
_COUNTED = pa.schema([("item_id", pa.string()), ("tokens", pa.int64())])

Count = Callable[[pa.RecordBatch, int], pa.Array]
"""From a batch of `item_id` and `text`, and how many texts are left with it, to the tokens of each (int64)."""


def weigh(reader: Reader, spec: SnapshotSpec, count: Count | None = None) -> int:
    """Give each candidate of the table `judged` its tokens as `size`, and bar those that exceed the whole budget.

    What is not known yet, `count` counts, batch by batch; without it, that many candidates stay without a size.
    A count says nothing but what the text says, so it holds for every commit.

    Cost: the candidates' counts, and once the texts of those that have none. Memory: one batch of texts, and the ids of
    what is counted now.

    Returns:
        How many candidates have no size.
    """
    names = {"selector": TOKENS, "tokenizer": spec.tokenizer}
    reader.query(_UNCOUNTED, names)
    [left] = reader.query("SELECT count(*) AS items FROM uncounted")["items"].to_pylist()
    reader.register(_NOW, _counted(reader, count, left) if count and left else _COUNTED.empty_table())
    reader.query(_GATHERED, names)
    [now] = reader.query(f"SELECT count(*) AS items FROM {_NOW}")["items"].to_pylist()
    reader.register(_NOW, _COUNTED.empty_table())  # the counts themselves are in `counted` now
    reader.query(_WEIGHED, {"tokens": spec.tokens})
    return int(left - now)


def token_scores(ids: pa.Array, tokens: pa.Array, tokenizer: str) -> pa.Table:
    """Return counts as rows of the table `scores`."""
    columns = {"item_id": ids, "selector": TOKENS, "selector_version": tokenizer, "target": "", "score": tokens}
    return rows("scores", columns | {"score": tokens.cast(pa.float64())}, len(ids))


def _counted(reader: Reader, count: Count, left: int) -> pa.Table:
    parts: list[pa.RecordBatch] = []
    for batch in reader.stream("SELECT item_id, text FROM items SEMI JOIN uncounted USING (item_id)", rows=_ROWS):
        parts.append(pa.record_batch([batch.column("item_id"), count(batch, left)], schema=_COUNTED))
        left -= len(batch)
    return pa.Table.from_batches(parts, _COUNTED)
