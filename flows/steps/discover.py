"""The step `discover`: which subpopulations the items have, and who belongs to which."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from curate.annotate.discovery.discover import FEWEST, discover, too_few
from curate.annotate.discovery.parameters import plan_discovery
from curate.annotate.discovery.structure import Structure
from curate.errors import BudgetSpentError, RefusedRequestError, ServiceError
from curate.flows.project import Project, parameters_hash
from curate.flows.steps.base import ItemWork, Outcome, Plan, count_pending, run_over_items, step_report
from curate.flows.steps.discover_assign import (
    MODEL,
    asked_of_model,
    classified,
    discover_ledger,
    fit_surrogates,
    membership_tables,
    read_captions,
)
from curate.flows.steps.discover_edit import adopt, keep_file
from curate.flows.steps.discover_figures import agreement_notes, agreement_rows, figures
from curate.flows.steps.discover_gaps import write_requests
from curate.flows.steps.discover_model import Asked, discovery_parameters, empty_structure
from curate.learners.encoders.factory import encoder_named
from curate.store.subpopulations import newest_structure, sample_items, structure_rows
from curate.store.work import batches, count_settled, cursor, pending_sample
from curate.store.write import CursorMove, LedgerKey, Write
from curate.types import Modality, Progress, StepReport

CONSUMER = "discover"
BATCH_ROWS = 64
_OFF = "enabled = false in [discover]"


@dataclass(slots=True)
class _Work:
    """What one run has done so far."""

    done: int = 0
    failed: int = 0
    notes: list[str] = field(default_factory=list)


class DiscoverStep:
    """Discovers once for each setting of its parameters; after that, new items are assigned to what was found.

    With `edit`, the structure's file is read back first: what was only renamed or merged there is not asked again.
    Memory: the texts of `sample` items, then of a batch of 64; features of the items that the model assigned.
    """

    name = "discover"

    def __init__(self, *, edit: bool = False) -> None:
        self._edit = edit

    def plan(self, project: Project, progress: Progress) -> Plan:
        """Count the items to assign, and bound the calls and tokens, before the first one."""
        settings = project.settings.discover
        if not settings.enabled:
            return Plan(self.name, 0, 0, notes=(_OFF,))
        parameters = discovery_parameters(settings)
        known, fresh = _known(project), _is_fresh(project)
        with project.reader() as reader:
            texts = [one.text for one in read_captions(reader, project, _sample(project, settings.sample))]
            version = known.version if known and not fresh else ""
            done = count_settled(reader, _ledger(project, version)) if version else 0
        pending = count_pending(project, _ledger(project, version), modalities(project))
        planned = plan_discovery(parameters, texts, pending)
        stages = planned.stages if fresh else planned.stages[-1:]
        prompts, answers = (
            sum(getattr(one, name) for one in stages) for name in ("prompt_tokens", "completion_tokens")
        )
        cost = (prompts * settings.prompt_price + answers * settings.completion_price) / 1e6
        calls = sum(stage.calls for stage in stages)
        notes = tuple(f"{one.name}: at most {one.calls} calls" for one in stages if one.calls)
        return Plan(self.name, pending, done, calls, prompts + answers, cost, notes)

    def run(self, project: Project, progress: Progress) -> StepReport:
        """Discover where there is something to, then assign what is new; every answer is kept as it comes."""
        began = time.perf_counter()
        if not project.settings.discover.enabled:
            return step_report(self.name, began, notes=(_OFF,))
        work = _Work(notes=adopt(project) if self._edit else [])
        spent, unreached = False, 0
        with Asked(project) as asked:
            try:
                structure = _structure(project, asked, work)
                if structure is not None and structure.dimensions:
                    _assign(project, progress, asked, structure, work)
            except BudgetSpentError as error:
                spent = True
                work.notes.append(f"{error.message}; {error.hint}")
            except (ServiceError, RefusedRequestError) as error:
                work.notes.append(f"{error.message}; {error.hint}".rstrip("; "))
                unreached = 1
            work.notes += asked.account()
        work.notes += write_requests(project)
        done, failed = work.done, work.failed + unreached
        found = {"done": done, "failed": failed, "unreached": unreached, "spent": spent}
        return step_report(self.name, began, notes=tuple(work.notes), details=figures(project), **found)


def modalities(project: Project) -> tuple[Modality, ...]:
    """Return what can be discovered in: texts, and images where an attribute holds their captions."""
    return ("text", "image") if project.settings.discover.caption else ("text",)


def _structure(project: Project, asked: Asked, work: _Work) -> Structure | None:
    """Return the structure that counts; discovers a new one where the parameters are new."""
    known = _known(project)
    if not _is_fresh(project):
        return known
    settings = project.settings.discover
    with project.reader() as reader:
        captions = read_captions(reader, project, _sample(project, settings.sample))
        before = cursor(reader, CONSUMER, settings.name)
    if len(captions) < FEWEST:
        work.notes.append(too_few(len(captions)))
        return known
    found = discover(captions, asked.analyst, discovery_parameters(settings), known or empty_structure(settings))
    tables = {"dimensions": structure_rows(found.as_mapping(), found.version), "requests": asked.drained()}
    move = CursorMove(CONSUMER, settings.name, before, _identity(project))
    project.store.commit(Write("discover", tables, [move]))
    asked.forget_committed()
    work.done += 1
    work.notes += [asked.description] if asked.description else []
    work.notes += [f"{one.name}: {', '.join(one.attributes)}" for one in found.dimensions]
    work.notes += keep_file(project, found, known) if found.dimensions else ["no dimension was found"]
    return found


def _assign(project: Project, progress: Progress, asked: Asked, structure: Structure, work: _Work) -> None:
    """Let the model assign its sample, then the classifiers the rest."""
    settings, parameters = project.settings.discover, discovery_parameters(project.settings.discover)
    ledger = _ledger(project, structure.version)
    if settings.assigned:
        with project.reader() as reader:
            sample = pending_sample(reader, ledger, modalities(project), settings.assigned)
        for batch in batches(sample, BATCH_ROWS):
            with project.reader() as reader:
                captions = read_captions(reader, project, batch["item_id"].to_pylist())
            decided = asked_of_model(captions, structure, asked.analyst, parameters, MODEL)
            tables = membership_tables(structure, captions, decided) | {"requests": asked.drained()}
            project.store.commit(Write("discover", tables, (), ledger, batch["item_id"].to_pylist()))
            asked.forget_committed()
            work.done, work.failed = work.done + len(batch), work.failed + len(decided.failed)
    if not count_pending(project, ledger, modalities(project)):
        return
    with project.reader() as reader:
        surrogates = fit_surrogates(reader, project, structure) if settings.assigned else {}
    project.store.commit(Write("discover", {"metrics": agreement_rows(structure, surrogates)}))
    work.notes += agreement_notes(surrogates)
    encoder = encoder_named(settings.encoder, project.folder)

    def compute(items: pa.Table) -> Outcome:
        with project.reader() as reader:
            captions = read_captions(reader, project, items["item_id"].to_pylist())
        decided = classified(captions, structure, surrogates, encoder, asked.analyst, parameters)
        tables = membership_tables(structure, captions, decided) | {"requests": asked.drained()}
        return Outcome(tables, len(decided.failed))

    batch_work = ItemWork(ledger, modalities(project), compute, BATCH_ROWS, BATCH_ROWS, asked.forget_committed)
    done, failed = run_over_items(project, progress, batch_work)
    work.done, work.failed = work.done + done, work.failed + failed


def _known(project: Project) -> Structure | None:
    with project.reader() as reader:
        found = newest_structure(reader, project.settings.discover.name)
    return Structure.from_mapping(found) if found else None


def _is_fresh(project: Project) -> bool:
    """Whether nothing was discovered with these parameters yet."""
    with project.reader() as reader:
        return cursor(reader, CONSUMER, project.settings.discover.name) != _identity(project)


def _identity(project: Project) -> str:
    settings = project.settings.discover
    parameters = discovery_parameters(settings)
    told = {name: getattr(parameters, name) for name in parameters.__dataclass_fields__}
    return parameters_hash([told, settings.model, settings.sample, settings.of_class, settings.caption])


def _ledger(project: Project, version: str) -> LedgerKey:
    return discover_ledger(project.settings.discover.name, version)


def _sample(project: Project, count: int) -> Sequence[str]:
    with project.reader() as reader:
        return sample_items(reader, modalities(project), project.settings.discover.caption, count)
