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

    return [step.run(project, progress) for step in (STEPS if steps is None else steps)]
