"""The step `filter`: look through texts by rules, and decide what becomes of those in which they find something."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from curate.flows.project import Project, parameters_hash
from curate.flows.steps.base import ItemWork, Outcome, Plan, count_pending, run_over_items, step_report
from curate.select.filtering import FilterRule, reason
from curate.settings import FilterSettings
from curate.store.reader import Reader
from curate.store.work import cursor, decided_items
from curate.store.write import CursorMove, LedgerKey, rows
from curate.types import Action, Progress, StepReport

_STEP, _VERSION = "filter", "1"
_OFF = "every rule is switched off in [filter]"
_NOTHING_NOW = "nothing is found in it any more"
_STRICTNESS: tuple[Action, ...] = ("keep", "query", "drop")
_ROWS = 1_000


class FilterStep:
    """Texts by the rules of `[filter]`: what one finds becomes a decision, whose reason names kinds and no content.

    An item in which nothing is found gets no decision. Other rules, parameters or libraries judge every text anew, and
    take back what is found no more; so does switching all of them off. Memory: one batch.
    """

    name = _STEP

    def plan(self, project: Project, progress: Progress) -> Plan:
        """Count the texts that the rules have not looked through."""
        with project.reader() as reader:
            rules = _Rules.now(reader, project.settings.filter)
            texts = reader.manifest.figures.get("items:text", 0)
        if rules is None:
            return Plan(self.name, 0, 0, notes=(_OFF,))
        to_do = count_pending(project, rules.ledger, ["text"])
        return Plan(self.name, to_do, texts - to_do)

    def run(self, project: Project, progress: Progress) -> StepReport:
        """Look through the new texts batch by batch."""
        began = time.perf_counter()
        with project.reader() as reader:
            rules = _Rules.now(reader, project.settings.filter)
        if rules is None:
            return step_report(self.name, began, notes=(_OFF,))
        tally = _Tally()
        work = ItemWork(rules.ledger, ["text"], _compute(project, rules, tally), _ROWS, finish=tally.settle)
        done, failed = run_over_items(project, progress, work)
        return step_report(self.name, began, done=done, failed=failed, details=dict(sorted(tally.settled.items())))


@dataclass(slots=True)
class _Tally:
    """How many items this run decided how; `pending` is what is not committed yet."""

    settled: Counter[str] = field(default_factory=Counter)
    pending: Counter[str] = field(default_factory=Counter)

    def settle(self) -> None:
        self.settled.update(self.pending)


@dataclass(frozen=True, slots=True)
class _Rules:
    """The rules in force with the action of each, and how many sets of rules there were before and with this one.

    Who goes back to earlier settings has everything judged once more, as with any others.
    """

    rules: Sequence[tuple[FilterRule, Action]]
    number: int

    @classmethod
    def now(cls, reader: Reader, settings: FilterSettings) -> "_Rules | None":
        """Return the rules of the settings, None where all are off and none has ever been on."""
        rules = _enabled(settings)
        number, _, version = cursor(reader, _STEP).partition(" ")
        return cls(rules, int(number or 0) + (version != _version(rules))) if rules or number else None

    @property
    def ledger(self) -> LedgerKey:
        return LedgerKey(_STEP, _VERSION, f"{self.number} {_version(self.rules)}")

    def guard(self, reader: Reader) -> CursorMove:
        """Put the rules in force, and refuse a batch if meanwhile others came."""
        return CursorMove(_STEP, "", cursor(reader, _STEP), self.ledger.parameters)


def _enabled(settings: FilterSettings) -> list[tuple[FilterRule, Action]]:
    rules: list[tuple[FilterRule, Action]] = []
    if (personal := settings.personal_data).enabled:
        from curate.select.privacy.personal_data import PersonalData

        rule = PersonalData(personal.kinds, regions=personal.regions, allow=personal.allow)
        rules.append((rule, personal.action))
    if (secrets := settings.secrets).enabled:
        from curate.select.privacy.credentials import Secrets

        rules.append((Secrets(secrets.kinds, allow=secrets.allow), secrets.action))
    return rules


def _version(rules: Sequence[tuple[FilterRule, Action]]) -> str:
    return parameters_hash([[rule.name, rule.version, action] for rule, action in rules])


def _compute(project: Project, rules: _Rules, tally: _Tally) -> Callable[[pa.Table], Outcome]:
    def compute(items: pa.Table) -> Outcome:
        ids = items["item_id"].to_pylist()
        found = _judge(rules.rules, items["text"].to_pylist())
        with project.reader() as reader:
            before = decided_items(reader, _STEP, ids)
            guard = rules.guard(reader)
        decisions = [
            (item_id, action, why)
            for item_id, (action, why) in zip(ids, found, strict=True)
            if (action, why or _NOTHING_NOW) != before.get(item_id, ("keep", _NOTHING_NOW))
        ]
        tally.pending = Counter(_counted(action, why) for _, action, why in decisions)
        return Outcome({"decisions": _rows(decisions)}, guards=[guard])

    return compute


def _judge(rules: Sequence[tuple[FilterRule, Action]], texts: Sequence[str]) -> list[tuple[Action, str]]:
    """Return each text's action, the strictest of the rules that found something, and the reasons of all of them."""
    reasons: list[list[str]] = [[] for _ in texts]
    actions: list[Action] = ["keep"] * len(texts)
    for rule, action in rules:
        for place, found in enumerate(rule.findings(texts)):
            if found:
                reasons[place].append(reason(rule, found))
                actions[place] = max(actions[place], action, key=_STRICTNESS.index)
    return [(action, "; ".join(why)) for action, why in zip(actions, reasons, strict=True)]


def _counted(action: Action, why: str) -> str:
    return f"{action}: {why or _NOTHING_NOW}"


def _rows(decisions: Sequence[tuple[str, Action, str]]) -> pa.Table:
    columns = {
        "item_id": [item_id for item_id, _, _ in decisions],
        "step": _STEP,
        "action": [action for _, action, _ in decisions],
        "reason": [why or _NOTHING_NOW for _, _, why in decisions],
    }
    return rows("decisions", columns, len(decisions))
