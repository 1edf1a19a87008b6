"""Components are chosen for each item by its own query, whatever the other items of its batch are."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import BadDataError, ConfigurationError
from curate.learners.prompts.choices import Choice, Mixture, Picks
from curate.learners.prompts.first_keys import keys_among
from curate.learners.prompts.key_loss import key_loss
from curate.learners.prompts.queries import class_query, mean_query, running_queries
from curate.learners.prompts.selection import Components, Nearest, RarelyUsed, Selection, SoftAttention
from curate.learners.prompts.usage import Usage

SELECTIONS: list[Selection[Any]] = [Nearest(3), RarelyUsed(3), SoftAttention()]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def components(seed: int = 0, count: int = 8, width: int = 24, *, equal: bool = False) -> Components:
    """Keys, attention and shares; equal ones so that all is a tie."""
    if equal:
        return Components(torch.ones(count, width), torch.ones(count, width), torch.full((count,), 1 / count))
    shares = torch.softmax(drawn(seed + 2, count), dim=0).double()
    return Components(drawn(seed, count, width), drawn(seed + 1, count, width), shares)


def content(choice: Choice) -> list[torch.Tensor]:
    if isinstance(choice, Picks):
        return [choice.indices, choice.similarities]
    assert isinstance(choice, Mixture)
    return [choice.weights]


@pytest.mark.parametrize("selection", SELECTIONS, ids=lambda selection: type(selection).__name__)
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000), items=st.integers(1, 70), size=st.integers(1, 64), width=st.sampled_from([1, 5, 24, 300])
)
def test_a_batch_of_any_size_chooses_the_same_bits(
    selection: Selection[Any], seed: int, items: int, size: int, width: int
) -> None:
    """No vote over the batch, and no sum that the size of the batch cuts in another way."""
    queries, known = drawn(seed + 9, items, width), components(seed, width=width)
    whole = content(selection(queries, known))
    parts = [content(selection(queries[start : start + size], known)) for start in range(0, items, size)]
    for number, tensor in enumerate(whole):
        assert torch.equal(tensor, torch.cat([part[number] for part in parts]))


@pytest.mark.parametrize("selection", [Nearest(3), RarelyUsed(3)], ids=["Nearest", "RarelyUsed"])
@pytest.mark.parametrize("query", [0.0, 1.0])
def test_of_equals_the_first_are_picked(selection: Selection[Picks], query: float) -> None:
    picks = selection(torch.full((40, 24), query), components(count=64, equal=True))
    assert torch.equal(picks.indices, torch.arange(3).expand(40, 3))


def test_the_nearest_are_those_with_the_largest_cosine() -> None:
    queries, known = drawn(1, 20, 24).double().numpy(), components()
    keys = known.keys.double().numpy()
    cosine = (queries @ keys.T) / np.linalg.norm(queries, axis=1)[:, None] / np.linalg.norm(keys, axis=1)
    picks = Nearest(3)(torch.from_numpy(queries).float(), known)
    assert np.array_equal(picks.indices.numpy(), (-cosine).argsort(axis=1)[:, :3])
    assert np.allclose(picks.similarities.numpy(), cosine, atol=1e-6)


@pytest.mark.parametrize("picked", [0, 9])
def test_more_than_there_are_cannot_be_picked(picked: int) -> None:
    with pytest.raises(ConfigurationError, match=f"{picked} components cannot be picked from 8"):
        Nearest(picked)(drawn(0, 2, 24), components())


def test_soft_attention_is_codas_formula() -> None:
    """Written out number by number: a_m = cos(q * A_m, K_m), and the prompt is the sum of a_m P_m."""
    queries, known, values = drawn(3, 6, 5), components(width=5), drawn(4, 8, 2, 3)
    assert known.attention is not None
    mixture = SoftAttention()(queries, known)
    prompts = mixture.read(values)
    for item, query in enumerate(queries.tolist()):
        expected = np.zeros((2, 3))
        for number in range(8):
            seen = [of * by for of, by in zip(query, known.attention[number].tolist(), strict=True)]
            key = known.keys[number].tolist()
            product = sum(one * other for one, other in zip(seen, key, strict=True))
            weight = product / math.hypot(*seen) / math.hypot(*key)
            assert mixture.weights[item, number].item() == pytest.approx(weight, abs=1e-6)
            expected += weight * values[number].numpy()
        assert np.allclose(prompts[item].numpy(), expected, atol=1e-5)


def test_soft_attention_needs_attention_vectors() -> None:
    with pytest.raises(ConfigurationError, match="attention vectors"):
        SoftAttention()(drawn(0, 2, 24), Components(drawn(1, 8, 24)))


@pytest.mark.parametrize("seed", range(5))
def test_the_penalty_spreads_the_usage(seed: int) -> None:
    """Queries that lie near two of the keys, as those of a transformer do: without the penalty these two take all."""
    known, usages = components(seed), {"nearest": Usage(), "rarely": Usage()}
    for usage in usages.values():
        usage.grow(8)
    for step in range(60):
        queries = known.keys[:2].mean(dim=0) + 0.1 * drawn(100 * seed + step, 16, 24)
        usages["nearest"].record(Nearest(2)(queries, known))
        shares = usages["rarely"].shares()
        usages["rarely"].record(RarelyUsed(2)(queries, Components(known.keys, shares=shares)))
    assert usages["nearest"].evenness() < 0.6
    assert usages["rarely"].evenness() > usages["nearest"].evenness() + 0.2
    assert not usages["rarely"].unused()


def test_without_shares_rarely_used_picks_the_nearest() -> None:
    queries, known = drawn(1, 20, 24), Components(components().keys)
    assert torch.equal(RarelyUsed(3)(queries, known).indices, Nearest(3)(queries, known).indices)


@settings(max_examples=settings().max_examples // 2, deadline=None)
@given(counts=st.lists(st.integers(0, 1000), min_size=1, max_size=40))
def test_the_entropy_is_that_of_the_shares_and_within_its_bounds(counts: list[int]) -> None:
    usage = Usage()
    usage.grow(len(counts))
    usage.counts += torch.tensor(counts)
    shares = [count / sum(counts) for count in counts if count]
    assert usage.entropy() == pytest.approx(-sum(share * math.log(share) for share in shares), abs=1e-9)
    assert 0.0 <= usage.entropy() <= math.log(len(counts))
    assert 0.0 <= usage.evenness() <= 1.0
    assert usage.unused() == counts.count(0)
    assert usage.shares().sum().item() == pytest.approx(1.0)


@pytest.mark.parametrize(("counts", "evenness"), [([5, 5, 5, 5], 1.0), ([7, 0, 0, 0], 0.0), ([1, 1, 0, 0], 0.5)])
def test_the_evenness_of_plain_cases(counts: list[int], evenness: float) -> None:
    usage = Usage()
    usage.grow(4)
    usage.counts += torch.tensor(counts)
    assert usage.evenness() == pytest.approx(evenness)


def test_an_item_that_picks_counts_once_for_each_and_a_mixture_shares_one() -> None:
    usage = Usage()
    usage.grow(3)
    usage.record(Picks(torch.tensor([[2, 0], [2, 1]]), torch.zeros(2, 3)))
    assert usage.counts.tolist() == [1.0, 1.0, 2.0]
    usage.reset()
    usage.record(Mixture(torch.tensor([[0.5, -0.5, 0.0], [0.0, 0.0, 0.0]])))
    assert usage.counts.tolist() == [0.5, 0.5, 0.0]


def test_the_key_loss_draws_only_picked_keys_nearer() -> None:
    queries = drawn(5, 30, 24)
    keys = drawn(0, 8, 24).requires_grad_()
    picks = Nearest(2)(queries, Components(keys))
    loss = key_loss(picks)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx((2.0 - picks.similarities.sort(dim=1).values[:, -2:].sum(dim=1)).mean().item())
    assert keys.grad is not None
    used = picks.uses().sum(dim=0) > 0
    assert torch.equal(keys.grad.abs().sum(dim=1) > 0, used)
    nearer = Nearest(2)(queries, Components((keys - 0.1 * keys.grad).detach()))
    assert key_loss(Picks(picks.indices, nearer.similarities)) < loss


def test_hits_say_whether_the_first_pick_is_the_right_one() -> None:
    picks = Picks(torch.tensor([[2, 0], [0, 2]]), torch.zeros(2, 3))
    assert picks.hits(torch.tensor([2, 2])).tolist() == [True, False]


def test_a_mean_query_sees_what_it_may_see() -> None:
    tokens, present = drawn(0, 3, 6, 4), torch.arange(6).expand(3, 6) < torch.tensor([[6], [2], [0]])
    other = torch.where(present[..., None], tokens, torch.full_like(tokens, float("nan")))
    found = mean_query(other, present)
    assert torch.allclose(found[0], tokens[0].mean(dim=0))
    assert torch.allclose(found[1], tokens[1, :2].mean(dim=0))
    assert found[2].tolist() == [0.0] * 4
    assert torch.allclose(mean_query(tokens), tokens.mean(dim=1))
    assert torch.equal(class_query(tokens), tokens[:, 0])


@pytest.mark.parametrize("place", range(6))
def test_no_running_query_sees_the_future(place: int) -> None:
    tokens = drawn(0, 3, 6, 4)
    changed = tokens.clone()
    changed[:, place] += 10.0
    before, after = running_queries(tokens), running_queries(changed)
    assert torch.equal(before[:, :place], after[:, :place])
    assert not torch.isclose(before[:, place:], after[:, place:]).any()
    assert torch.allclose(before[:, place], mean_query(tokens, torch.arange(6).expand(3, 6) <= place), atol=1e-6)


def test_first_keys_lie_in_the_groups_of_the_queries() -> None:
    generator = np.random.default_rng(0)
    middles = np.linalg.qr(generator.standard_normal((16, 16)))[0][:4]
    queries = (np.repeat(middles, 50, axis=0) + 0.05 * generator.standard_normal((200, 16))).astype(np.float32)
    keys = keys_among(queries, 4, np.random.default_rng(1))
    cosine = keys @ middles.T
    assert sorted(cosine.argmax(axis=1).tolist()) == [0, 1, 2, 3]
    assert (cosine.max(axis=1) > 0.99).all()
    assert np.array_equal(keys, keys_among(queries, 4, np.random.default_rng(1)))


def test_first_keys_of_equal_queries_are_equal_and_of_too_few_an_error() -> None:
    assert np.allclose(keys_among(np.ones((3, 4), np.float32), 3, np.random.default_rng(0)), 0.5)
    with pytest.raises(BadDataError, match="2 queries are too few for 3 keys"):
        keys_among(np.ones((2, 4), np.float32), 3, np.random.default_rng(0))
