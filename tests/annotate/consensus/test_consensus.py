"""Every method against a second implementation, and what must hold of all of them."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from cleanlab.multiannotator import get_label_quality_multiannotator
from crowdkit.aggregation import DawidSkene, MajorityVote
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from curate.annotate.consensus.bayesian import bayesian
from curate.annotate.consensus.crowdlab import crowdlab, majority_with_model
from curate.annotate.consensus.dawid_skene import dawid_skene
from curate.annotate.consensus.majority import majority
from curate.annotate.consensus.votes import Consensus, Votes
from curate.errors import BadDataError

METHODS: dict[str, Callable[[Votes], Consensus]] = {
    "majority": majority,
    "dawid-skene": dawid_skene,
    "bayesian": bayesian,
}


def simulated(seed: int, items: int = 120, annotators: int = 6, values: int = 3) -> tuple[Votes, NDArray[np.int64]]:
    """Draw annotators of different skill, each voting on about two thirds of the items."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, values, items)
    skill = generator.uniform(0.5, 0.95, annotators)
    cells = [(i, a) for i in range(items) for a in range(annotators) if generator.random() < 0.66]
    given_values = [
        truth[i] if generator.random() < skill[a] else (truth[i] + generator.integers(1, values)) % values
        for i, a in cells
    ]
    item, annotator = (np.array(column, np.int64) for column in zip(*cells, strict=True))
    return Votes(item, annotator, np.array(given_values, np.int64), items, annotators, values), truth


def probabilities(truth: NDArray[np.int64], values: int, seed: int) -> NDArray[np.float64]:
    noise = np.random.default_rng(seed).normal(size=(len(truth), values))
    scores = np.exp(1.5 * np.eye(values)[truth] + noise)
    return np.asarray(scores / scores.sum(axis=1, keepdims=True))


def frame(votes: Votes) -> pd.DataFrame:
    return pd.DataFrame({"task": votes.item, "worker": votes.annotator, "label": votes.value})


@pytest.mark.filterwarnings("ignore")
def test_majority_is_crowd_kits() -> None:
    votes, _ = simulated(0)
    theirs = MajorityVote().fit_predict_proba(frame(votes))
    found = majority(votes).posterior[theirs.index]
    np.testing.assert_allclose(found[:, list(theirs.columns)], theirs.to_numpy())


@pytest.mark.filterwarnings("ignore")
def test_dawid_skene_is_crowd_kits() -> None:
    votes, _ = simulated(1)
    theirs = DawidSkene(n_iter=1_000, tol=1e-12).fit_predict_proba(frame(votes))
    found = dawid_skene(votes, rounds=1_000, tolerance=1e-12).posterior[theirs.index]
    np.testing.assert_allclose(found[:, list(theirs.columns)], theirs.to_numpy(), atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_crowdlab_is_cleanlabs() -> None:
    votes, truth = simulated(2)
    model = probabilities(truth, 3, 0)
    table = np.full((votes.items, votes.annotators), np.nan)
    table[votes.item, votes.annotator] = votes.value
    kept = ~np.isnan(table).all(axis=1)
    assert kept.all()
    found = crowdlab(votes, model)
    given_by = pd.DataFrame(table)
    best = get_label_quality_multiannotator(given_by, model, verbose=False)["label_quality"]
    assert found.value.tolist() == best["consensus_label"].tolist()
    plain = get_label_quality_multiannotator(given_by, model, consensus_method="majority_vote", verbose=False)
    agreed = majority_with_model(votes, model)
    assert agreed.tolist() == plain["label_quality"]["consensus_label"].tolist()
    at_agreed = found.posterior[np.arange(votes.items), agreed]
    np.testing.assert_allclose(at_agreed, plain["label_quality"]["consensus_quality_score"], atol=1e-12)


@pytest.mark.parametrize("name", METHODS)
@given(seed=st.integers(0, 200))
def test_names_of_items_and_annotators_and_values_do_not_matter(name: str, seed: int) -> None:
    votes, _ = simulated(seed, items=25, annotators=4)
    generator = np.random.default_rng(seed + 1)
    items, annotators, values = (generator.permutation(size) for size in (25, 4, 3))
    renamed = Votes(items[votes.item], annotators[votes.annotator], values[votes.value], 25, 4, 3)
    one, other = METHODS[name](votes), METHODS[name](renamed)
    np.testing.assert_allclose(other.posterior[items][:, values], one.posterior, atol=1e-5)
    np.testing.assert_allclose(other.skill[annotators], one.skill, atol=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_each_row_is_a_distribution_and_nobodys_item_is_told_apart_by_the_prior_only(name: str) -> None:
    empty = np.zeros(0, np.int64)
    nothing = METHODS[name](Votes(empty, empty, empty, 3, 2, 4))
    np.testing.assert_allclose(nothing.posterior, 0.25)
    one = METHODS[name](Votes(np.array([1]), np.array([0]), np.array([2]), 3, 2, 4))
    np.testing.assert_allclose(one.posterior.sum(axis=1), 1)
    assert one.value[1] == 2


def test_the_default_is_right_more_often_and_knows_how_often() -> None:
    rows = []
    for seed in range(12):
        votes, truth = simulated(seed + 100, annotators=5, values=4)
        for name, method in METHODS.items():
            found = method(votes)
            at_truth = np.maximum(found.posterior[np.arange(len(truth)), truth], 1e-6)
            rows.append((name, float((found.value == truth).mean()), float(-np.log(at_truth).mean())))
    means = pd.DataFrame(rows, columns=["name", "accuracy", "surprise"]).groupby("name").mean()
    assert means["accuracy"].idxmax() == "bayesian"
    assert means["surprise"].idxmin() == "bayesian"


def test_a_model_helps_and_one_that_is_noise_does_no_harm() -> None:
    votes, truth = simulated(7, annotators=3)
    alone = (bayesian(votes).value == truth).mean()
    helped = (bayesian(votes, probabilities(truth, 3, 1)).value == truth).mean()
    noise = probabilities(np.random.default_rng(3).integers(0, 3, len(truth)), 3, 2)
    assert helped > alone + 0.03
    assert (bayesian(votes, noise).value == truth).mean() > alone - 0.03


def test_skill_is_found() -> None:
    generator = np.random.default_rng(5)
    truth = generator.integers(0, 2, 400)
    skills = [0.95, 0.8, 0.6]
    table = [np.where(generator.random(400) < skill, truth, 1 - truth) for skill in skills]
    item, annotator = np.tile(np.arange(400), 3), np.repeat(np.arange(3), 400)
    found = bayesian(Votes(item, annotator, np.concatenate(table), 400, 3, 2)).skill
    np.testing.assert_allclose(found, skills, atol=0.06)


def test_what_is_no_set_of_votes_is_refused() -> None:
    zero, one = np.zeros(1, np.int64), np.ones(1, np.int64)
    with pytest.raises(BadDataError, match="twice"):
        Votes(np.zeros(2, np.int64), np.zeros(2, np.int64), np.zeros(2, np.int64), 1, 1, 2)
    with pytest.raises(BadDataError, match="outside"):
        Votes(zero, zero, one, 1, 1, 1)
    with pytest.raises(BadDataError, match="lengths"):
        Votes(zero, np.zeros(2, np.int64), zero, 1, 1, 1)
    votes = Votes(zero, zero, zero, 1, 1, 2)
    with pytest.raises(BadDataError, match="shape"):
        bayesian(votes, np.ones((2, 2)))
    with pytest.raises(BadDataError, match="shape"):
        crowdlab(votes, np.ones((2, 2)))
    with pytest.raises(BadDataError, match="two votes"):
        crowdlab(votes, np.full((1, 2), 0.5))
