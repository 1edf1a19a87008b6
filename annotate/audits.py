"""What people's answers say of a proposal, and which questions a round asks: the queue's part of the wheel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.annotate.gate import Accuracy
from curate.annotate.priorities import audit_gain, training_gain

Numbers = NDArray[np.float64]
Positions = NDArray[np.int64]
SETTLED = 0.95
"""How sure it must be whether a proposal is right before an audit of it is settled."""
MOST_ANSWERS = 3
MODEL_SHARE = 0.5
"""How much of an annotator's own evidence counts beside a person's answer that it may have been trained on."""
BELIEF = 80
"""How many audits the mean of all attributes is worth when a budget is shared out; the gate never looks at it."""
TRUST = 0.85
"""How likely a proposal is taken to be right before anybody has answered."""


def chance_right(proposed: Positions, evidence: Numbers) -> Numbers:
    """Return p(the proposal is right | people's answers) of each item, with a prior of 0.85 on the proposal.

    Args:
        proposed: the proposed value of each item, counted from 0, int64 of shape (items,).
        evidence: the log-likelihood of people's answers under each value, float64 of shape (items, values).
    """
    rows = np.arange(len(proposed))
    prior = np.full(evidence.shape, (1 - TRUST) / (evidence.shape[1] - 1))
    prior[rows, proposed] = TRUST
    weights = prior * np.exp(evidence - evidence.max(axis=1, keepdims=True))
    chance: Numbers = weights[rows, proposed] / weights.sum(axis=1)
    return chance


def is_unsettled(chance: Numbers, answers: Positions) -> NDArray[np.bool_]:
    """Say of which audits the answers leave open whether the annotator is right; those get another person's answer.

    One person who agrees settles an audit; one who errs in 20 does not settle a disagreement, so a second answers, and
    a third where these two differ.
    """
    unsettled: NDArray[np.bool_] = (chance > 1 - SETTLED) & (chance < SETTLED) & (answers < MOST_ANSWERS)
    return unsettled & (answers > 0)


def posterior(proposal: Numbers, evidence: Numbers, answers: Positions) -> Numbers:
    """Return p(value) of each item: the annotator's proposal where nobody answered, else with people's answers."""
    logarithms = np.log(proposal + 1e-9)
    logarithms[answers > 0] *= MODEL_SHARE
    logarithms += evidence
    weights = np.exp(logarithms - logarithms.max(axis=1, keepdims=True))
    result: Numbers = weights / weights.sum(axis=1, keepdims=True)
    return result


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one attribute stands before a round.

    `trained` answers teach it, `left` reserved items are not audited yet, `open` items may be asked about. Of a passed
    attribute only rechecks are bought, `due` of them.
    """

    accuracy: Accuracy
    trained: int
    left: int
    open: int
    passed: bool = False
    due: int = 0


@dataclass(frozen=True, slots=True)
class RoundSettings:
    """How a round spends its `answers`: `pilot` audits an attribute first, then `audit_share` of the rest on audits.

    Rechecks and pilots of many attributes may come to more than that, but never to more than `most`: what the budget
    leaves; None for any number.
    """

    answers: int
    audit_share: float
    pilot: int
    bar: float
    level: float
    batch: int = 5
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """What a round asks about one attribute: audits, and questions whose answers teach."""

    audits: int = 0
    questions: int = 0


def share_out(standings: Sequence[Standing], settings: RoundSettings) -> list[Share]:
    """Share a round's answers among the attributes, in their order.

    Rechecks of passed attributes come first, then pilots. Of the rest, questions go to where an answer lowers the error
    most, audits to where they most raise the chance of a pass. About passed attributes people answer nothing else.
    Where less is left than rechecks and pilots come to, it is shared evenly, among the rechecks first.
    """
    wanted = audits_wanted(standings, settings.pilot)
    most = max(sum(wanted), settings.answers) if settings.most is None else settings.most
    due = shared_evenly([count * entry.passed for count, entry in zip(wanted, standings, strict=True)], most)
    pilots = [count * (not entry.passed) for count, entry in zip(wanted, standings, strict=True)]
    audits = [sum(pair) for pair in zip(due, shared_evenly(pilots, most - sum(due)), strict=True)]
    budget = max(0, min(settings.answers, most) - sum(audits))
    waiting = [place for place, entry in enumerate(standings) if not entry.passed]
    questions = _questions(standings, waiting, round(budget * (1 - settings.audit_share)), settings)
    _audits(standings, waiting, audits, budget - sum(questions.values()), settings)
    return [Share(count, questions.get(place, 0)) for place, count in enumerate(audits)]


def audits_wanted(standings: Sequence[Standing], pilot: int) -> list[int]:
    """Return how many rechecks are due of each passed attribute, and what each other one lacks of its `pilot`."""
    return [
        min(entry.left, entry.due if entry.passed else max(0, pilot - entry.accuracy.audited)) for entry in standings
    ]


def shared_evenly(wanted: Sequence[int], most: int) -> list[int]:
    """Share at most so many out: nobody gets more than is wanted, or more than one beyond who got less.

    >>> shared_evenly([10, 2, 10], 30), shared_evenly([10, 2, 10], 9), shared_evenly([10, 10, 10], 2)
    ([10, 2, 10], [3, 2, 4], [0, 1, 1])
    """
    given = [0] * len(wanted)
    left = max(0, most)
    for rank, place in enumerate(sorted(range(len(wanted)), key=lambda place: wanted[place])):
        given[place] = min(wanted[place], left // (len(wanted) - rank))
        left -= given[place]
    return given


def _questions(
    standings: Sequence[Standing], waiting: Sequence[int], budget: int, settings: RoundSettings
) -> dict[int, int]:
    asked = dict.fromkeys(waiting, 0)
    while True:
        fitting = [place for place in waiting if asked[place] < standings[place].open]
        if not fitting or budget <= 0:
            return asked
        best = max(fitting, key=lambda place: _training_gain(standings, place, asked[place]))
        count = min(settings.batch, budget, standings[best].open - asked[best])
        asked[best], budget = asked[best] + count, budget - count


def _audits(
    standings: Sequence[Standing], waiting: Sequence[int], audits: list[int], budget: int, settings: RoundSettings
) -> None:
    """Add audits to the counts, a batch at a time where they are worth most."""

    def gain(place: int) -> float:
        known = standings[place].accuracy.audited + audits[place]
        return audit_gain(_belief(standings, place), known + BELIEF, known, settings.bar, settings.level / 2)

    while budget > 0:
        fitting = [place for place in waiting if audits[place] < standings[place].left]
        if not fitting:
            return
        best = max(fitting, key=gain)
        count = min(settings.batch, budget, standings[best].left - audits[best])
        audits[best], budget = audits[best] + count, budget - count


def _training_gain(standings: Sequence[Standing], place: int, asked: int) -> float:
    return training_gain(1 - _belief(standings, place), standings[place].trained + asked)


def _belief(standings: Sequence[Standing], place: int) -> float:
    """The accuracy that the budget is shared out by: audits, drawn towards the mean of all attributes."""
    seen = [entry.accuracy for entry in standings]
    mean = (sum(entry.right for entry in seen) + 1) / (sum(entry.audited for entry in seen) + 2)
    own = seen[place]
    return (own.value * own.effective + BELIEF * mean) / (own.effective + BELIEF)
