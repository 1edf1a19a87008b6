"""What learners share that turn to one of several tasks: the task is given, or inferred from the item."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from curate.learners.base import BaseLearner
from curate.learners.numerics import Features, Floats


@dataclass(frozen=True, slots=True)
class TaskSize:
    """What a task adds by one way of counting: bytes, and the share of the frozen network's."""

    bytes: int
    share: float


class TaskLearner(BaseLearner):
    """A learner whose increments belong to tasks, none of which changes another; `predict` infers an item's task."""

    @property
    @abstractmethod
    def dimension(self) -> int:
        """How many numbers an item is given as."""

    @property
    @abstractmethod
    def task_names(self) -> Sequence[str]:
        """The tasks that were taught, the first first."""

    @abstractmethod
    def begin(self, task: str) -> None:
        """Let what is learned from now on belong to this task, be it new or not."""

    @abstractmethod
    def predict_task(self, features: Features, task: str) -> Floats:
        """Return probabilities as `predict` does, for items whose task is known."""

    @abstractmethod
    def tasks_of(self, features: Features) -> list[str]:
        """Infer the task of each item."""

    @abstractmethod
    def task_sizes(self, task: str) -> Mapping[str, TaskSize]:
        """Return what a task adds, by ways of counting."""

    @abstractmethod
    def anchor_bytes(self) -> int:
        """Return what telling the tasks apart takes."""
