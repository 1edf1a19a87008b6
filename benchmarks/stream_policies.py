"""Decisions a second of the budget managers against scikit-activeml's, which decide the same (tests/select/stream).

Both get the same utilities of a stream in batches of 100, as a service would see them; scikit-activeml answers a batch
with `query_by_utility` and then `update`, as it asks its users to. What either would take to compute utilities is left
out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.bars import Bar
from benchmarks.harness.command import Options, Result, main
from benchmarks.harness.paired import take_turns
from curate.select.stream.budgets import manager_named

PACKAGES = ("curate", "numpy", "numba", "scikit-activeml")
RATE, BATCH = 0.1, 100
NAMES = ("estimated-uniform", "fixed", "variable", "randomised-variable", "split", "counted-variable", "quantile")


def run(options: Options) -> Result:
    """Decide over 100,000 utilities (quick: 10,000) with each manager and its peer, taking turns."""
    count = 10_000 if options.quick else 100_000
    values = np.random.default_rng(options.seed).beta(1, 3, count)
    bars, table = [], []
    for name in NAMES:
        contenders: dict[str, Callable[[], object]] = {
            "curate": lambda name=name: _ours(name, values),  # type: ignore[misc]
            "scikit-activeml": lambda name=name: _theirs(name, values),  # type: ignore[misc]
        }
        timings = take_turns(contenders, note=options.note)
        faster = timings.times_faster("curate", "scikit-activeml", options.seed)
        bars.append(Bar(f"decisions/s over scikit-activeml, {name}", faster.value, 10, ">=", faster))
        seconds = {who: timings.median(who) for who in contenders}
        table.append({"manager": name, **{f"{who}, decisions/s": count / taken for who, taken in seconds.items()}})
    return Result(bars, table, {"utilities": count, "batch": BATCH, "rate": RATE}, PACKAGES)


def _ours(name: str, values: NDArray[np.float64]) -> None:
    manager = manager_named(name, RATE)
    for start in range(0, len(values), BATCH):
        manager.decide(values[start : start + BATCH])


def _theirs(name: str, values: NDArray[np.float64]) -> None:
    manager = _peer(name)
    for start in range(0, len(values), BATCH):
        part = values[start : start + BATCH]
        asked = manager.query_by_utility(part)
        more = {"utilities": part} if name == "quantile" else {}
        manager.update(part.reshape(-1, 1), asked, **more)


def _peer(name: str) -> Any:
    from skactiveml.stream import budgetmanager as managers

    kinds: dict[str, Callable[[], Any]] = {
        "estimated-uniform": lambda: managers.RandomBudgetManager(budget=RATE, random_state=0),
        "fixed": lambda: managers.FixedUncertaintyBudgetManager(classes=[0, 1], budget=RATE),
        "variable": lambda: managers.VariableUncertaintyBudgetManager(budget=RATE),
        "randomised-variable": lambda: managers.RandomVariableUncertaintyBudgetManager(budget=RATE, random_state=0),
        "split": lambda: managers.SplitBudgetManager(budget=RATE, random_state=0),
        "counted-variable": lambda: managers.DensityBasedSplitBudgetManager(budget=RATE, random_state=0),
        "quantile": lambda: managers.BalancedIncrementalQuantileFilter(budget=RATE),
    }
    return kinds[name]()


if __name__ == "__main__":
    sys.exit(main("stream_policies", run))
