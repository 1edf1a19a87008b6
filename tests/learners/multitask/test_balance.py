"""Tasks of any size weigh exactly the same; a balancer of convergence does what its formulas say."""

import numpy as np
import pytest
import torch

from curate.errors import BadDataError, ConfigurationError
from curate.learners.multitask.convergence import (
    ConvergenceBalancer,
    absolute_scores,
    divergence_factor,
    relative_scores,
)
from curate.learners.multitask.losses import Balance, balanced_loss
from curate.learners.multitask.parameters import ConvergenceParameters

SIZES = (1, 7, 64, 301)


def batch(
    sizes: tuple[int, ...] = SIZES, tokens: int = 5, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return random losses of samples of 1 to `tokens` predicted tokens, of tasks of very different sizes."""
    generator = torch.Generator().manual_seed(seed)
    tasks = torch.cat([torch.full((size,), task) for task, size in enumerate(sizes)])
    lengths = torch.randint(1, tokens + 1, (len(tasks),), generator=generator)
    losses = torch.rand(len(tasks), tokens, generator=generator, dtype=torch.float64)
    return losses, torch.arange(tokens) < lengths[:, None], tasks


def pull(balance: Balance, counted: torch.Tensor, tasks: torch.Tensor) -> list[float]:
    """Return by how much the loss changes when every token of a task changes by one: what the task weighs."""
    losses = torch.zeros(counted.shape, dtype=torch.float64, requires_grad=True)
    balanced_loss(losses, counted, tasks, balance).backward()
    assert losses.grad is not None
    return [float(losses.grad[tasks == task].sum()) for task in tasks.unique()]


@pytest.mark.parametrize("balance", [Balance.TASKS_BY_TOKENS, Balance.TASKS_BY_SAMPLES])
@pytest.mark.parametrize("sizes", [(1, 2, 64, 512), (16, 16), (1, 1024)])
def test_tasks_of_unequal_sizes_weigh_exactly_the_same(balance: Balance, sizes: tuple[int, ...]) -> None:
    _, _, tasks = batch(sizes)
    counted = torch.ones(len(tasks), 4, dtype=torch.bool)  # powers of two: not a bit is lost in the sums
    assert pull(balance, counted, tasks) == [1 / len(sizes)] * len(sizes)


@pytest.mark.parametrize("balance", [Balance.TASKS_BY_TOKENS, Balance.TASKS_BY_SAMPLES])
def test_tasks_of_any_size_weigh_the_same_up_to_rounding(balance: Balance) -> None:
    _, counted, tasks = batch()
    assert pull(balance, counted, tasks) == pytest.approx([0.25] * 4, abs=1e-14)


def test_without_a_balance_a_task_weighs_what_its_size_is() -> None:
    _, counted, tasks = batch()
    tokens = [int(counted[tasks == task].sum()) / int(counted.sum()) for task in range(4)]
    assert pull(Balance.EVERY_TOKEN, counted, tasks) == pytest.approx(tokens)
    assert pull(Balance.EVERY_SAMPLE, counted, tasks) == pytest.approx([size / sum(SIZES) for size in SIZES])


def test_each_balance_is_the_mean_that_it_says() -> None:
    losses, counted, tasks = batch()
    samples = [losses[row][counted[row]] for row in range(len(losses))]
    of_task = [[samples[row] for row in torch.where(tasks == task)[0]] for task in range(4)]
    expected = {
        Balance.EVERY_TOKEN: torch.cat(samples).mean(),
        Balance.EVERY_SAMPLE: torch.stack([one.mean() for one in samples]).mean(),
        Balance.TASKS_BY_TOKENS: torch.stack([torch.cat(some).mean() for some in of_task]).mean(),
        Balance.TASKS_BY_SAMPLES: torch.stack(
            [torch.stack([one.mean() for one in some]).mean() for some in of_task]
        ).mean(),
    }
    for balance, value in expected.items():
        assert float(balanced_loss(losses, counted, tasks, balance)) == pytest.approx(float(value), abs=1e-12)


def test_weights_are_those_of_the_tasks_that_are_there() -> None:
    losses, counted, tasks = batch()
    weights = torch.tensor([0.1, 0.2, 0.3, 0.4])
    alone = [balanced_loss(losses[tasks == task], counted[tasks == task], tasks[tasks == task], Balance.TASKS_BY_TOKENS)
             for task in range(4)]  # fmt: skip
    found = balanced_loss(losses, counted, tasks, Balance.TASKS_BY_TOKENS, weights)
    assert float(found) == pytest.approx(sum(0.1 * (task + 1) * float(alone[task]) for task in range(4)))
    some = (tasks == 1) | (tasks == 3)
    found = balanced_loss(losses[some], counted[some], tasks[some], Balance.TASKS_BY_TOKENS, weights)
    assert float(found) == pytest.approx((0.2 * float(alone[1]) + 0.4 * float(alone[3])) / 0.6)


def test_samples_in_which_nothing_is_predicted_change_nothing() -> None:
    losses, counted, tasks = batch()
    for balance in Balance:
        expected = balanced_loss(losses, counted, tasks, balance)
        more = torch.full((2, 5), float("nan"), dtype=torch.float64)
        nothing, others = torch.zeros(2, 5, dtype=torch.bool), torch.tensor([0, 9])
        found = balanced_loss(
            torch.cat([losses, more]), torch.cat([counted, nothing]), torch.cat([tasks, others]), balance
        )
        assert torch.equal(found, expected)


def test_losses_that_make_no_sense_are_refused() -> None:
    losses, counted, tasks = batch()
    with pytest.raises(BadDataError, match="nothing is predicted"):
        balanced_loss(losses, counted & False, tasks, Balance.EVERY_TOKEN)
    with pytest.raises(BadDataError, match="every-token"):
        balanced_loss(losses, counted, tasks, Balance.EVERY_TOKEN, torch.ones(4))


def test_scores_are_those_of_the_paper() -> None:
    slopes = np.array([-0.3, -0.1, 0.2])
    raised = np.exp(3 * slopes / 0.6)
    assert relative_scores(slopes) == pytest.approx(raised / raised.sum())
    history = np.array([[-0.4, -0.1, -0.2], [-0.3, -0.1, 0.2]])
    raised = np.exp(-2 * np.array([-0.3 / 0.7, -0.1 / 0.2, 0.2 / 0.4]))
    assert absolute_scores(history) == pytest.approx(raised / raised.sum())
    worst = np.array([-0.4, -0.3, -0.1])
    raised = np.exp(-5 * 3 * worst / 0.8)
    assert divergence_factor(worst, 5.0) == pytest.approx(3 * raised[-1] / raised.sum())
    assert divergence_factor(worst[::-1].copy(), 5.0) == 1.0


def test_standstill_divides_nothing_by_nothing() -> None:
    assert relative_scores(np.zeros(4)).tolist() == [0.25] * 4
    balancer = ConvergenceBalancer(2, ConvergenceParameters(window=4, warm_up=2))
    for _ in range(6):
        assert balancer.observe([3.0, 1.0]).tolist() == [0.5, 0.5]


def test_equal_paces_weigh_the_same_whatever_the_size_of_the_losses() -> None:
    balancer = ConvergenceBalancer(3, ConvergenceParameters(window=8, warm_up=4))
    for step in range(30):
        weights = balancer.observe(np.array([1.0, 8.0, 1024.0]) * (2 - step / 32))
    assert weights.tolist() == [1 / 3] * 3


def test_who_lags_is_heard_more_after_the_warm_up_alone() -> None:
    balancer = ConvergenceBalancer(2, ConvergenceParameters(window=10, warm_up=5))
    for step in range(40):
        weights = balancer.observe([np.exp(-0.01 * step), np.exp(-0.04 * step)])
        assert weights.sum() == pytest.approx(1)
        assert (weights.tolist() == [0.5, 0.5]) if step < 4 else (weights[0] > 0.55)


def test_who_diverges_is_heard_less_and_never_less_than_the_floor() -> None:
    balancer = ConvergenceBalancer(2, ConvergenceParameters(window=10, warm_up=5))
    for step in range(60):
        weights = balancer.observe([1 - 0.01 * step, 1 - 0.01 * step if step < 30 else 0.7 + 0.05 * (step - 30)])
    assert 1 / 20 <= weights[1] < 0.25


def test_losses_that_cannot_be_are_refused() -> None:
    balancer = ConvergenceBalancer(2)
    for losses in ([1.0], [1.0, float("nan")], [0.0, 1.0]):
        with pytest.raises(BadDataError, match="2 tasks"):
            balancer.observe(losses)
    with pytest.raises(ConfigurationError, match="window"):
        ConvergenceParameters(window=0)
