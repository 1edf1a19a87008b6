"""The step `train`: every `[[adapter]]` is fitted to the newest number of its snapshot, once."""

import time

from curate.flows.project import Project
from curate.flows.steps.base import Plan, step_report
from curate.flows.steps.trainees import trainee_of, waiting_number
from curate.types import Progress, StepReport


class TrainStep:
    """A fit begins anew with each number of the snapshot that it finds; a fit that was stopped goes on."""

    name = "train"

    def plan(self, project: Project, progress: Progress) -> Plan:
        """Count the adapters that wait for a fit; no model is loaded."""
        notes = []
        for settings in project.settings.adapter:
            with project.reader() as reader:
                waiting = waiting_number(reader, trainee_of(project, settings))
            if waiting:
                notes.append(f"{settings.name}: {settings.method} to {settings.snapshot} {waiting[0].number}")
        return Plan(self.name, len(notes), len(project.settings.adapter) - len(notes), notes=tuple(notes))

    def run(self, project: Project, progress: Progress) -> StepReport:
        """Fit adapter after adapter; checkpoint, curves, verdict on its promotion and cursor commit together.

        Memory: the base model, one forward pass with its gradients, the snapshot's tokens at four bytes each; the
        pixels of images lie on disk.

        Raises:
            BadDataError: a loss is not a number; the last good checkpoint of the fit is kept, and the items are named.
            ConfigurationError: a base model is not there, or does not fit the task, the method or the snapshot.
        """
        began = time.perf_counter()
        details: dict[str, dict[str, float]] = {}
        notes: list[str] = []
        for settings in project.settings.adapter:
            trainee = trainee_of(project, settings)
            with project.reader() as reader:
                waiting = waiting_number(reader, trainee)
            if waiting is None:
                continue
            from curate.flows.steps.fitting import fit

            figures, said = fit(project, progress, trainee, *waiting)
            notes += said
            if figures:
                details[f"{settings.name} {settings.snapshot} {waiting[0].number}"] = figures
        return step_report(self.name, began, done=len(details), notes=tuple(notes), details=details)
