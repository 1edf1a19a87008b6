"""The walk: the list of steps, in order, once over what is new. It never imports Prefect."""

from collections.abc import Sequence

from curate.flows.project import Project
from curate.flows.steps.base import Step
from curate.types import Progress, StepReport


def run_sequence(project: Project, progress: Progress, steps: Sequence[Step] | None = None) -> list[StepReport]:
    """Run the steps in order and return their reports; an error ends the walk with everything before it committed.

    Cost: proportional to what is new, plus each step's look at its cursor.
    """
    from curate.flows.steps import STEPS

    return [run_step(project, step, progress) for step in (STEPS if steps is None else steps)]


def run_step(project: Project, step: Step, progress: Progress, *, idle: bool = True) -> StepReport:
    """Run one step: the one place where verbs, the walk, the watch and the Prefect flow do.

    Lineage is told of it where it is configured; with `idle` false, only where the step found something to do.
    """
    from curate.flows.lineage.observe import with_lineage

    return with_lineage(project, progress, step.name, lambda: step.run(project, progress), idle=idle)
