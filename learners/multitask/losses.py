"""One loss from the losses of many tasks, so that a task is not heard for its size."""

from __future__ import annotations

from enum import StrEnum

import torch

from curate.errors import BadDataError


class Balance(StrEnum):
    """What weighs the same in a batch; the first two balance no tasks, and are what the others are compared with."""

    EVERY_TOKEN = "every-token"
    EVERY_SAMPLE = "every-sample"
    TASKS_BY_TOKENS = "tasks-by-tokens"
    """Every task, and in it every token: MFTCoder (Liu et al., KDD 2024)."""
    TASKS_BY_SAMPLES = "tasks-by-samples"
    """Every task, in it every sample, and in that every token."""


def balanced_loss(
    losses: torch.Tensor,
    counted: torch.Tensor,
    tasks: torch.Tensor,
    balance: Balance,
    weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the loss of a batch: of the tasks in it each weighs the same, or as `weights` say of all tasks.

    losses: of each token (samples, tokens). counted: which of them are predicted. tasks: each sample's (samples).
    A sample without a predicted token is left out, and so is a task without such a sample; the weights of the others
    are divided by their sum.

    Raises:
        BadDataError: no token is predicted, or weights for tasks that are not balanced.

    >>> losses, tasks = torch.tensor([[1.0, 1.0], [1.0, 1.0], [4.0, 0.0]]), torch.tensor([0, 0, 1])
    >>> counted = losses > 0
    >>> [float(balanced_loss(losses, counted, tasks, balance)) for balance in Balance]
    [1.600000023841858, 2.0, 2.5, 2.5]
    """
    if not bool(counted.any()):
        raise BadDataError("a batch in which nothing is predicted has no loss")
    sums, counts = torch.where(counted, losses, 0).sum(dim=1), counted.sum(dim=1)
    if balance in (Balance.EVERY_TOKEN, Balance.EVERY_SAMPLE):
        if weights is not None:
            raise BadDataError(f"weights of tasks are for losses that balance tasks, not {balance.value!r}")
        return _mean(sums, counts, balance is Balance.EVERY_TOKEN)
    present = torch.unique(tasks[counts > 0])
    by_tokens = balance is Balance.TASKS_BY_TOKENS
    means = torch.stack([_mean(sums[tasks == task], counts[tasks == task], by_tokens) for task in present])
    if weights is None:
        return means.sum() / len(means)
    chosen = weights.to(means)[present]
    return (chosen * means).sum() / chosen.sum()


def _mean(sums: torch.Tensor, counts: torch.Tensor, by_tokens: bool) -> torch.Tensor:
    """The mean over tokens, or the mean of the samples' means."""
    if by_tokens:
        return sums.sum() / counts.sum()
    there = counts > 0
    return (sums[there] / counts[there]).sum() / there.sum()
