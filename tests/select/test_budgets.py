"""Budgets: the best prefix that fits, and turns among several targets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import BadDataError, UnknownNameError, UsageError
from curate.select.budgets import best_within, in_turns, shared_among, sizes
from curate.select.tokens import find_tokenizer

ONE_TO_FOUR = st.integers(1, 4)
NUMBERS = st.one_of(st.floats(-1, 1), st.just(float("nan")))


@st.composite
def pools(draw, targets=ONE_TO_FOUR):
    count, rows = draw(st.integers(0, 30)), draw(targets)
    scores = [draw(st.lists(NUMBERS, min_size=count, max_size=count)) for _ in range(rows)]
    weights = draw(st.lists(st.integers(0, 9), min_size=count, max_size=count))
    return np.array(scores).reshape(rows, count), np.array(weights, np.int64), draw(st.integers(0, 60))


@settings(max_examples=3 * settings().max_examples // 2, deadline=None)
@given(pools(st.just(1)))
def test_what_is_taken_is_the_longest_prefix_of_the_ranking_that_fits(pool):
    scores, weights, amount = pool
    chosen = best_within(scores[0], weights, amount).tolist()
    able = [place for place in range(len(weights)) if scores[0][place] == scores[0][place] and weights[place] <= amount]
    ranked = sorted(able, key=lambda place: (-scores[0][place], place))
    assert chosen == ranked[: len(chosen)]
    assert weights[chosen].sum() <= amount
    assert len(chosen) == len(ranked) or weights[ranked[: len(chosen) + 1]].sum() > amount


@settings(max_examples=3 * settings().max_examples // 2, deadline=None)
@given(pools(), st.data())
def test_targets_share_without_taking_twice_or_overspending(pool, data):
    scores, weights, amount = pool
    proportions = data.draw(
        st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=len(scores), max_size=len(scores)).filter(any)
    )
    shares = shared_among(scores, weights, amount, proportions)
    assert len(set(shares.places.tolist())) == len(shares.places)
    assert shares.amounts.sum() == amount
    assert np.abs(shares.amounts - amount * np.array(proportions) / sum(proportions)).max() < 1
    assert (shares.spent <= shares.amounts).all()
    for target in range(len(scores)):
        mine = shares.places[shares.targets == target]
        assert weights[mine].sum() == shares.spent[target]
        values = scores[target][mine]
        assert not np.isnan(values).any()
        assert (np.diff(values) <= 0).all()


@settings(max_examples=settings().max_examples // 2, deadline=None)
@given(pools(st.just(1)))
def test_one_target_takes_what_a_budget_alone_takes(pool):
    scores, weights, amount = pool
    assert (
        shared_among(scores, weights, amount, [7.0]).places.tolist() == best_within(scores[0], weights, amount).tolist()
    )


@settings(max_examples=settings().max_examples, deadline=None)
@given(pools(), st.data())
def test_turns_take_all_that_has_a_score_once_and_serve_any_budget(pool, data):
    scores, weights, _ = pool
    weights = np.maximum(weights, 1)
    proportions = data.draw(
        st.lists(st.sampled_from([0.5, 1.0, 3.0]), min_size=len(scores), max_size=len(scores)).filter(any)
    )
    places = in_turns(scores, weights, proportions).tolist()
    assert sorted(places) == np.flatnonzero((~np.isnan(scores)).any(axis=0)).tolist()
    part = shared_among(scores, weights, int(weights.sum()) * 10, proportions)
    if all(spent < amount for spent, amount in zip(part.spent, part.amounts, strict=True)):
        assert part.places.tolist() == places[: len(part.places)]


def test_turns_keep_proportions_at_every_budget():
    generator = np.random.default_rng(0)
    scores, sizes = generator.random((2, 300)), generator.integers(1, 50, 300)
    scores[0, :150] = scores[1, 150:] = np.nan
    places = in_turns(scores, sizes, [3, 1])
    spent = np.cumsum(np.where(places >= 150, sizes[places], 0)), np.cumsum(np.where(places < 150, sizes[places], 0))
    assert np.abs(spent[0] / 3 - spent[1])[:190].max() <= 50


def test_targets_that_want_the_same_take_turns():
    shares = shared_among([[5, 4, 3, 2, 1, 0]] * 2, [1] * 6, 4, [1, 1])
    assert shares.places.tolist() == [0, 1, 2, 3]
    assert shares.targets.tolist() == [0, 1, 0, 1]


def test_a_target_that_runs_out_leaves_its_part():
    nothing = float("nan")
    shares = shared_among([[1, nothing, nothing], [3, 2, 1]], [1, 1, 1], 4, [1, 1])
    assert shares.spent.tolist() == [1, 2]
    assert shares.amounts.tolist() == [2, 2]


def test_more_than_there_is_takes_everything():
    assert best_within([0.1, 0.2], [3, 4], 10**9).tolist() == [1, 0]
    assert best_within([], [], 5).tolist() == []
    assert shared_among([[]], [], 5, [1]).places.tolist() == []


def test_sizes_by_unit():
    texts = ["to be or not", "", None]
    assert sizes(texts, "items").tolist() == [1, 1, 1]
    assert sizes(texts, "characters").tolist() == [12, 0, 0]
    assert sizes(texts, "tokens", find_tokenizer("words")).tolist() == [4, 0, 0]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: sizes([], "pages"), UnknownNameError, "unit of a budget 'pages'"),
        (lambda: sizes(["a"], "tokens"), UsageError, "needs a tokenizer"),
        (lambda: best_within([1], [1], -1), UsageError, "less than nothing"),
        (lambda: best_within([1, 2], [1], 5), BadDataError, "do not fit together"),
        (lambda: best_within([1, 2], [1, -1], 5), BadDataError, "candidate 1 has a negative size"),
        (lambda: shared_among([[1]], [1], 1, [1, 1]), UsageError, "2 proportions for 1 targets"),
        (lambda: shared_among([[1]], [1], 1, [0.0]), UsageError, "share out nothing"),
        (lambda: shared_among([[1]], [1], 1, [float("nan")]), UsageError, "share out nothing"),
    ],
)
def test_what_makes_no_sense_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
