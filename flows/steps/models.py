"""Taking a fitted adapter out of the store: in the layout of peft, or merged into its base model."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from curate.errors import ConfigurationError, UsageError
from curate.flows.project import Project
from curate.flows.steps.base import step_report
from curate.flows.steps.trainees import Trainee, trainee_of
from curate.settings import ADAPTER_PREFIX
from curate.settings.adapting import named_adapter
from curate.store.checkpoints import Checkpoint, load_checkpoint
from curate.store.promotions import find_checkpoint, served_checkpoint
from curate.types import Progress, StepReport


def export_model(
    project: Project, progress: Progress, name: str, folder: Path, checkpoint: str = "", *, dry: bool = False
) -> StepReport:
    """Write an adapter's served checkpoint, or a named one, as `peft` keeps it: its own loader reads it.

    Raises:
        UnknownNameError: the project has no adapter of this name.
        UsageError: there is no such checkpoint, or the folder is not empty.
        ConfigurationError: the base model is another one now.
    """
    from curate.learners.adapters.export import export_adapter

    return _taken_out(project, "models export", name, folder, checkpoint, lambda one, at: export_adapter(one, at), dry)


def merge_model(
    project: Project, progress: Progress, name: str, folder: Path, checkpoint: str = "", *, dry: bool = False
) -> StepReport:
    """Write the base model with an adapter worked into its weights, as transformers keeps it, with the tokenizer.

    Raises:
        UnknownNameError: the project has no adapter of this name.
        UsageError: there is no such checkpoint, or the folder is not empty.
        ConfigurationError: the base model is another one now, or the method cannot be merged.
    """
    from curate.learners.adapters.export import merge_adapter

    trainee = _trainee(project, name)
    return _taken_out(
        project, "models merge", name, folder, checkpoint, lambda one, at: merge_adapter(one, at, trainee.base), dry
    )


def _taken_out(
    project: Project,
    step: str,
    name: str,
    folder: Path,
    checkpoint: str,
    write: Callable[[Any, Path], Path],
    dry: bool,
) -> StepReport:
    from curate.learners.adapters.classifier import with_adapter

    began = time.perf_counter()
    trainee = _trainee(project, name)
    found = _chosen(project, trainee, checkpoint)
    details = {"adapter": trainee.settings.name, "checkpoint": found.name, "number": found.number}
    notes = (f"{trainee.settings.name}: {found.name[:12]} (after {trainee.settings.snapshot} {found.number})",)
    if not dry:
        state = load_checkpoint(project.store_folder, found.name)
        write(with_adapter(trainee.base, trainee.method, trainee.task, state).model, folder)
    return step_report(step, began, done=int(not dry), notes=notes, details={**details, "folder": str(folder)})


def _trainee(project: Project, name: str) -> Trainee:
    if not name.startswith(ADAPTER_PREFIX) and name in [one.name for one in project.settings.learner]:
        raise ConfigurationError(
            f"{name!r} is a learner, which no other program loads", hint="name an adapter: adapter:NAME"
        )
    return trainee_of(project, named_adapter(project.settings, name.removeprefix(ADAPTER_PREFIX)))


def _chosen(project: Project, trainee: Trainee, checkpoint: str) -> Checkpoint:
    with project.reader() as reader:
        if checkpoint:
            return find_checkpoint(reader, trainee.served, checkpoint)
        found = served_checkpoint(reader, trainee.served)
    if found is None:
        raise UsageError(
            f"adapter {trainee.settings.name!r}, as it is now, has no checkpoint yet",
            hint="curate train, curate models",
        )
    return found
