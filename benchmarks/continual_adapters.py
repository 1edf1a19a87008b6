"""Adapters in a sequence of tasks: what is forgotten with one, one each, O-LoRA's penalty, and a protected subspace.

A network that has learned upright digits meets five more tasks one after the other, each in 480 images that do not come
again: turned, half turned, mirrored, shifted, negative, in an order of each seed. All answer with the same frozen head,
and but for "one each" nobody says which task an item belongs to. Accuracy and forgetting have the formulas of all
learners (`curate.learners.metrics`). Each row's learning rate, the weight of the penalty and the protected share were
chosen by final accuracy on *training* images that were not fitted; test images were read once, with those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.harness.bars import Bar
from benchmarks.harness.command import Options, Result, main
from benchmarks.harness.digit_tasks import SEQUENCE, Sequenced, sequences
from benchmarks.harness.turned_digits import digit_network
from curate.learners.adapters.increments import IncrementalAdapters, ProtectedSubspace
from curate.learners.metrics import FORMULAS, AccuracyMatrix
from curate.statistics import bootstrap_interval, paired_difference

PACKAGES = ("curate", "numpy", "peft", "scikit-learn", "torch")
SEEDS, QUICK_SEEDS = 5, 2
BASE_PASSES, PASSES, SIZE = 30, 10, 32
QUICK_BASE_PASSES, QUICK_PASSES = 5, 1
LAYERS = ("first", "second")
FULL, ONE, SUM, PENALISED = "all weights", "one LoRA for all", "one LoRA each, added up", "  with O-LoRA's penalty"
SUBSPACE, KEPT, APART = "OSF", "  weights kept in the subspace", "one LoRA each, task given"
Says = Callable[[torch.Tensor, int], torch.Tensor]


@dataclass(frozen=True)
class Way:
    """A way of learning: its learning rates, and what else is chosen with them."""

    rates: Sequence[float]
    others: Sequence[float] = (0.0,)


WAYS: Mapping[str, Way] = {
    FULL: Way((3e-4, 1e-3)),
    ONE: Way((1e-3, 3e-3)),
    SUM: Way((1e-3, 3e-3)),
    PENALISED: Way((1e-3, 3e-3), (0.01, 0.1)),
    SUBSPACE: Way((3e-4, 1e-3), (0.25, 0.5)),
    KEPT: Way((3e-4, 1e-3), (0.25, 0.5)),
    APART: Way((3e-3, 1e-2)),
}


@dataclass(frozen=True)
class Outcome:
    """What one seed showed with one choice: percent and points on images kept aside, and on those held out."""

    kept: float
    accuracy: float
    forgetting: float
    upright: float
    rows: Sequence[Sequence[float]]


def run(options: Options) -> Result:
    """Walk every way through the sequence with every choice, and report the one that does best aside."""
    torch.set_num_threads(1)
    seeds = range(options.seed, options.seed + (QUICK_SEEDS if options.quick else SEEDS))
    passes = QUICK_PASSES if options.quick else PASSES
    data = [sequences(seed) for seed in seeds]
    base_passes = QUICK_BASE_PASSES if options.quick else BASE_PASSES
    bases = [_base(one, seed, base_passes) for one, seed in zip(data, seeds, strict=True)]
    walks = list(zip(bases, data, seeds, strict=True))
    chosen, found = {}, {}
    for name, way in WAYS.items():
        choices = list(product(way.rates, way.others))[: 1 if options.quick else None]
        tried = {choice: [_walked(name, *one, choice, passes) for one in walks] for choice in choices}
        chosen[name] = max(tried, key=lambda choice: float(np.mean([one.kept for one in tried[choice]])))
        found[name] = tried[chosen[name]]
        options.note(f"{name.strip()}: {np.mean(_figures(found[name], 'accuracy')):.2f} % with {chosen[name]}")
    return Result(
        bars=_bars(found),
        rows=[_row(name, outcomes, chosen[name]) for name, outcomes in found.items()],
        details={
            "seeds": list(seeds), "tasks": list(SEQUENCE), "formulas": FORMULAS, "chosen": chosen,
            "outcomes": {name.strip(): [vars(one) for one in outcomes] for name, outcomes in found.items()},
        },
        packages=PACKAGES,
    )  # fmt: skip


def _base(data: Sequenced, seed: int, passes: int) -> nn.Module:
    network = digit_network(seed)
    _fit(network, list(network.parameters()), *data.upright, 1e-3, passes, seed)
    return network.requires_grad_(False)


def _walked(
    name: str, base: nn.Module, data: Sequenced, seed: int, choice: tuple[float, float], passes: int
) -> Outcome:
    """Learn one task after the other, and ask after each about all so far."""
    kept, held_out = AccuracyMatrix(), AccuracyMatrix()
    says: Says = _plain(base)
    for number, (says, fit) in enumerate(_learning(name, deepcopy(base), choice, seed)):
        fit(*data.learned[number], choice[0], passes, seed)
        kept.add([_right(says, number_of, *data.kept[number_of]) for number_of in range(number + 1)])
        held_out.add([_right(says, number_of, *data.held_out[number_of]) for number_of in range(number + 1)])
    upright = _right(says, -1, *data.upright_held_out)
    final = 100 * held_out.final_accuracy
    return Outcome(100 * kept.final_accuracy, final, 100 * held_out.forgetting, 100 * upright, held_out.rows)


def _learning(
    name: str, network: nn.Module, choice: tuple[float, float], seed: int
) -> Iterator[tuple[Says, Callable[..., None]]]:
    """Yield, for each task, what answers afterwards and what fits it."""
    if name in (SUBSPACE, KEPT):
        yield from _protecting(ProtectedSubspace(network, LAYERS), choice[1], keeping=name == KEPT)
    elif name in (SUM, PENALISED, APART):
        yield from _adding(IncrementalAdapters(network, LAYERS), choice[1], seed, apart=name == APART)
    else:
        model: Any = network
        network.requires_grad_(name == FULL)
        trained = list(network.parameters())
        if name == ONE:
            adapters = IncrementalAdapters(network, LAYERS)
            trained = adapters.begin("all", seed=seed)
            model = adapters.model
        for _ in SEQUENCE:
            yield _plain(model), lambda *given: _fit(model, trained, *given)


def _protecting(subspace: ProtectedSubspace, share: float, *, keeping: bool) -> Iterator[tuple[Says, Any]]:
    for _ in SEQUENCE:
        trained = subspace.begin(share)
        after = subspace.keep if keeping else None
        model = subspace.model
        yield _plain(model), lambda *given, now=trained, at=model, then=after: _fit(at, now, *given, after=then)


def _adding(adapters: IncrementalAdapters, weight: float, seed: int, *, apart: bool) -> Iterator[tuple[Says, Any]]:
    def says(pixels: torch.Tensor, task: int) -> torch.Tensor:
        if apart and task < 0:
            with adapters.model.disable_adapter():
                return torch.as_tensor(adapters.model(pixels))
        if apart:
            adapters.add_up([adapters.names[task]])
        said: torch.Tensor = adapters.model(pixels)
        return said

    for number in range(len(SEQUENCE)):
        trained = adapters.begin(f"task-{number}", seed=seed + number)
        if apart:
            adapters.add_up(adapters.names[-1:])
        penalty = (lambda: weight * adapters.overlap()) if weight else None
        yield says, lambda *given, now=trained, more=penalty: _fit(adapters.model, now, *given, penalty=more)


def _plain(model: nn.Module) -> Says:
    return lambda pixels, task: model(pixels)


def _fit(
    model: nn.Module,
    trained: Sequence[nn.Parameter],
    pixels: torch.Tensor,
    labels: torch.Tensor,
    rate: float,
    passes: int,
    seed: int,
    *,
    penalty: Callable[[], torch.Tensor] | None = None,
    after: Callable[[], None] | None = None,
) -> None:
    optimiser = torch.optim.Adam(trained, rate)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(passes):
        for rows in torch.split(torch.randperm(len(pixels), generator=generator), SIZE):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(model(pixels[rows]), labels[rows])
            (loss + penalty() if penalty else loss).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            if after:
                after()


def _right(says: Says, task: int, pixels: torch.Tensor, labels: torch.Tensor) -> float:
    with torch.no_grad():
        return float((says(pixels, task).argmax(-1) == labels).double().mean())


def _figures(outcomes: Sequence[Outcome], figure: str) -> list[float]:
    return [float(getattr(one, figure)) for one in outcomes]


def _bars(found: Mapping[str, Sequence[Outcome]]) -> list[Bar]:
    bars = [Bar(f"{APART}: forgetting, points", max(map(abs, _figures(found[APART], "forgetting"))), 0.0, "<=")]
    for one, other in ((PENALISED, SUM), (PENALISED, ONE), (SUBSPACE, FULL), (KEPT, SUBSPACE)):
        less = paired_difference(_figures(found[other], "forgetting"), _figures(found[one], "forgetting"))
        bars.append(Bar(f"{one.strip()}: forgetting less than {other.strip()}, points", less.value, 0.0, ">", less))
        more = paired_difference(_figures(found[one], "accuracy"), _figures(found[other], "accuracy"))
        bars.append(Bar(f"{one.strip()}: accuracy over {other.strip()}, points", more.value, 0.0, ">", more))
    return bars


def _row(name: str, outcomes: Sequence[Outcome], choice: tuple[float, float]) -> dict[str, object]:
    accuracy, forgetting, upright = (
        str(bootstrap_interval(_figures(outcomes, one))) for one in ("accuracy", "forgetting", "upright")
    )
    return {
        "way": name, "accuracy %": accuracy, "forgetting": forgetting, "upright at the end %": upright,
        "rate": f"{choice[0]:g}", "weight or share": f"{choice[1]:g}" if choice[1] else "",
    }  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main("continual_adapters", run))
