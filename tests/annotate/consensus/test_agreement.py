import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from curate.annotate.consensus.agreement import cohen_kappa, fleiss_kappa, krippendorff_alpha
from curate.annotate.consensus.votes import Votes
from curate.errors import BadDataError

KRIPPENDORFF = """
* * * * * 3 4 1 2 1 1 3 3 * 3
1 * 2 1 3 3 4 3 * * * * * * *
* * 2 1 3 4 4 * 2 1 1 3 3 * 4
"""
"""Krippendorff's own example of three coders and fifteen units (2011, "Computing Krippendorff's Alpha-Reliability")."""
FLEISS = [[0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
          [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]]  # fmt: skip
"""The example of Fleiss 1971 as it is usually reprinted: ten items, fourteen raters, five categories, kappa 0.210."""


def votes_of(table: list[list[int | None]], values: int) -> Votes:
    """Build votes from a row of values for each annotator."""
    cells = [(i, a, v) for a, row in enumerate(table) for i, v in enumerate(row) if v is not None]
    item, annotator, value = (np.array(column, np.int64) for column in zip(*cells, strict=True))
    return Votes(item, annotator, value, len(table[0]), len(table), values)


def test_alpha_of_krippendorffs_example() -> None:
    table = [[None if c == "*" else int(c) - 1 for c in line.split()] for line in KRIPPENDORFF.strip().split("\n")]
    assert krippendorff_alpha(votes_of(table, 4)) == pytest.approx(0.691, abs=5e-4)


def test_fleiss_kappa_of_fleiss_example() -> None:
    columns = [[value for value, count in enumerate(row) for _ in range(count)] for row in FLEISS]
    table: list[list[int | None]] = [list(row) for row in zip(*columns, strict=True)]
    assert fleiss_kappa(votes_of(table, 5)) == pytest.approx(0.210, abs=5e-4)


def test_cohens_kappa_is_scikit_learns() -> None:
    generator = np.random.default_rng(0)
    for seed in range(20):
        values = int(generator.integers(2, 6))
        one = generator.integers(0, values, 40)
        other = np.where(np.random.default_rng(seed).random(40) < 0.6, one, generator.integers(0, values, 40))
        found = cohen_kappa(votes_of([one.tolist(), other.tolist()], values), 0, 1)
        assert found == pytest.approx(cohen_kappa_score(one, other))


def test_chance_gives_nothing_and_full_agreement_one() -> None:
    generator = np.random.default_rng(1)
    noise = votes_of([generator.integers(0, 3, 4_000).tolist() for _ in range(3)], 3)
    assert abs(krippendorff_alpha(noise)) < 0.03
    same = votes_of([[0, 1, 2, 0]] * 3, 3)
    assert krippendorff_alpha(same) == cohen_kappa(same, 0, 2) == fleiss_kappa(same) == 1.0


def test_what_cannot_be_told_is_nan_and_uneven_votes_are_refused() -> None:
    assert np.isnan(krippendorff_alpha(votes_of([[0, 0], [0, 0]], 2)))
    assert np.isnan(krippendorff_alpha(votes_of([[0, 1]], 2)))
    assert np.isnan(cohen_kappa(votes_of([[0, None], [None, 1]], 2), 0, 1))
    with pytest.raises(BadDataError, match="same number"):
        fleiss_kappa(votes_of([[0, 1], [0, None]], 2))
