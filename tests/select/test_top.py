"""The best K of a stream do not depend on how the stream was cut or ordered."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import UsageError
from curate.select.top import TopK

ROWS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from([0.0, 0.5, 1.0, -1.0, float("nan")])))


def table(rows: list[tuple[str, float]]) -> pa.Table:
    ids, scores = [row[0] for row in rows], [row[1] for row in rows]
    return pa.table({"item_id": pa.array(ids, pa.string()), "score": pa.array(scores, pa.float64(), from_pandas=False)})


def expected(rows: list[tuple[str, float]], k: int) -> list[tuple[str, float]]:
    best: dict[str, float] = {}
    for item, score in rows:
        if not np.isnan(score):
            best[item] = max(score, best.get(item, score))
    return sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))[:k]


@given(rows=ROWS, k=st.integers(1, 5), cut=st.integers(1, 4), seed=st.integers(0, 3))
def test_order_and_batches_do_not_matter(rows: list[tuple[str, float]], k: int, cut: int, seed: int) -> None:
    shuffled = [rows[index] for index in np.random.default_rng(seed).permutation(len(rows))]
    best = TopK(k)
    best.offer(table([]))
    for start in range(0, len(shuffled), cut):
        best.offer(table(shuffled[start : start + cut]))
    found = best.table().to_pydict()
    assert list(zip(found["item_id"], found["score"], strict=True)) == expected(rows, k)
    assert best.scored + best.without_score == len(rows)


def test_none_at_all_is_refused() -> None:
    with pytest.raises(UsageError):
        TopK(0)
    with pytest.raises(UsageError, match="no item was offered"):
        TopK(1).table()
