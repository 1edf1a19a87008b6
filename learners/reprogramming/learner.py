"""Channel-wise lightweight reprogramming as a continual learner."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from curate.errors import UnknownNameError, UsageError
from curate.learners.inputs import checked_features
from curate.learners.numerics import Array, Features, Floats, Integers
from curate.learners.reprogramming.anchors import TaskAnchors
from curate.learners.reprogramming.network import Cost, FrozenNetwork, cost_of
from curate.learners.reprogramming.parameters import ReprogrammingParameters
from curate.learners.reprogramming.tasks import Lesson, Task
from curate.learners.task_learner import TaskLearner, TaskSize


class ChannelReprogramming(TaskLearner):
    """Turns one frozen network to each of many tasks: a 3 by 3 kernel behind each channel, normalisations, and a head.

    What is learned belongs to the task that was begun last, and no task touches another: forgetting between tasks is
    exactly zero, whatever their order. Within a task a later increment overwrites as ordinary descent does.
    `predict` infers each item's task from anchors (`TaskAnchors`), and gives no probability to the classes of other
    tasks; `predict_task` is told the task. A class has one name in all tasks: name it apart ("digits/3") where it is
    not the same class.

    Features are pixels in [0, 1], channel by channel, as many as the network's `dimension`. The state holds the tasks
    and the anchors, and not the network, whose hash it is bound to.
    Source: Ge et al., ICCV 2023, arXiv 2307.11386, and the authors' released code, which picks the best pass on the
    test split; here it is the last. Costs a forward and a backward pass of each item and pass, and two forward passes
    of each predicted item (one where the task is given).
    """

    name = "channel-reprogramming"

    def __init__(
        self, network: FrozenNetwork, parameters: ReprogrammingParameters | None = None, *, tasks_by: str = ""
    ) -> None:
        """`tasks_by` names what an item's task is told by, where whoever teaches has a rule for it: part of the state.

        It changes nothing that is learned.
        """
        self.parameters = parameters or ReprogrammingParameters()
        super().__init__(self.parameters, bound_to={"network": network.identity} | _named(tasks_by))
        self._network = network
        self._dimension = network.dimension
        self._tasks: dict[str, Task] = {}
        self._anchors = TaskAnchors(network)
        self._current = "all"

    @property
    def dimension(self) -> int:
        """How many pixels an image has in all its channels."""
        return self._network.dimension

    @property
    def task_names(self) -> Sequence[str]:
        """The tasks that were taught, the first first."""
        return tuple(self._tasks)

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The tasks that were taught, by their names, the first first."""
        return dict(self._tasks)

    def begin(self, task: str) -> None:
        """Let what is learned from now on belong to this task, be it new or not; without it, to the task "all"."""
        self._current = task

    def cost(self, task: str) -> Cost:
        """Return what a task adds to the network.

        Raises:
            UnknownNameError: it was never taught.
        """
        return cost_of(self._network, len(self._task(task).columns))

    def task_sizes(self, task: str) -> Mapping[str, TaskSize]:
        """Return what a task adds, counted in the four ways of `Cost`.

        Raises:
            UnknownNameError: it was never taught.
        """
        cost = self.cost(task)
        shares = cost.shares()
        return {way: TaskSize(count, shares[way]) for way, count in cost.bytes().items()}

    def anchor_bytes(self) -> int:
        """Return what telling the tasks apart takes: a mean for each task, and one scatter for all."""
        return self._anchors.state().nbytes

    def predict_task(self, features: Features, task: str) -> Floats:
        """Return probabilities as `predict` does, for items whose task is known.

        Raises:
            UsageError: nothing was learned yet.
            UnknownNameError: the task was never taught.
            BadDataError: features that are not finite or not as many as the network's pixels.
        """
        features = checked_features(features, self._dimension)
        return self._task(task).probabilities(self._network, features, len(self.classes))

    def tasks_of(self, features: Features) -> list[str]:
        """Infer the task of each item.

        Raises:
            UsageError: nothing was learned yet.
            BadDataError: features that are not finite or not as many as the network's pixels.
        """
        if not self._tasks:
            raise UsageError(f"the learner {self.name} has learned nothing yet", hint="learn an increment first")
        return self._anchors.tasks_of(checked_features(features, self._dimension))

    def replace_task(self, name: str, task: Task) -> None:
        """Put another value in a task's place; for measuring what its parts are worth.

        Raises:
            UnknownNameError: the task was never taught.
        """
        self._task(name)
        self._tasks = {**self._tasks, name: task}

    def _task(self, name: str) -> Task:
        if name not in self._tasks:
            raise UnknownNameError("task", name, self._tasks)
        return self._tasks[name]

    def _learn(self, features: Features, targets: Integers) -> None:
        before = self._tasks.get(self._current) or Task.fresh(self._network)
        lesson = Lesson(self._network, before.widened(targets), self.parameters)
        after = lesson.teach(features, targets, self._generator_of(before))
        self._tasks = {**self._tasks, self._current: after}  # before any item can be told to be of it
        self._anchors.add(features, self._current)

    def _generator_of(self, task: Task) -> np.random.Generator:
        """Draw alike for a task whatever came before it, so that the order of tasks changes nothing."""
        return np.random.default_rng([self.parameters.seed, *self._current.encode(), task.lessons])

    def _predict(self, features: Features) -> Floats:
        inferred = np.array(self._anchors.tasks_of(features))
        found = np.zeros((len(features), len(self.classes)))
        for name in np.unique(inferred).tolist():
            mine = inferred == name
            found[mine] = self._tasks[name].probabilities(self._network, features[mine], len(self.classes))
        return found

    def _arrays(self) -> dict[str, Array]:
        if not self._tasks:
            return {"begun": _written(self._current)} if self._current != "all" else {}
        arrays = {"begun": _written(self._current), "names": _written([*self._tasks]), "anchors": self._anchors.state()}
        for number, task in enumerate(self._tasks.values()):
            arrays[f"{number}/columns"] = np.array([task.lessons, *task.columns], np.int64)
            arrays |= {f"{number}/tensors/{name}": tensor.numpy() for name, tensor in task.tensors.items()}
        return arrays

    def _restore(self, arrays: Mapping[str, Array]) -> None:
        names = _read(arrays["names"]) if "names" in arrays else []
        self._tasks = {name: _task_of(arrays, number) for number, name in enumerate(names)}
        self._current = str(_read(arrays["begun"])) if "begun" in arrays else "all"
        self._anchors = TaskAnchors(self._network)
        if names:
            self._anchors.load(arrays["anchors"])


def _named(tasks_by: str) -> dict[str, str]:
    return {"tasks by": tasks_by} if tasks_by else {}


def _task_of(arrays: Mapping[str, Array], number: int) -> Task:
    prefix = f"{number}/tensors/"
    tensors = {
        name.removeprefix(prefix): torch.from_numpy(array.copy())
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
    lessons, *columns = arrays[f"{number}/columns"].tolist()
    return Task(tensors, tuple(columns), lessons)


def _written(value: object) -> Array:
    """Names as an array, for a state holds nothing else."""
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


def _read(array: Array) -> Sequence[str]:
    found: Sequence[str] = json.loads(array.tobytes())
    return found
