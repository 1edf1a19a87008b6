import numpy as np
import pyarrow as pa

from curate.select.baselines import LengthSelector, RandomSelector, length_scores, random_scores
from curate.types import Selector

IDS = [f"item-{number}" for number in range(4_000)]


def test_random_scores_are_uniform_and_seeded() -> None:
    scores = random_scores(IDS)
    assert ((scores >= 0) & (scores < 1)).all()
    assert abs(np.sort(scores) - np.linspace(0, 1, len(IDS))).max() < 0.05
    assert abs(np.corrcoef(scores, random_scores(IDS, seed=1))[0, 1]) < 0.1


def test_random_scores_do_not_depend_on_company() -> None:
    np.testing.assert_array_equal(random_scores(IDS[::-1]), random_scores(IDS)[::-1])
    assert random_scores([]).shape == (0,)


def test_shorter_scores_higher() -> None:
    assert length_scores(["ab", "a"]).argsort().tolist() == [0, 1]


def test_selectors_score_tables() -> None:
    items = pa.table({"item_id": ["a", "b"], "text": pa.array(["xyz", None], pa.string())})
    for selector in (RandomSelector(3), LengthSelector()):
        assert isinstance(selector, Selector)
        assert selector.score(items).shape == (2,)
    assert RandomSelector(3).version != RandomSelector(4).version
    assert np.isnan(LengthSelector().score(items)).tolist() == [False, True]
    assert np.isnan(LengthSelector().score(items.drop(["text"]))).all()
