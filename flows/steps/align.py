"""The step `align`: score every text against the target, so that a snapshot can take the best."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from curate.errors import BadDataError
from curate.flows.project import Project, parameters_hash
from curate.flows.steps.base import ItemWork, Outcome, Plan, count_pending, run_over_items, step_report
from curate.flows.steps.turns import with_turn
from curate.select.alignment import AlignmentSelector, Method
from curate.store.ingestion.files import list_files
from curate.store.ingestion.mapping import Mapping as FileMapping
from curate.store.ingestion.read import read_file
from curate.store.write import LedgerKey, rows
from curate.types import Progress, Selector, StepReport

_OFF = "no [align] target"
UNCONTROLLED = "align-uncontrolled"
"""The selector's name of the scores without length control, where it is on."""


class AlignStep:
    """ZIP-FIT's alignment of texts to the target of `[align]`."""

    name = "align"

    def plan(self, project: Project, progress: Progress) -> Plan:
        """Count the texts that have no score under the present target and compressor."""
        if not project.settings.align.target:
            return Plan(self.name, 0, 0, notes=(_OFF,))
        with project.reader() as reader:
            texts = reader.manifest.figures.get("items:text", 0)
        target = read_target(project)
        selector = _selector(project, target)
        others, notes = _others(project)
        _take_turns(project, [selector, *others])
        to_do = count_pending(project, _ledger(selector, others), ["text"])
        return Plan(self.name, to_do, texts - to_do, notes=(*target.notes, *notes))

    def run(self, project: Project, progress: Progress) -> StepReport:
        """Score the new texts batch by batch."""
        began = time.perf_counter()
        if not project.settings.align.target:
            return step_report(self.name, began, notes=(_OFF,))
        target = read_target(project)
        selector = _selector(project, target)
        others, notes = _others(project)
        selectors = [selector, *_without_control(project, target), *others]
        _take_turns(project, selectors)
        work = ItemWork(_ledger(selector, others), ["text"], lambda items: _score(selectors, items), rows=2_000)
        done, failed = run_over_items(project, progress, work)
        details = {"selector": selector.version}
        notes = (*target.notes, *notes)
        return step_report(self.name, began, done=done, failed=failed, notes=notes, details=details)


@dataclass(frozen=True, slots=True)
class Target:
    """The texts that the training set is for, and what a person should know of how they were read."""

    texts: Sequence[str]
    notes: tuple[str, ...] = ()


def read_target(project: Project) -> Target:
    """Return the texts of the target file or folder, with a note of what in it is unusable.

    Raises:
        BadDataError: it is missing or holds no text.
    """
    address = project.settings.align.target
    return read_target_at(str(project.path(address)), address)


def read_target_at(place: str, address: str = "") -> Target:
    """Return the texts of the file or folder at an absolute path, called `address` in messages; see `read_target`."""
    address = address or place
    mapping = FileMapping(source="target", modality="text", format="auto")
    try:
        files = list_files(place, mapping)
    except BadDataError as error:
        raise _no_target(f"the target {address!r} cannot be read: {error.message}") from error
    parts = [part for file in files for part in read_file(file, mapping)]
    texts = [text for part in parts for text in part.records["text"].to_pylist()]
    rejects = [row for part in parts for row in part.rejects.to_pylist()]
    if not texts:
        raise _no_target(f"the target {address!r} holds no text")
    return Target(texts, (_unusable(address, rejects),) if rejects else ())


def _unusable(address: str, rejects: Sequence[Mapping[str, str]]) -> str:
    first = rejects[0]
    return f"{len(rejects)} rows of the target {address!r} are unusable, first {first['locator']}: {first['reason']}"


def _no_target(message: str) -> BadDataError:
    hint = "put at least one text into it, or change target in [align]"
    return BadDataError(message, unchanged="no score was written", hint=hint)


def _selector(project: Project, target: Target, called: str = "", *, controlled: bool = True) -> AlignmentSelector:
    """Return what scores against a target as `[align]` has it; `called` is the target's address."""
    settings = project.settings.align
    control = settings.length_control if controlled else "none"
    method = Method(settings.compressor, settings.reduce, settings.top_m, control, settings.sampled or None)
    return AlignmentSelector(target.texts, method, target=called or settings.target)


def _without_control(project: Project, target: Target) -> list[AlignmentSelector]:
    """Return what scores without length control beside a selector that has it, so that the report can show both."""
    if project.settings.align.length_control == "none":
        return []
    selector = _selector(project, target, controlled=False)
    selector.name = UNCONTROLLED
    return [selector]


def _others(project: Project) -> tuple[list[AlignmentSelector], tuple[str, ...]]:
    """Return what scores against each further target, named `align:NAME`, and notes of what in them is unusable."""
    selectors: list[AlignmentSelector] = []
    notes: list[str] = []
    for more in project.settings.align.more:
        target = read_target_at(str(project.path(more.target)), more.target)
        selector = _selector(project, target, more.target)
        selector.name = f"{AlignStep.name}:{more.name}"
        selectors.append(selector)
        notes += target.notes
    return selectors, tuple(notes)


def _take_turns(project: Project, selectors: Sequence[AlignmentSelector]) -> None:
    """Give selectors whose settings went and came back versions of their own, so that they score again."""
    with project.reader() as reader:
        for selector in selectors:
            selector.version = with_turn(reader, selector.name, selector.version)


def _ledger(selector: Selector, others: Sequence[Selector]) -> LedgerKey:
    versions = [text for one in (selector, *others) for text in (one.name, one.version)]
    return LedgerKey("align", "1", parameters_hash(versions))


def _score(selectors: Sequence[Selector], items: pa.Table) -> Outcome:
    tables = [
        {
            "item_id": items["item_id"],
            "selector": selector.name,
            "selector_version": selector.version,
            "target": selector.target,
            "score": selector.score(items),
        }
        for selector in selectors
    ]
    return Outcome({"scores": pa.concat_tables(rows("scores", table, len(items)) for table in tables)})
