"""The gate's looks: what audits say of each annotator and attribute today, and the verdicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.annotate.audits import chance_right, is_unsettled
from curate.annotate.drift import has_drifted
from curate.annotate.gate import Accuracy, Verdict, accuracy, audits_needed, judge
from curate.annotate.looks import NOTHING_SPENT, Spending, last_level
from curate.annotate.priorities import symmetric_noise
from curate.annotate.several import chance_right_lists, list_evidence
from curate.store.gating import GateScope, claimed_versions, gate_pool, newest_gates, people_answers
from curate.store.reader import Reader

if TYPE_CHECKING:
    from curate.annotate.protocol import Attribute, Protocol
    from curate.settings import GateSettings

Numbers = NDArray[np.float64]
Positions = NDArray[np.int64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Answered:
    """What people said about an attribute: by item the log-likelihood of each value, how many answers, and the newest.

    `evidence` is float64 of shape (items, values); where several may be chosen, it is that a value is there rather than
    not. `answers` counts every word, "cannot tell" included, `valued` those
    that name a value; `told` is the commit of the newest.
    """

    place: Mapping[str, int]
    evidence: Numbers
    answers: Positions
    valued: Positions
    told: Positions
    multiple: bool = False

    def chance_right(self, proposed: Positions, where: Positions) -> Numbers:
        """Return p(the proposal is right) of the answers at these places."""
        chance = chance_right_lists if self.multiple else chance_right
        return chance(proposed, self.evidence[where])

    def of(self, items: Sequence[str]) -> Positions:
        """Return the place of each item, -1 where nobody has answered."""
        return np.array([self.place.get(item, -1) for item in items], np.int64)


@dataclass(frozen=True, slots=True)
class Pair:
    """One annotator on one attribute: what its audits say, and the gate's word.

    `rechecks` are the settled ones: while one person's word stands against the annotator's, somebody else is asked.
    Those of a new version are all audits so far.
    Of a passed one `passed_with` is how many audits were right when it passed, and how many there were.
    """

    attribute: str
    annotator: str
    annotator_version: str
    estimate: Accuracy
    rechecks: tuple[bool, ...] = ()
    since: int = 0
    passed_at: int = 0
    verdict: str = "open"
    reason: str = ""
    level: float = 0.0
    bound: float = 0.0
    before: tuple[int, str] = (0, "")
    passed_with: tuple[int, int] = (0, 0)

    @property
    def audited(self) -> int:
        """How many audits count."""
        return self.estimate.audited

    @property
    def right(self) -> int:
        """In how many of them the annotator is right."""
        return self.estimate.right

    @property
    def accuracy(self) -> float:
        """The estimated accuracy."""
        return self.estimate.value if self.audited else float("nan")

    @property
    def low(self) -> float:
        """The lower end of the two-sided interval of 95 %."""
        return self.estimate.interval().low

    @property
    def high(self) -> float:
        """Its upper end."""
        return self.estimate.interval().high

    @property
    def method(self) -> str:
        """How the interval was made."""
        return self.estimate.method

    @property
    def passed(self) -> bool:
        """Whether the annotator's claims are good enough."""
        return self.verdict == "passed"

    @property
    def renewed(self) -> bool:
        """Whether another version of the annotator claims by now than at the last look."""
        return self.before[1] not in ("", self.annotator_version)

    def told(self) -> str:
        """Say it in a line."""
        if not self.audited:
            return f"{self.verdict}, no audits"
        found = f"{self.verdict}, right in {self.right} of {self.audited} audits, {self.accuracy:.1%}"
        return f"{found} [{self.low:.1%}, {self.high:.1%}]{'; ' if self.reason else ''}{self.reason}"


@dataclass(frozen=True, slots=True)
class State:
    """What the gate knows: the pairs as their audits have them today, and the looks so far."""

    reader: Reader
    scope: GateScope
    protocol: Protocol
    annotators: Sequence[str]
    pairs: tuple[Pair, ...]
    looks: int
    noise: float
    given: int = 0
    spending: Spending = NOTHING_SPENT


@dataclass(frozen=True, slots=True)
class Look:
    """One look of the gate at every pair; `spending` is what looks have spent by now."""

    number: int
    bar: float
    pairs: tuple[Pair, ...]
    spending: Spending


def state_of(
    reader: Reader,
    scope: GateScope,
    protocol: Protocol,
    annotators: Sequence[str],
    settings: GateSettings,
    spending: Spending = NOTHING_SPENT,
) -> State:
    """Read what the audits say of each annotator that claims something about an attribute."""
    versions = claimed_versions(reader, scope, annotators)
    last = {(str(row["attribute"]), str(row["annotator"])): row for row in newest_gates(reader, scope)}
    pairs = []
    given = 0
    for attribute in protocol.attributes:
        said = answered(reader, scope, attribute, settings.noise)
        given += int(said.answers.sum())
        for annotator in annotators:
            if version := versions.get((attribute.name, annotator)):
                pool = gate_pool(reader, scope, attribute.name, annotator)
                known = last.get((attribute.name, annotator), {})
                pairs.append(_pair(attribute, annotator, version, pool, said, known))
    looks = max((int(row["look"]) for row in last.values() if isinstance(row["look"], int)), default=0)
    return State(reader, scope, protocol, annotators, tuple(pairs), looks, settings.noise, given, spending)


def answered(reader: Reader, scope: GateScope, attribute: Attribute, noise: float) -> Answered:
    """Gather what people said about an attribute; values that its protocol no longer has are left out."""
    found = people_answers(reader, scope, attribute.name)
    items = found["item_id"].to_pylist()
    place = {item: number for number, item in enumerate(dict.fromkeys(items))}
    count, values = len(place), len(attribute.values)
    said_by = _evidence(attribute, noise)
    evidence, answers, valued, told = np.zeros((count, values)), *(np.zeros(count, np.int64) for _ in range(3))
    for item, value, commit in zip(items, found["value"].to_pylist(), found["commit_number"].to_pylist(), strict=True):
        where = place[item]
        answers[where] += 1
        told[where] = max(told[where], commit)
        if (number := attribute.number(value)) >= 0:
            evidence[where] += said_by(number)
            valued[where] += 1
    return Answered(place, evidence, answers, valued, told, attribute.multiple)


def _evidence(attribute: Attribute, noise: float) -> Callable[[int], Numbers]:
    """Return what an answer says of each value, by its number."""
    values = len(attribute.values)
    if attribute.multiple:
        return lambda number: list_evidence(number, values, noise)
    logarithms = np.log(symmetric_noise(values, noise))
    return lambda number: logarithms[:, number]


def proposed_values(pool: pa.Table, attribute: Attribute) -> Positions:
    """Return the number of each item's proposed value, -1 where there is none."""
    values = pool["value"].combine_chunks().dictionary_encode()
    numbers = [-1 if value is None else attribute.number(value) for value in values.dictionary.to_pylist()]
    codes = values.indices.fill_null(len(numbers)).to_numpy(zero_copy_only=False)
    proposed: Positions = np.array([*numbers, -1], np.int64)[codes]
    return proposed


def look(state: State, settings: GateSettings, *, now: bool = False) -> Look | None:
    """Tell what is known of every pair, if an audit or an annotator is new since it was told last, or a look is due.

    Only where a look is due, or `now`, may a pair pass: that spends a part of the error rate. Rechecks spend nothing.
    """
    audited = [pair for pair in state.pairs if pair.audited]
    waiting = [pair for pair in state.pairs if not pair.passed]
    due = state.spending.due(state.given, settings.budget) or (now and state.given > state.spending.given)
    judges = bool(audited) and due
    if not judges and not any((pair.audited, pair.annotator_version) != pair.before for pair in audited):
        return None
    level = state.spending.level(state.given, settings.error_rate, settings.budget) if judges and waiting else 0.0
    spending = state.spending.looked(state.given, level) if judges else state.spending
    planned = last_level(spending, settings.error_rate, settings.budget)
    verdicts = judge([pair.estimate for pair in waiting], settings.bar, level) if level else [None] * len(waiting)
    judged = {
        (pair.attribute, pair.annotator): _judged(pair, verdict, state.reader.commit_number, settings.bar, planned)
        for pair, verdict in zip(waiting, verdicts, strict=True)
    }
    kept = (judged.get((pair.attribute, pair.annotator)) or _rechecked(pair, settings.bar) for pair in state.pairs)
    return Look(state.looks + 1, settings.bar, tuple(kept), spending)


def _judged(pair: Pair, verdict: Verdict | None, commit: int, bar: float, planned: float) -> Pair:
    """Return a pair with its verdict, or as it waits for the next look."""
    if verdict is None:
        return replace(pair, passed_at=0, reason=_wanting(pair, bar, planned))
    if verdict.passed:
        return replace(pair, verdict="passed", level=verdict.level, bound=verdict.low, passed_at=commit, reason="")
    reason = _wanting(pair, bar, planned)
    return replace(pair, level=verdict.level, bound=verdict.low, passed_at=0, reason=reason)


def newest_version(found: Look | None, state: State) -> int:
    """Return the number of the newest look."""
    return found.number if found else state.looks


def _wanting(pair: Pair, bar: float, level: float) -> str:
    if not pair.audited:
        return ""
    needed = audits_needed(pair.accuracy, bar, max(level, 1e-6))
    if needed is None:
        return f"below the bar of {bar:.0%}"
    return f"passes with {needed:,} audits if it is as good as it looks"


def _rechecked(pair: Pair, bar: float) -> Pair:
    """Let a passed pair fall back where its rechecks say that it is no longer good enough.

    Of a new version, such as a learner's next checkpoint, the audits before the pass count once more: it has claimed
    something about the same items, and they trained nothing. The bound is told anew, of all audits so far.
    """
    pair = replace(pair, bound=pair.estimate.low(pair.level) if pair.level else pair.bound)
    count, wrong = len(pair.rechecks), len(pair.rechecks) - sum(pair.rechecks)
    if not has_drifted(np.array(pair.rechecks, bool), bar, pair.passed_with):
        kept = f"its new version was right in {count - wrong} of {count} audits" if pair.renewed else ""
        return replace(pair, reason=kept or (f"{count} rechecks since" if count else ""))
    what = "audits of its new version" if pair.renewed else "rechecks"
    reason = f"{wrong} of {count} {what} were wrong"
    return replace(pair, verdict="fell back", reason=reason, since=pair.passed_at, passed_at=0)


def _pair(
    attribute: Attribute, annotator: str, version: str, pool: pa.Table, said: Answered, known: Mapping[str, Any]
) -> Pair:
    since, passed_at = int(known.get("since") or 0), int(known.get("passed_at") or 0)
    proposed, where = proposed_values(pool, attribute), said.of(pool["item_id"].to_pylist())
    confidence = np.asarray(pool["confidence"].fill_null(0.0).to_numpy())
    reserved, drawn = (np.asarray(pool[name].to_numpy()) for name in ("reserved", "drawn"))
    counted = np.flatnonzero(drawn & (where >= 0) & (proposed >= 0))
    counted = counted[(said.valued[where[counted]] > 0) & (said.told[where[counted]] > since)]
    chance = said.chance_right(proposed[counted], where[counted])
    right = chance > 0.5
    estimate = accuracy(right, confidence[counted], confidence[reserved & (proposed >= 0)])
    order = np.argsort(said.told[where[counted]], kind="stable")
    last = str(known.get("annotator_version") or "")
    later = said.told[where[counted]][order] > (passed_at if last == version else 0)
    earlier = right[order][~later]
    passed_with = int(earlier.sum()), len(earlier)
    if last == version:
        later &= ~is_unsettled(chance, said.answers[where[counted]])[order]
    else:  # the audits are put to the new version, and it is held against what the one before it passed with
        passed_with = int(known.get("right") or 0), int(known.get("audited") or 0)
    return Pair(
        attribute.name,
        annotator,
        version,
        estimate,
        tuple(right[order][later].tolist()) if passed_at else (),
        since,
        passed_at,
        str(known.get("verdict") or "open"),
        str(known.get("reason") or ""),
        float(known.get("level") or 0.0),
        float(known.get("bound") or 0.0),
        (int(known.get("audited") or 0), last),
        passed_with if passed_at else (0, 0),
    )
