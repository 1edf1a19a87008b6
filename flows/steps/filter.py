"""The step `filter`: look through items by rules, and decide what becomes of those that they object to."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from curate.flows.project import Project, parameters_hash
from curate.flows.steps.base import ItemWork, Outcome, Plan, count_pending, run_over_items, step_report
from curate.flows.steps.filter_rules import ItemRule, enabled_rules
from curate.store.reader import Reader
from curate.store.work import cursor, decided_items
from curate.store.write import CursorMove, LedgerKey, rows
from curate.types import MODALITIES, Action, Modality, Progress, StepReport

_STEP, _VERSION = "filter", "1"
_OFF = "every rule is switched off in [filter]"
_NOTHING_NOW = "nothing is found in it any more"
_STRICTNESS: tuple[Action, ...] = ("keep", "query", "drop")
_ROWS, _IMAGE_ROWS = 1_000, 100


class FilterStep:
    """Items by the rules of `[filter]`: what one finds becomes a decision, whose reason names kinds and no content.

    An item in which nothing is found gets no decision. Other rules, parameters or libraries judge every item anew, and
    take back what is found no more; so does switching all of them off. Memory: one batch, of about 100 items
    where images are among them.
    """

    name = _STEP

    def plan(self, project: Project, progress: Progress) -> Plan:
        """Count the items that the rules have not looked through."""
        with project.reader() as reader:
            rules = _Rules.now(reader, project)
            figures = reader.manifest.figures
        if rules is None:
            return Plan(self.name, 0, 0, notes=(_OFF,))
        items = sum(figures.get(f"items:{modality}", 0) for modality in rules.modalities)
        to_do = count_pending(project, rules.ledger, rules.modalities)
        return Plan(self.name, to_do, items - to_do, notes=rules.notes)

    def run(self, project: Project, progress: Progress) -> StepReport:
        """Look through the new items batch by batch."""
        began = time.perf_counter()
        with project.reader() as reader:
            rules = _Rules.now(reader, project)
        if rules is None:
            return step_report(self.name, began, notes=(_OFF,))
        tally = _Tally()
        most = _IMAGE_ROWS if "image" in rules.modalities else _ROWS
        work = ItemWork(rules.ledger, rules.modalities, _compute(project, rules, tally), most, finish=tally.settle)
        done, failed = run_over_items(project, progress, work)
        details = dict(sorted(tally.settled.items()))
        return step_report(self.name, began, done=done, failed=failed, notes=rules.notes, details=details)


@dataclass(slots=True)
class _Tally:
    """How many items this run decided how; `pending` is what is not committed yet."""

    settled: Counter[str] = field(default_factory=Counter)
    pending: Counter[str] = field(default_factory=Counter)

    def settle(self) -> None:
        self.settled.update(self.pending)


@dataclass(frozen=True, slots=True)
class _Rules:
    """The rules in force, how many sets of rules there were before and with this one, and whose items they look at.

    Who goes back to earlier settings has everything judged once more, as with any others. Modalities that a rule once
    looked at stay, so that its decisions are taken back when it is gone.
    """

    rules: Sequence[ItemRule]
    number: int
    modalities: Sequence[Modality]

    @classmethod
    def now(cls, reader: Reader, project: Project) -> "_Rules | None":
        """Return the rules of the project, None where all are off and none has ever been on."""
        rules = enabled_rules(project)
        number, version, before = (*cursor(reader, _STEP).split(" "), "", "")[:3]
        once = (before or "text").split(",") if number else []
        looked_at = {*once, *(rule.modality for rule in rules)}
        modalities = [modality for modality in MODALITIES if modality in looked_at]
        return cls(rules, int(number or 0) + (version != _version(rules)), modalities) if rules or number else None

    @property
    def ledger(self) -> LedgerKey:
        position = f"{self.number} {_version(self.rules)}"
        looked_at = "" if self.modalities == ["text"] else f" {','.join(self.modalities)}"
        return LedgerKey(_STEP, _VERSION, position + looked_at)

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(note for rule in self.rules for note in rule.notes)

    def guard(self, reader: Reader) -> CursorMove:
        """Put the rules in force, and refuse a batch if meanwhile others came."""
        return CursorMove(_STEP, "", cursor(reader, _STEP), self.ledger.parameters)


def _version(rules: Sequence[ItemRule]) -> str:
    return parameters_hash([[rule.name, rule.version, rule.action] for rule in rules])


def _compute(project: Project, rules: _Rules, tally: _Tally) -> Callable[[pa.Table], Outcome]:
    def compute(items: pa.Table) -> Outcome:
        ids = items["item_id"].to_pylist()
        found = _judge(rules.rules, items)
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


def _judge(rules: Sequence[ItemRule], items: pa.Table) -> list[tuple[Action, str]]:
    """Return each item's action, the strictest of the rules that object to it, and the reasons of all of them."""
    reasons: list[list[str]] = [[] for _ in range(len(items))]
    actions: list[Action] = ["keep"] * len(items)
    for rule in rules:
        places = [place for place, modality in enumerate(items["modality"].to_pylist()) if modality == rule.modality]
        for place, why in zip(places, rule.reasons(items.take(places)) if places else [], strict=True):
            if why:
                reasons[place].append(why)
                actions[place] = max(actions[place], rule.action, key=_STRICTNESS.index)
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
