"""Adapters as the project names them: what makes one another, where its rows are found, and what it waits for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from curate.errors import ConfigurationError
from curate.flows.project import Project, parameters_hash
from curate.learners.adapters.base_models import BaseModel
from curate.learners.adapters.methods import Method, method_named
from curate.learners.adapters.parameters import FitParameters
from curate.learners.adapters.tasks import Task
from curate.settings import AdapterSettings
from curate.store.promotions import Served
from curate.store.reader import Reader
from curate.store.snapshots import Numbered, latest_snapshot
from curate.store.work import cursor

_FORMAT = 1
_TASKS: Mapping[str, Task] = {
    "causal-language-model": Task.CAUSAL,
    "text-classification": Task.CLASSIFY,
    "image-classification": Task.IMAGES,
}


@dataclass(frozen=True, slots=True)
class Trainee:
    """An `[[adapter]]` with its base model; another base, method, option or parameter makes another one."""

    settings: AdapterSettings
    base: BaseModel
    method: Method
    parameters: FitParameters

    @property
    def name(self) -> str:
        """The name that its rows bear where learners have theirs."""
        return self.settings.learner

    @property
    def task(self) -> Task:
        """What the network does."""
        return _TASKS[self.settings.task]

    @property
    def version(self) -> str:
        """What of its settings decides how the weights come out."""
        return f"{self.settings.method}/{_FORMAT}+{parameters_hash(self.settings.deciding)[:8]}"

    @property
    def served(self) -> Served:
        """What its checkpoints and promotions are found by."""
        return Served(self.name, self.version, f"base+{self.base.version}", self.settings.snapshot)

    @property
    def consumer(self) -> str:
        """The name of the cursor that stands at the last number that it was fitted to."""
        return f"train/{self.settings.name}/{parameters_hash(self.served.key)}"

    def fit_name(self, snapshot: Numbered) -> str:
        """The name of the folder of one fit: what decides anything about it is in it."""
        return f"{self.settings.name}-{parameters_hash([*self.served.key, snapshot.number, snapshot.content_hash])}"

    def described(self) -> dict[str, Any]:
        """Return what a checkpoint must tell for the adapter to be put back into its base model."""
        return {
            "task": self.settings.task,
            "options": dict(self.settings.options),
            "length": self.settings.length,
            "seed": self.settings.seed,
        }


def trainee_of(project: Project, settings: AdapterSettings) -> Trainee:
    """Return an `[[adapter]]` as it is. Cost: its base model's files are read once in a process, for their hash.

    Raises:
        UnknownNameError: there is no such method or parameter.
        ConfigurationError: a parameter does not fit, the base model is not there, or its weights are pickles.
    """
    method = method_named(settings.method)
    parameters = FitParameters.from_settings(settings.parameters, seed=settings.seed)
    try:
        return Trainee(settings, BaseModel.at(project.path(settings.base)), method, parameters)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"adapter {settings.name!r}: {error.message}", hint=error.hint, unchanged=error.unchanged
        ) from error


def waiting_number(reader: Reader, trainee: Trainee) -> tuple[Numbered, str] | None:
    """Return the newest number of the snapshot, and where the cursor stands; None where it was fitted to that."""
    found, position = latest_snapshot(reader, trainee.settings.snapshot), cursor(reader, trainee.consumer)
    if found is None or found.number <= int(position or 0):
        return None
    return found, position
