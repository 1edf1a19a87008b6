"""An inventory of adapters with multi-head routing, against Poly and one shared LoRA, on fourteen tasks of digits.

A network of two hidden layers that has learned upright digits is frozen. Eight source tasks (digits turned, mirrored,
as negatives, shifted, under other labels) teach each kind of adapter; then six new tasks, most of them made of parts of
two source tasks, bring five images a class each, and every way of adapting starts anew for each of them.

Kinds have about the same numbers to train, router and all: 8 skills of rank 4 in 4 blocks (MHR) or in one (Poly), and
one LoRA of rank 32 (shared); beside them one LoRA of rank 4, as large as what MHR-mu trains. Source rates and each
row's rate on new tasks were chosen by accuracy on *training* images that were not fitted, over all seeds and tasks of a
kind. A run that was cut off had read test images before the grid for new tasks was extended, because rates lay at its
upper end; since then they are read once, with the rates so chosen. Routers learn ten times as fast as adapters.
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
from benchmarks.harness.digit_tasks import NEW, SOURCE, TaskImages, task_images
from benchmarks.harness.stacked_fits import Stack, orders
from benchmarks.harness.turned_digits import digit_network
from curate.learners.multitask.parameters import RoutingParameters
from curate.learners.multitask.routed import RoutedNetwork, Trained
from curate.statistics import bootstrap_interval, paired_difference

PACKAGES = ("curate", "numpy", "scikit-learn", "torch")
SEEDS, QUICK_SEEDS = 5, 2
BASE_PASSES, PASSES, STEPS = 30, 20, 100
QUICK_BASE_PASSES, QUICK_PASSES, QUICK_STEPS = 5, 2, 10
SOURCE_RATES = (1e-2, 3e-2, 1e-1)
WHOLE_RATES, ROUTING_RATES = (3e-3, 1e-2, 3e-2, 1e-1), (3e-2, 1e-1, 3e-1, 1.0)
ROUTER = 10.0
LAYERS = ("first", "second")
KINDS: Mapping[str, RoutingParameters] = {
    "MHR": RoutingParameters(skills=8, rank=4, splits=4),
    "Poly": RoutingParameters(skills=8, rank=4, splits=1),
    "shared LoRA r32": RoutingParameters(skills=1, rank=32, splits=1),
    "shared LoRA r4": RoutingParameters(skills=1, rank=4, splits=1),
}
WHOLE, ROUTING, AVERAGE, FRESH = "whole", "z", "mu", "fresh"
ROWS: Mapping[str, tuple[str, str]] = {
    "MHR": ("MHR", WHOLE), "MHR-z": ("MHR", ROUTING), "MHR-mu": ("MHR", AVERAGE),
    "Poly": ("Poly", WHOLE), "Poly-z": ("Poly", ROUTING), "Poly-mu": ("Poly", AVERAGE),
    "shared LoRA r32": ("shared LoRA r32", WHOLE), "shared LoRA r4": ("shared LoRA r4", WHOLE),
    "LoRA r4, no source task": ("shared LoRA r4", FRESH),
}  # fmt: skip
"""Which kind each row begins with, and what of it is trained on a new task."""
Figures = Sequence[float]


@dataclass(frozen=True)
class Learned:
    """One kind after the source tasks: its networks by seed, its rate, and their accuracy on the source tasks."""

    networks: Sequence[RoutedNetwork]
    rate: float
    size: int
    right: Figures


@dataclass(frozen=True)
class Adapted:
    """One row on the new tasks: numbers trained, its rate, and the accuracy of each seed by task, before and after."""

    size: int
    rate: float
    before: Sequence[Figures]
    after: Sequence[Figures]

    def means(self) -> Figures:
        """Return the mean over tasks for each seed."""
        return [float(np.mean(one)) for one in self.after]


class _OneTask(nn.Module):
    """A routed network as its one task has it."""

    def __init__(self, routed: RoutedNetwork, task: int) -> None:
        super().__init__()
        self.routed, self._task = routed, task

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        said: torch.Tensor = self.routed(pixels, self._task)
        return said


class _AllTasks(nn.Module):
    """A routed network that reads groups of images (groups, tasks, pixels), one of each task."""

    def __init__(self, routed: RoutedNetwork) -> None:
        super().__init__()
        self.routed = routed

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        groups, tasks = pixels.shape[:2]
        said: torch.Tensor = self.routed(pixels.flatten(0, 1), torch.arange(tasks).repeat(groups))
        return said.reshape(groups, tasks, -1)


def run(options: Options) -> Result:
    """Teach each kind the source tasks, adapt it to the new ones in every way, and compare over the seeds."""
    torch.set_num_threads(1)
    seeds = range(options.seed, options.seed + (QUICK_SEEDS if options.quick else SEEDS))
    images = task_images(seeds)
    bases = _bases(images, seeds, QUICK_BASE_PASSES if options.quick else BASE_PASSES)
    learned, found = {}, {}
    for name, parameters in KINDS.items():
        learned[name] = _learned(bases, parameters, images, seeds, QUICK_PASSES if options.quick else PASSES)
        options.note(f"{name}: source tasks {np.mean(learned[name].right):.2f} % at {learned[name].rate:g}")
    for name, (kind, way) in ROWS.items():
        found[name] = _adapted(learned[kind], way, images, bases, QUICK_STEPS if options.quick else STEPS)
        options.note(f"{name}: new tasks {np.mean(found[name].means()):.2f} % at {found[name].rate:g}")
    return Result(
        bars=_bars(learned, found),
        rows=[_row(name, one, learned[ROWS[name][0]]) for name, one in found.items()],
        details={
            "seeds": list(seeds), "source tasks": list(SOURCE), "new tasks": list(NEW),
            "source": {name: {"rate": one.rate, "size": one.size, "right": one.right} for name, one in learned.items()},
            "new": {name: vars(one) for name, one in found.items()},
        },
        packages=PACKAGES,
    )  # fmt: skip


def _bases(images: TaskImages, seeds: Sequence[int], passes: int) -> list[nn.Module]:
    """Teach a network the upright digits of each seed."""
    inputs, targets = images.upright, images.labels
    turns = orders(len(seeds), inputs.shape[1], passes, seeds[0])
    stack = Stack.of([digit_network(seed) for seed in seeds])
    fitted = stack.fitted(inputs, targets, torch.full((len(seeds),), 1e-3), turns, 32)
    found: list[nn.Module] = []
    for place, seed in enumerate(seeds):
        network = digit_network(seed)
        fitted.pour(place, network)
        found.append(network)
    return found


def _learned(
    bases: Sequence[nn.Module], parameters: RoutingParameters, images: TaskImages, seeds: Sequence[int], passes: int
) -> Learned:
    """Fit a kind to all source tasks at once, at the rate that does best on what is kept aside."""
    networks = [
        RoutedNetwork(deepcopy(base), LAYERS, len(SOURCE), _seeded(parameters, seed))
        for base, seed in zip(bases, seeds, strict=True)
    ]
    copies = len(SOURCE_RATES)
    inputs, targets = (one.repeat(copies, *[1] * (one.dim() - 1)) for one in images.source)
    rates = torch.tensor(SOURCE_RATES).repeat_interleave(len(seeds))
    turns = orders(len(seeds), inputs.shape[1], passes, seeds[0], copies)
    stack = Stack.of([_AllTasks(network) for network in networks], copies)
    fitted = stack.fitted(inputs, targets, rates, turns, 8, _factor)
    kept = fitted.right(*(one.repeat(copies, *[1] * (one.dim() - 1)) for one in images.source_kept))
    best = int(np.argmax(np.reshape(kept, (copies, -1)).mean(axis=1)))
    for place, network in enumerate(networks):
        fitted.pour(best * len(seeds) + place, _AllTasks(network))
    right = Stack.of([_AllTasks(network) for network in networks]).right(*images.source_held_out)
    return Learned(networks, SOURCE_RATES[best], networks[0].size, right)


def _adapted(learned: Learned, way: str, images: TaskImages, bases: Sequence[nn.Module], steps: int) -> Adapted:
    """Adapt to every new task in one way, at the rate that does best on what is kept aside over all of them."""
    rates = ROUTING_RATES if way == ROUTING else WHOLE_RATES
    begun = [
        _begun(network, base, way, seed)
        for seed, (network, base) in enumerate(zip(learned.networks, bases, strict=True))
    ]
    size = sum(one.numel() for one in begun[0].parameters() if one.requires_grad)
    seeds, tasks = len(begun), len(NEW)
    each = [one for one in begun for _ in range(tasks)]
    before = Stack.of(each).right(*_copies(images.new_held_out, 1))
    inputs, targets = _copies(images.new, len(rates))
    every = [torch.arange(inputs.shape[1]).expand(len(inputs), -1)] * steps
    each_rate = torch.tensor(rates).repeat_interleave(seeds * tasks)
    factor = _factor if way == WHOLE else None
    fitted = Stack.of(each, len(rates)).fitted(inputs, targets, each_rate, every, inputs.shape[1], factor)
    kept, after = (
        np.reshape(fitted.right(*_copies(part, len(rates))), (len(rates), seeds, tasks))
        for part in (images.new_kept, images.new_held_out)
    )
    best = int(np.argmax(kept.mean(axis=(1, 2))))
    return Adapted(size, rates[best], np.reshape(before, (seeds, tasks)).tolist(), after[best].tolist())


def _copies(pair: tuple[torch.Tensor, torch.Tensor], rates: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Items of each seed and task, one after another, once for each rate."""
    pixels, labels = (one.flatten(0, 1).repeat(rates, *[1] * (one.dim() - 2)) for one in pair)
    return pixels, labels


def _begun(network: RoutedNetwork, base: nn.Module, way: str, seed: int) -> _OneTask:
    """Return what a new task starts from."""
    if way == FRESH:
        return _OneTask(RoutedNetwork(deepcopy(base), LAYERS, 1, _seeded(KINDS["shared LoRA r4"], seed)), 0)
    found = deepcopy(network)
    if way == AVERAGE:
        found.average()
        return _OneTask(found, 0)
    task = found.add_task()
    found.train_only(Trained.ROUTING if way == ROUTING else Trained.TASK, task)
    return _OneTask(found, task)


def _seeded(parameters: RoutingParameters, seed: int) -> RoutingParameters:
    return RoutingParameters(**{**parameters.as_mapping(), "seed": seed})


def _factor(name: str) -> float:
    """How much faster a tensor learns than the adapters."""
    return ROUTER if ".logits." in name else 1.0


def _bars(learned: Mapping[str, Learned], found: Mapping[str, Adapted]) -> list[Bar]:
    sizes = {name: learned[name].size for name in ("MHR", "Poly", "shared LoRA r32")}
    bars = [Bar("largest over smallest budget of the kinds", max(sizes.values()) / min(sizes.values()), 1.05, "<=")]
    for one, other in (("MHR", "Poly"), ("MHR", "shared LoRA r32")):
        gain = paired_difference(learned[one].right, learned[other].right)
        bars.append(Bar(f"source tasks: {one} over {other}, points", gain.value, 0, ">", gain))
    pairs = (("MHR", "Poly"), ("MHR-z", "Poly-z"), ("MHR-mu", "Poly-mu"), ("MHR", "shared LoRA r32"),
             ("MHR-mu", "shared LoRA r4"), ("MHR-mu", "LoRA r4, no source task"))  # fmt: skip
    for one, other in pairs:
        gain = paired_difference(found[one].means(), found[other].means())
        bars.append(Bar(f"new tasks: {one} over {other}, points", gain.value, 0, ">", gain))
    return bars


def _row(name: str, one: Adapted, learned: Learned) -> dict[str, object]:
    taught = ROWS[name][1] != FRESH
    return {
        "row": name,
        "numbers, source": learned.size if taught else 0,
        "source tasks %": str(bootstrap_interval(learned.right)) if taught else "",
        "numbers, new": one.size,
        "before %": str(bootstrap_interval([float(np.mean(seed)) for seed in one.before])),
        "new tasks %": str(bootstrap_interval(one.means())),
        "rate": f"{one.rate:g}",
        **{task: float(np.mean([seed[place] for seed in one.after])) for place, task in enumerate(NEW)},
    }


if __name__ == "__main__":
    raise SystemExit(main("multi_head_routing", run))
