"""The gate's rounds: which questions go out to people next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from curate.annotate.audits import (
    MOST_ANSWERS,
    RoundSettings,
    Share,
    Standing,
    audits_wanted,
    is_unsettled,
    posterior,
    share_out,
    shared_evenly,
)
from curate.annotate.gate import accuracy
from curate.annotate.priorities import answer_gain, symmetric_noise
from curate.annotate.several import list_answer_gain
from curate.flows.steps.calibrate import known_map
from curate.flows.steps.gate_looks import Answered, Pair, State, answered, proposed_values
from curate.store.gating import gate_pool

if TYPE_CHECKING:
    from curate.annotate.protocol import Attribute
    from curate.settings import GateSettings

Booleans = NDArray[np.bool_]
Numbers = NDArray[np.float64]
Positions = NDArray[np.int64]
_REPEAT, _AUDIT = 3.0, 2.0


@dataclass(frozen=True, slots=True)
class Asked:
    """One question of a round; `answers` is how many people's words settle it, earlier ones included."""

    item_id: str
    attribute: str
    kind: str
    priority: float
    answers: int


@dataclass(frozen=True, slots=True)
class Round:
    """The questions that go out together, perhaps none; `cut` says what the budget does not suffice for."""

    number: int
    questions: tuple[Asked, ...]
    cut: str = ""


@dataclass(frozen=True, slots=True)
class _Ground:
    """One attribute before a round: its items in its own random order, the first annotator's proposals, the answers."""

    attribute: Attribute
    ids: list[str]
    where: Positions
    said: Answered
    proposed: Positions
    confidence: NDArray[np.float64]
    reserved: Booleans
    drawn: Booleans
    used: Booleans
    arrived: Positions
    passed: bool
    passed_at: int
    pair: Pair | None

    def answers(self) -> Positions:
        """How many words people have said about each item."""
        counts: Positions = (
            np.where(self.where >= 0, self.said.answers[self.where], 0)
            if len(self.said.place)
            else (np.zeros(len(self.where), np.int64))
        )
        return counts

    def evidence(self) -> NDArray[np.float64]:
        """The log-likelihood of the answers under each value of each item."""
        found = np.zeros((len(self.where), len(self.attribute.values)))
        known = self.where >= 0
        found[known] = self.said.evidence[self.where[known]]
        return found

    def fresh(self) -> Positions:
        """What may be audited next: reserved items that nobody was asked about as an audit and that trained nothing."""
        fits = self.reserved & ~self.drawn & ~self.used & (self.answers() == 0)
        return np.flatnonzero(fits & (self.arrived > self.passed_at) if self.passed else fits)

    def due(self, recheck: float) -> int:
        """How many rechecks of a passed attribute are due: a share of the reserved items that came in since."""
        new = self.reserved & (self.arrived > self.passed_at)
        return max(0, ceil(recheck * int(new.sum())) - int((new & self.drawn).sum()))


def draw_round(state: State, pairs: Sequence[Pair], settings: GateSettings, number: int, level: float) -> Round:
    """Choose the questions of a round; none where there is nothing to ask, or the budget is spent.

    No more is asked than the budget leaves: repeats, which settle audits that were begun, come first, then rechecks and
    pilots, and each of these is shared evenly among the attributes where it does not suffice.

    Memory: the items' ids and some bytes for each value of each attribute.
    """
    grounds = [_ground(state, attribute, pairs) for attribute in state.protocol.attributes]
    given = sum(int(ground.said.answers.sum()) for ground in grounds)
    most = max(0, settings.budget - given) if settings.budget else None
    begun = [list(_repeats(ground)) for ground in grounds]
    counts = [len(part) for part in begun]
    settled = counts if most is None else shared_evenly(counts, most)
    questions = [entry for part, count in zip(begun, settled, strict=True) for entry in part[:count]]
    left, rest = settings.answers - len(questions), None if most is None else most - len(questions)
    standings = [_standing(ground, settings.recheck) for ground in grounds]
    audits = _audit_share(settings, standings)
    plan = RoundSettings(max(0, left), audits, settings.pilot, settings.bar, level, most=rest)
    for ground, share in zip(grounds, share_out(standings, plan) if left > 0 else [], strict=False):
        questions += [*_audits(ground, share), *_questions(ground, share, settings, state.noise)]
    return Round(number, tuple(questions), _cut(settings, most, sum(counts), standings))


def _audit_share(settings: GateSettings, standings: Sequence[Standing]) -> float:
    """Return which share of a round goes to audits: within a budget people teach first, and audit what came of it."""
    if not settings.budget:
        return settings.audit_share
    trained = sum(entry.trained for entry in standings)
    auditable = any(entry.left for entry in standings if not entry.passed)
    return 1.0 if auditable and trained >= (1 - settings.audit_share) * settings.budget else 0.0


def _cut(settings: GateSettings, most: int | None, begun: int, standings: Sequence[Standing]) -> str:
    """Say that the budget leaves less than a round would ask for; "" where it does not."""
    wanted = begun + sum(audits_wanted(standings, settings.pilot))
    if any(not entry.passed and entry.left + entry.open for entry in standings):
        wanted = max(wanted, settings.answers)
    if most is None or most >= wanted:
        return ""
    return f"the budget of {settings.budget:,} answers leaves {most:,}, and a round would ask for {wanted:,}"


def _ground(state: State, attribute: Attribute, pairs: Sequence[Pair]) -> _Ground:
    own = [pair for pair in pairs if pair.attribute == attribute.name]
    first = own[0] if own else None
    annotator = first.annotator if first else next(iter(state.annotators), "")
    pool = gate_pool(state.reader, state.scope, attribute.name, annotator)
    said = answered(state.reader, state.scope, attribute, state.noise)
    ids = pool["item_id"].to_pylist()
    reserved, drawn, used, arrived = (
        np.asarray(pool[name].to_numpy()) for name in ("reserved", "drawn", "used", "arrived")
    )
    return _Ground(
        attribute,
        ids,
        said.of(ids),
        said,
        proposed_values(pool, attribute),
        _believed(state, attribute, first, np.asarray(pool["confidence"].fill_null(0.0).to_numpy())),
        reserved,
        drawn,
        used,
        arrived,
        bool(own) and all(pair.passed for pair in own),
        min((pair.passed_at for pair in own), default=0) if all(pair.passed for pair in own) else 0,
        first,
    )


def _believed(state: State, attribute: Attribute, pair: Pair | None, confidence: Numbers) -> Numbers:
    """How sure proposals are taken to be: as calibrated, else no surer than audits say that they are right.

    A rule is always sure. Taken at its word no answer would be worth anything, and the same items be asked about.
    """
    if pair is None:
        return confidence
    calibrated = known_map(state.reader, state.scope, attribute, pair.annotator)
    if calibrated is not None:
        return calibrated(confidence)
    return np.minimum(confidence, pair.accuracy) if pair.audited else confidence


def _standing(ground: _Ground, recheck: float) -> Standing:
    teaching = int(ground.answers()[~ground.reserved].sum())
    estimate = ground.pair.estimate if ground.pair else accuracy(np.zeros(int((ground.drawn).sum()), bool))
    return Standing(
        estimate,
        teaching,
        len(ground.fresh()),
        int((~ground.reserved & (ground.answers() < MOST_ANSWERS)).sum()),
        ground.passed,
        ground.due(recheck) if ground.passed else 0,
    )


def _repeats(ground: _Ground) -> Iterator[Asked]:
    """Audits whose answers leave open whether the annotator is right: somebody else is asked, too.

    Of a passed attribute only its rechecks are.
    """
    places = np.flatnonzero(ground.drawn & (ground.where >= 0) & (ground.proposed >= 0))
    if not len(places):
        return
    chance = ground.said.chance_right(ground.proposed[places], ground.where[places])
    answers = ground.answers()[places]
    counts = (ground.said.valued[ground.where[places]] > 0) & (
        ground.said.told[ground.where[places]] > ground.passed_at
    )
    for place in places[is_unsettled(chance, answers) & counts]:
        yield Asked(ground.ids[place], ground.attribute.name, "audit", _REPEAT, int(ground.answers()[place]) + 1)


def _audits(ground: _Ground, share: Share) -> Iterator[Asked]:
    for place in ground.fresh()[: share.audits]:
        yield Asked(ground.ids[place], ground.attribute.name, "audit", _AUDIT, 1)


def _questions(ground: _Ground, share: Share, settings: GateSettings, noise: float) -> Iterator[Asked]:
    """Where an answer is worth most, of equals first where nobody has answered; a share of answers once more."""
    answers = ground.answers()
    free = ~ground.reserved & (answers < MOST_ANSWERS)
    twice = np.flatnonzero(free & (answers == 1))[: ceil(settings.double * share.questions)]
    gain = np.where(free, _gain(ground, noise), -1.0)
    gain[twice] = -1.0
    best = np.lexsort((answers, -gain.round(9)))[: share.questions - len(twice)]
    for place in (*twice, *best[gain[best] >= 0]):
        kind = "repeat" if answers[place] else "label"
        priority = float(max(gain[place], 0.0))
        yield Asked(ground.ids[place], ground.attribute.name, kind, priority, int(answers[place]) + 1)


def _gain(ground: _Ground, noise: float) -> NDArray[np.float64]:
    values = len(ground.attribute.values)
    if ground.attribute.multiple:
        return list_answer_gain(ground.proposed, ground.confidence, ground.evidence(), ground.answers(), noise)
    proposal = np.full((len(ground.ids), values), 1 / values)
    known = np.flatnonzero(ground.proposed >= 0)
    sure = np.clip(ground.confidence[known], 1 / values, 1.0)
    proposal[known] = ((1 - sure) / (values - 1))[:, None]
    proposal[known, ground.proposed[known]] = sure
    weighed = posterior(proposal, ground.evidence(), ground.answers())
    return answer_gain(weighed, symmetric_noise(values, noise))
