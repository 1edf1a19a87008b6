"""Losses in balance on four tasks of digits of very unequal sizes, with one LoRA that all of them share.

Items are pages of digits, each digit an answer of its own: 640 pages of one to three turned digits, 160 of two to six
half turned, 40 of four to eight mirrored, 10 of eight negative ones. A batch has pages as they come, so that most are
of the first task, and many have none of the last. What differs between rows is nothing but the loss: every token the
same, every sample, every task by its tokens or by its samples, or tasks as a convergence balancer weighs them. Each
row's learning rate was chosen by the mean accuracy over tasks on *training* images that were not fitted; the balancer
sees the losses of 40 more. Test images were read once, with that rate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from benchmarks.harness.bars import Bar
from benchmarks.harness.command import Options, Result, main
from benchmarks.harness.digit_pages import PAGES, Pages, digit_pages
from benchmarks.harness.turned_digits import digit_network
from curate.learners.multitask.convergence import ConvergenceBalancer
from curate.learners.multitask.losses import Balance, balanced_loss
from curate.learners.multitask.parameters import ConvergenceParameters, RoutingParameters
from curate.learners.multitask.routed import RoutedNetwork
from curate.statistics import bootstrap_interval, paired_difference

PACKAGES = ("curate", "numpy", "scikit-learn", "torch")
SEEDS, QUICK_SEEDS = 5, 2
BASE_PASSES, PASSES, SIZE = 30, 20, 32
QUICK_BASE_PASSES, QUICK_PASSES = 5, 1
RATES = (3e-3, 1e-2)
COBA = "tasks-by-convergence"
ROWS = (*(str(balance) for balance in Balance), COBA)
BALANCER = ConvergenceParameters(window=50, warm_up=25)
"""A quarter of the paper's, for fits that are as much shorter."""


@dataclass(frozen=True)
class Outcome:
    """What one seed showed at one rate, in percent: the mean over tasks on images kept aside, each task held out."""

    kept: float
    tasks: Sequence[float]
    weights: Sequence[float]

    @property
    def mean(self) -> float:
        """The mean over tasks."""
        return float(np.mean(self.tasks))

    @property
    def smallest(self) -> float:
        """The task of the fewest pages."""
        return self.tasks[-1]


def run(options: Options) -> Result:
    """Fit the same adapter with every loss and rate, and report each loss with the rate that does best aside."""
    torch.set_num_threads(1)
    seeds = range(options.seed, options.seed + (QUICK_SEEDS if options.quick else SEEDS))
    base_passes, passes = (QUICK_BASE_PASSES, QUICK_PASSES) if options.quick else (BASE_PASSES, PASSES)
    data = [digit_pages(seed) for seed in seeds]
    bases = [_base(one, seed, base_passes) for one, seed in zip(data, seeds, strict=True)]
    found, rates = {}, {}
    for name in ROWS:
        tried = {
            rate: [_fitted(name, *one, rate, passes) for one in zip(bases, data, seeds, strict=True)] for rate in RATES
        }
        rates[name] = max(RATES, key=lambda rate: float(np.mean([one.kept for one in tried[rate]])))
        found[name] = tried[rates[name]]
        options.note(f"{name}: {np.mean([one.mean for one in found[name]]):.2f} % at {rates[name]:g}")
    return Result(
        bars=_bars(found),
        rows=[_row(name, outcomes, rates[name]) for name, outcomes in found.items()],
        details={
            "seeds": list(seeds), "pages": {name: task.pages for name, task in PAGES.items()}, "rates": rates,
            "outcomes": {name: [vars(one) for one in outcomes] for name, outcomes in found.items()},
        },
        packages=PACKAGES,
    )  # fmt: skip


def _base(data: Pages, seed: int, passes: int) -> nn.Module:
    network = digit_network(seed)
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(passes):
        for rows in torch.split(torch.randperm(len(data.upright[0]), generator=generator), SIZE):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(network(data.upright[0][rows]), data.upright[1][rows])
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return network


def _fitted(name: str, base: nn.Module, data: Pages, seed: int, rate: float, passes: int) -> Outcome:
    """Fit one shared LoRA of rank 8 with one loss."""
    model = RoutedNetwork(
        deepcopy(base), ("first", "second"), 1, RoutingParameters(skills=1, rank=8, splits=1, seed=seed)
    )
    trained = [part for part in model.parameters() if part.requires_grad]
    optimiser = torch.optim.Adam(trained, rate)
    balancer = ConvergenceBalancer(len(PAGES), BALANCER) if name == COBA else None
    balance = Balance.TASKS_BY_TOKENS if balancer else Balance(name)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(passes):
        for rows in torch.split(torch.randperm(len(data.tasks), generator=generator), SIZE):
            optimiser.zero_grad()
            said = model(data.pixels[rows].flatten(0, 1), 0)
            losses = nn.functional.cross_entropy(said, data.labels[rows].flatten(), reduction="none")
            weights = torch.from_numpy(balancer.weights) if balancer else None
            counted = data.counted[rows]
            balanced_loss(losses.reshape(counted.shape), counted, data.tasks[rows], balance, weights).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            if balancer:
                balancer.observe(_losses(model, data))
    kept, held_out = ([_right(model, *pair) for pair in pairs] for pairs in (data.kept, data.held_out))
    return Outcome(float(np.mean(kept)), held_out, balancer.weights.tolist() if balancer else [])


def _losses(model: RoutedNetwork, data: Pages) -> list[float]:
    """The loss of each task on what the balancer is shown."""
    with torch.no_grad():
        said = model(torch.cat([pixels for pixels, _ in data.shown]), 0)
        each = nn.functional.cross_entropy(said, torch.cat([labels for _, labels in data.shown]), reduction="none")
    return [float(part.mean()) for part in each.chunk(len(data.shown))]


def _right(model: RoutedNetwork, pixels: torch.Tensor, labels: torch.Tensor) -> float:
    with torch.no_grad():
        return 100 * float((model(pixels, 0).argmax(-1) == labels).double().mean())


def _bars(found: Mapping[str, Sequence[Outcome]]) -> list[Bar]:
    bars = []
    for one, other in (
        (Balance.TASKS_BY_TOKENS, Balance.EVERY_TOKEN),
        (Balance.TASKS_BY_SAMPLES, Balance.EVERY_SAMPLE),
        (COBA, Balance.TASKS_BY_TOKENS),
    ):
        for figure, what in (("mean", "mean over tasks"), ("smallest", "smallest task")):
            first, second = ([float(getattr(each, figure)) for each in found[name]] for name in (one, other))
            gain = paired_difference(first, second)
            bars.append(Bar(f"{what}: {one} over {other}, points", gain.value, 0, ">", gain))
    return bars


def _row(name: str, outcomes: Sequence[Outcome], rate: float) -> dict[str, object]:
    return {
        "loss": name,
        "mean over tasks %": str(bootstrap_interval([one.mean for one in outcomes])),
        **{task: str(bootstrap_interval([one.tasks[place] for one in outcomes])) for place, task in enumerate(PAGES)},
        "rate": f"{rate:g}",
    }


if __name__ == "__main__":
    raise SystemExit(main("multi_task_losses", run))
