"""One attribute on the wheel: what people answered, what its annotator proposes, what its audits say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from curate.annotate.audits import MOST_ANSWERS, chance_right, is_unsettled, posterior
from curate.annotate.gate import Accuracy, accuracy
from curate.annotate.priorities import answer_gain, symmetric_noise

Numbers = NDArray[np.float64]
Features = NDArray[np.float32]
Positions = NDArray[np.int64]
Predict = Callable[[Features], Numbers]
Fit = Callable[[Features, Positions, int], Predict]
"""Learns values (int64) of features, and returns what gives probabilities of shape (items, values)."""


class People(Protocol):
    """Whoever answers: one value for each item, counted from 0; each call asks somebody who has not seen the item."""

    def answer(self, attribute: int, items: Positions) -> Positions: ...


@dataclass
class SimulatedPeople:
    """No people at all: the true values, and a wrong one now and then, evenly among the others.

    `truth` is int64 of shape (items, attributes); `asked` counts the answers given.
    """

    truth: Positions
    values: int
    noise: float
    generator: np.random.Generator
    asked: int = 0

    def answer(self, attribute: int, items: Positions) -> Positions:
        """Return the truth of each item, or with probability `noise` another value."""
        self.asked += len(items)
        true = self.truth[items, attribute]
        wrong = self.generator.random(len(items)) < self.noise
        others = (true + self.generator.integers(1, self.values, len(items))) % self.values
        result: Positions = np.where(wrong, others, true)
        return result


class Turning:
    """The state of one attribute over all items; every method that asks people returns the number of answers.

    `reserve` names the items that audits come from, in random order: they train nothing. All other items may be asked
    about. `second` learns from the same answers and gives a second opinion of each proposal, which narrows the interval
    of the audits; it is never delivered. `closed` says that accuracy is claimed of these items, and not of what may yet
    arrive.

    Memory: a few times items * values * 8 bytes.
    """

    def __init__(
        self,
        number: int,
        features: Features,
        reserve: Positions,
        values: int,
        noise: float,
        fit: Fit,
        people: People,
        *,
        second: Fit | None = None,
        closed: bool = False,
    ) -> None:
        """Take the attribute as it is before anybody has answered."""
        self.number, self.features, self.values, self.people = number, features, values, people
        self.reserve, self.audited, self._fit, self._second = reserve, 0, fit, second
        self.pool = len(reserve) if closed else None
        self.likelihood = symmetric_noise(values, noise)
        self.evidence = np.zeros((len(features), values))
        self.answers = np.zeros(len(features), dtype=np.int64)
        self.open = np.ones(len(features), dtype=bool)
        self.open[reserve] = False
        self.proposal = np.full((len(features), values), 1 / values)
        self.opinion = self.proposal

    @property
    def trained(self) -> int:
        """How many training answers were given."""
        return int(self.answers[self.open].sum())

    def posterior(self) -> Numbers:
        """Return p(value) of each item: the annotator's proposal where nobody answered, else with people's answers."""
        return posterior(self.proposal, self.evidence, self.answers)

    def ask(self, items: Positions) -> int:
        """Ask people about items and keep their answers as evidence."""
        given = self.people.answer(self.number, items)
        self.evidence[items] += np.log(self.likelihood[:, given].T)
        self.answers[items] += 1
        return len(items)

    def gain(self) -> Numbers:
        """Return what an answer about each item is worth; -1 for what must not be asked (again)."""
        gain = answer_gain(self.posterior(), self.likelihood)
        gain[~self.open | (self.answers >= MOST_ANSWERS)] = -1.0
        return gain

    def ask_best(self, count: int) -> int:
        """Ask about the items of highest gain; the earlier of equals comes first."""
        gain = self.gain()
        best = np.argsort(-gain, kind="stable")[:count]
        return self.ask(best[gain[best] >= 0])

    def retrain(self) -> None:
        """Fit the annotator to the consensus on what was asked, and let it propose values for all items."""
        items = np.flatnonzero(self.open & (self.answers > 0))
        consensus = self.posterior()[items].argmax(axis=1)
        self.proposal = self._fit(self.features[items], consensus, self.values)(self.features)
        self.opinion = self.proposal
        if self._second:
            self.opinion = self._second(self.features[items], consensus, self.values)(self.features)

    def audit(self, count: int) -> int:
        """Draw the next audits from the reserve and ask one person about each."""
        fresh = self.reserve[self.audited : self.audited + count]
        self.audited += len(fresh)
        return self.ask(fresh)

    def settle(self) -> int:
        """Ask again about audits of which the answers so far leave open whether the annotator is right.

        Repeats are few (see `is_unsettled`), and the audits nearly free of people's errors.
        """
        asked = 0
        while True:
            items = self.reserve[: self.audited]
            unsure = is_unsettled(self._chance_right(items), self.answers[items])
            if not unsure.any():
                return asked
            asked += self.ask(items[unsure])

    def accuracy(self) -> Accuracy:
        """Return the annotator's accuracy on items that train nothing, from the audits so far."""
        items = self.reserve[: self.audited]
        confidence = self.opinion[np.arange(len(self.opinion)), self.proposal.argmax(axis=1)]
        return accuracy(self._chance_right(items) > 0.5, confidence[items], confidence[self.reserve], pool=self.pool)

    def _chance_right(self, items: Positions) -> Numbers:
        return chance_right(self.proposal[items].argmax(axis=1), self.evidence[items])
