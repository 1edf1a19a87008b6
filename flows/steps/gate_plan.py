"""How many audits it takes to decide: the gate's plan, before anybody is asked."""

from dataclasses import dataclass

from curate.annotate.gate import audits_needed
from curate.annotate.looks import last_level
from curate.flows.project import Project
from curate.flows.steps.annotators import project_protocol
from curate.flows.steps.gate import gate_scope, judged_annotators, spending_so_far
from curate.flows.steps.gate_looks import state_of

_SUPPOSED = (0.02, 0.05, 0.1)
"""So far above the bar an annotator is supposed to be where nothing is known of it."""


@dataclass(frozen=True, slots=True)
class Need:
    """What an annotator needs to pass on an attribute if its accuracy is `supposed`; `needed` is None for never."""

    attribute: str
    annotator: str
    audited: int
    right: int
    accuracy: float
    supposed: float
    needed: int | None


def audits_to_decide(project: Project) -> list[Need]:
    """Return the audits that each attribute and annotator needs in all; where none were audited, for a few accuracies.

    The level is that of the look that audits are planned for, as if every attribute passed with this one (Benjamini and
    Hochberg).
    """
    settings = project.settings.gate
    with project.reader() as reader:
        state = state_of(reader, gate_scope(project), project_protocol(project), judged_annotators(project), settings)
        level = last_level(spending_so_far(reader, project), settings.error_rate, settings.budget)
    audited = {(pair.attribute, pair.annotator): pair for pair in state.pairs if pair.audited}
    needs = [
        Need(*key, pair.audited, pair.right, pair.accuracy, pair.accuracy, _needed(pair.accuracy, settings.bar, level))
        for key, pair in audited.items()
    ]
    known = {attribute for attribute, _ in audited}
    for attribute in (entry.name for entry in project.settings.protocol.attribute if entry.name not in known):
        for above in _SUPPOSED:
            supposed = min(settings.bar + above, 0.999)
            needs.append(Need(attribute, "", 0, 0, 0.0, supposed, _needed(supposed, settings.bar, level)))
    return needs


def _needed(accuracy: float, bar: float, level: float) -> int | None:
    return audits_needed(accuracy, bar, level)
