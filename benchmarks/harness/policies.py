"""The strategies of the streams' benchmark: each a utility under a budget manager, and how it passes over a stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.streams import Stream
from benchmarks.harness.windowed import Answers, Passed, prequential, scaled
from curate.select.stream.budgets import manager_named
from curate.select.stream.density import Cognition, Neighbourhood
from curate.select.stream.utilities import ENOUGH


@dataclass(frozen=True, slots=True)
class Policy:
    """A manager by name with the utility that its authors give it; `dense` bars outliers: "near" or "remembered"."""

    manager: str
    utility: str = "least-confidence"
    dense: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)


DEFAULT = Policy("paced", "least-confidence")
RANDOM = "random"
PEERS: Mapping[str, Policy] = {
    RANDOM: Policy("uniform"),
    "periodic": Policy("periodic"),
    "fixed": Policy("fixed"),
    "variable": Policy("variable"),
    "randomised variable": Policy("randomised-variable"),
    "split": Policy("split"),
    "density": Policy("counted-variable", "margin", "near"),
    "cognitive, random": Policy("estimated-uniform", dense="remembered"),
    "cognitive, fixed": Policy("fixed", dense="remembered"),
    "cognitive, variable": Policy("variable", dense="remembered"),
    "cognitive, randomised": Policy("randomised-variable", dense="remembered"),
    "probabilistic": Policy("quantile", "expected-error-reduction"),
    "quantile filter": Policy("quantile", "margin"),
    "entropy sampler": Policy("sampled", "entropy"),
}
"""What scikit-activeml and river have: ours decide the same (tests/select/stream)."""
OTHERS: Mapping[str, Policy] = {
    "selective sampling": Policy("selective"),
    "vote entropy": Policy("paced", "vote-entropy"),
    "consensus divergence": Policy("paced", "consensus-divergence"),
    "importance-weighted": Policy("sampled", "disagreement", more={"power": 1.0, "least": 0.01}),
    "expected model change": Policy("paced", "expected-model-change"),
    "paced margin": Policy("paced", "margin"),
    "paced entropy": Policy("paced", "entropy"),
    "paced without savings": Policy("paced", more={"savings": 0.0}),
}
"""What curate has besides."""


class Course:
    """A stream, standardised, with what strategies want to know of it; each is computed once."""

    def __init__(self, stream: Stream) -> None:
        self.features, self.classes = scaled(stream[0]), stream[1]

    @cached_property
    def near(self) -> NDArray[np.bool_]:
        """Whether an item is the nearest to any of the hundred before it."""
        return Neighbourhood(100).counts(self.features) > 0

    @cached_property
    def remembered(self) -> NDArray[np.bool_]:
        """Whether it is the nearest to any that a cognition window remembers."""
        return Cognition(10).counts(self.features) > 0

    def passed(self, policy: Policy, rate: float, seed: int, answers: Answers | None = None) -> Passed:
        """Let a policy pass over the stream."""
        more = dict(policy.more)
        more |= {"classes": int(self.classes.max()) + 1} if policy.manager in ("fixed", "selective") else {}
        if policy.manager == DEFAULT.manager:
            saving = {"enough": ENOUGH[policy.utility]} if policy.utility in ENOUGH else {"savings": 0.0}
            more = {"horizon": len(self.classes), **saving, **more}
        manager = manager_named(policy.manager, rate, seed, **more)
        dense = getattr(self, policy.dense) if policy.dense else None
        return prequential(
            self.features, self.classes, manager, policy.utility, answers=answers, seed=seed, dense=dense
        )
