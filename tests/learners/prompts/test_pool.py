"""A pool grows by increments, keeps what it learned, and is saved and loaded to the bit."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import ConfigurationError, StoreError
from curate.learners.prompts.choices import Mixture, Picks
from curate.learners.prompts.orthogonality import orthogonal_rows, orthogonality_penalty
from curate.learners.prompts.pool import PoolShape, PromptPool
from curate.learners.prompts.selection import Nearest, RarelyUsed, SoftAttention

CODA = PoolShape(16, (2, 3), attended=True, start="orthogonal")


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def nearest_pool(seed: int = 0, components: int = 5) -> PromptPool[Picks]:
    pool = PromptPool(PoolShape(16, (2, 3)), Nearest(2), seed=seed)
    pool.grow(components)
    return pool


def coda_pool(*growths: int, seed: int = 0) -> PromptPool[Mixture]:
    pool = PromptPool(CODA, SoftAttention(), seed=seed)
    for growth in growths:
        pool.grow(growth)
    return pool


def rows(pool: PromptPool[Any]) -> list[torch.Tensor]:
    found = [pool.keys, pool.values, pool.attention]
    return [tensor.detach().clone() for tensor in found if tensor is not None]


def step(pool: PromptPool[Mixture]) -> None:
    """One step of an optimiser that moves whatever it may, gradient or not."""
    optimiser = torch.optim.AdamW(pool.parameters(), 0.1, weight_decay=0.5)
    pool.choose(drawn(7, 12, 16)).read(pool.values).square().sum().backward()  # type: ignore[no-untyped-call]
    optimiser.step()


@pytest.mark.parametrize("earlier", [1, 2, 3])
def test_after_growth_the_old_get_no_gradient_and_stay_to_the_bit(earlier: int) -> None:
    pool = coda_pool(*[2] * earlier)
    step(pool)
    old = rows(pool)
    assert pool.grow(2) == range(2 * earlier, 2 * earlier + 2) == pool.live
    new = rows(pool)
    step(pool)
    for before, begun, after in zip(old, new, rows(pool), strict=True):
        assert torch.equal(before, after[: 2 * earlier])
        assert not torch.isclose(begun[2 * earlier :], after[2 * earlier :]).any()
    assert sum(parameter.numel() for parameter in pool.parameters()) == 2 * (16 + 16 + 6)


def test_a_growth_by_nothing_freezes_all() -> None:
    pool = coda_pool(3, 0)
    assert len(pool) == 3
    assert not len(pool.live)
    assert not pool.choose(drawn(7, 12, 16)).read(pool.values).requires_grad


def test_what_was_learned_before_still_serves_after_growth() -> None:
    """The old weigh in with all that comes, and are read as they were."""
    pool, queries = coda_pool(3), drawn(1, 9, 16)
    before = pool.choose(queries).weights
    pool.grow(2)
    assert torch.equal(before, pool.choose(queries).weights[:, :3])


def test_a_pool_begins_alike_under_a_seed_and_not_under_another() -> None:
    torch.manual_seed(1)
    one = coda_pool(3, 2)
    torch.manual_seed(2)
    other = coda_pool(3, 2)
    assert all(torch.equal(mine, its) for mine, its in zip(rows(one), rows(other), strict=True))
    assert not any(torch.isclose(mine, its).all() for mine, its in zip(rows(one), rows(coda_pool(5)), strict=True))
    assert not torch.isclose(nearest_pool(0).values, nearest_pool(1).values).any()


def test_no_growth_draws_what_another_drew() -> None:
    pool = nearest_pool(components=3)
    pool.grow(3)
    for part in rows(pool):
        assert not torch.isclose(part[:3], part[3:]).all(dim=-1).any()


def test_a_slice_begins_orthogonal_to_all_before_it() -> None:
    pool = coda_pool(2)
    step(pool)
    pool.grow(3)
    for part in rows(pool):
        flat = part.flatten(start_dim=1).double()
        assert torch.allclose(flat[2:] @ flat[2:].T, torch.eye(3, dtype=torch.float64), atol=1e-6)
        assert (flat[2:] @ flat[:2].T).abs().max() < 1e-6


@settings(max_examples=settings().max_examples // 2, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(0, 9), others=st.integers(0, 9), width=st.integers(1, 7))
def test_rows_are_orthogonal_as_far_as_there_is_room(seed: int, count: int, others: int, width: int) -> None:
    generator = np.random.default_rng(seed)
    against = generator.standard_normal((others, width)).astype(np.float32)
    found = orthogonal_rows(count, against, generator)
    assert found.shape == (count, width)
    assert np.allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-6)
    free = found[: max(0, width - others)]
    assert np.allclose(free @ free.T, np.eye(len(free)), atol=1e-5)
    assert np.allclose(free @ (against / np.linalg.norm(against, axis=1, keepdims=True)).T, 0.0, atol=1e-5)


def test_the_penalty_is_none_for_orthonormal_rows_and_more_for_equal_ones() -> None:
    assert orthogonality_penalty(coda_pool(4).values).item() == pytest.approx(0.0, abs=1e-9)
    assert orthogonality_penalty(torch.ones(2, 1)).item() == pytest.approx(2.0)


@pytest.mark.parametrize("growths", [(), (3,), (3, 2)])
def test_a_saved_pool_goes_on_bit_for_bit(growths: tuple[int, ...]) -> None:
    pool, other = coda_pool(*growths), coda_pool(4)
    if growths:
        step(pool)
        pool.record(pool.choose(drawn(2, 9, 16)))
        pool.follow(1, drawn(5, 4, 16))
    state = pool.state()
    other.load(state)
    assert other.state() == state
    for each in (pool, other):
        each.grow(2)
        each.record(each.choose(drawn(3, 9, 16)))
        each.follow(1, drawn(4, 3, 16))
        step(each)
    assert pool.state() == other.state()


def test_a_state_of_another_pool_is_refused_and_changes_nothing() -> None:
    pool = nearest_pool()
    before = pool.state()
    with pytest.raises(ConfigurationError, match="another pool"):
        pool.load(nearest_pool(seed=1).state())
    with pytest.raises(ConfigurationError, match="another pool"):
        pool.load(coda_pool(2).state())
    with pytest.raises(StoreError):
        pool.load(before[:-1])
    assert pool.state() == before


def test_choosing_counts_nothing_until_it_is_recorded() -> None:
    pool, queries = nearest_pool(), drawn(0, 7, 16)
    choice = pool.choose(queries)
    assert pool.usage.counts.sum() == 0
    pool.record(choice)
    assert pool.usage.counts.sum() == 14
    pool.grow(1)
    assert pool.usage.counts.tolist()[5:] == [0.0]


def test_the_penalty_is_off_in_a_pool_that_does_not_learn() -> None:
    pool, queries = PromptPool(PoolShape(16, (1,)), RarelyUsed(1)), drawn(0, 40, 16)
    pool.grow(4)
    nearest = pool.eval().choose(queries).indices
    pool.usage.counts[nearest[0, 0]] += 10_000
    assert torch.equal(pool.choose(queries).indices, nearest)
    assert nearest[0, 0] in nearest
    assert nearest[0, 0] not in pool.train().choose(queries).indices


def test_no_gradient_flows_back_into_the_query() -> None:
    pool, queries = coda_pool(3), drawn(0, 7, 16).requires_grad_()
    pool.choose(queries).read(pool.values).sum().backward()  # type: ignore[no-untyped-call]
    assert queries.grad is None
    assert pool.key_rows.live.grad is not None


def test_keys_that_follow_their_increments_find_them_without_an_id() -> None:
    """Two increments, each with queries around its own middle, shown in batches of different sizes."""
    pool = PromptPool(PoolShape(16, (2, 3)), Nearest(1))
    middles, shown = 2.0 * drawn(0, 2, 16), []
    for task in range(2):
        pool.grow(1)
        queries = middles[task] + drawn(task + 1, 30, 16)
        shown.append(queries)
        for batch in queries.split([1, 20, 9]):
            pool.follow(task, batch)
        pool.follow(task, batch[:0])
        assert torch.allclose(pool.keys[task], queries.mean(dim=0), atol=1e-5)
    truth = torch.arange(2).repeat_interleave(30)
    assert pool.choose(torch.cat(shown)).hits(truth).double().mean() > 0.95
    assert pool.observed.tolist() == [30, 30]
    before = pool.keys[1].clone()
    pool.follow(0, middles[0][None])  # an increment may come back, and frees nothing else
    assert pool.observed.tolist() == [31, 30]
    assert torch.equal(pool.keys[1], before)


def test_a_component_can_be_given() -> None:
    pool, queries = nearest_pool(), drawn(0, 3, 16)
    picks = pool.given(queries, torch.tensor([4, 0, 4]))
    assert torch.equal(picks.read(pool.values)[:, 0], pool.values[[4, 0, 4]])
    assert torch.equal(picks.similarities, pool.choose(queries).similarities)


def test_keys_may_begin_where_they_are_told() -> None:
    pool, keys = nearest_pool(components=2), np.full((3, 16), 0.5, np.float32)
    pool.grow(3, keys=keys)
    assert np.array_equal(pool.keys[2:].detach().numpy(), keys)


@pytest.mark.parametrize("shape", [{"width": 0}, {"value": (3, 0)}, {"start": "anything"}])
def test_a_shape_that_cannot_be_is_refused(shape: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="a pool's"):
        PoolShape(**({"width": 4, "value": (2,)} | shape))
