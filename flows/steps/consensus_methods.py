"""How the step `consensus` draws values: by which method, and whose confidences count as probabilities."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from curate.annotate.consensus.bayesian import TICKS, bayesian
from curate.annotate.consensus.crowdlab import crowdlab
from curate.annotate.consensus.dawid_skene import dawid_skene
from curate.annotate.consensus.majority import majority
from curate.annotate.consensus.votes import Consensus, Votes
from curate.errors import BadDataError
from curate.settings.models import ConsensusSettings

FloatArray = NDArray[np.float64]
METHODS: Mapping[str, Callable[[Votes], Consensus]] = {
    "bayesian": bayesian,
    "dawid-skene": dawid_skene,
    "majority": majority,
}
_WITH_MODEL: Mapping[str, Callable[[Votes, FloatArray], Consensus]] = {"bayesian": bayesian, "crowdlab": crowdlab}


@dataclass(frozen=True, slots=True)
class Method:
    """A method by name, and the annotator who is no voter: its confidences are the probabilities of a model."""

    name: str
    model: str
    learners: bool

    @classmethod
    def of(cls, settings: ConsensusSettings) -> "Method":
        """Return what `[consensus]` asks for."""
        return cls(settings.method, settings.model, settings.learners)

    @property
    def key(self) -> str:
        """What a cursor keeps, so that values are drawn anew when the method changes."""
        return f"{self.name}{f' with model {self.model}' * bool(self.model)}{' with learners' * self.learners}"

    @property
    def left_out(self) -> tuple[str, ...]:
        """The kinds of annotators that have no say: learners may learn from the consensus, and not from themselves."""
        return () if self.learners else ("learner",)

    def draw(self, votes: Votes, annotators: Sequence[str], confidences: FloatArray) -> Consensus:
        """Draw from votes, whose confidences are float64 of shape (votes,).

        Raises:
            BadDataError: CROWDLAB has no model's claims, or no item with two votes besides.
        """
        if self.model not in annotators:
            if self.name not in METHODS:
                raise BadDataError(
                    f"{self.model!r} has claimed nothing", hint="let it annotate first, or another method"
                )
            return METHODS[self.name](votes)
        own = votes.annotator == annotators.index(self.model)
        others = Votes(
            votes.item[~own], votes.annotator[~own], votes.value[~own], votes.items, votes.annotators, votes.values
        )
        found = _WITH_MODEL[self.name](others, probabilities(votes, own, confidences))
        skill = found.skill.copy()
        skill[annotators.index(self.model)] = found.posterior[votes.item[own], votes.value[own]].mean()
        return replace(found, skill=skill)

    def draw_lists(self, votes: Votes) -> Consensus:
        """Draw whether one of several values is there; a model's claims are votes like all others here."""
        return bayesian(votes, priors=TICKS) if self.name == "bayesian" else METHODS[self.name](votes)


def probabilities(votes: Votes, own: NDArray[np.bool_], confidences: FloatArray) -> FloatArray:
    """Return a row (items, values) for each item: a claim's confidence, and the rest spread over the other values.

    `own` marks the model's votes. A row is uniform where it has none, or one without a confidence.
    """
    rows = np.full((votes.items, votes.values), 1 / votes.values)
    sure = own & np.isfinite(confidences)
    given = confidences[sure].clip(0, 1)
    if votes.values > 1:
        rows[votes.item[sure]] = ((1 - given) / (votes.values - 1))[:, None]
        rows[votes.item[sure], votes.value[sure]] = given
    return rows
