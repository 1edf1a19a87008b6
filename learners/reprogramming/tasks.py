"""A task: all that the frozen network needs to be turned to it, in one value; and how a task is taught."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from curate.learners.numerics import Features, Floats, Integers, shuffled_batches, softmax
from curate.learners.reprogramming.network import FrozenNetwork, Tensors
from curate.learners.reprogramming.parameters import ReprogrammingParameters

ITEMS_AT_ONCE = 16
"""Images go through the network in batches of just this size, filled up: an item's features depend on no other's."""
_DROP = 0.1
HEAD, BIAS = "head.weight", "head.bias"


@dataclass(frozen=True, slots=True)
class Task:
    """Kernels, normalisations and head of one task; `columns` says which class each row of the head belongs to.

    It never changes: teaching makes a new one, so whoever holds a task holds all of it or all of another. `lessons`
    counts the increments that taught it.
    """

    tensors: Tensors
    columns: tuple[int, ...]
    lessons: int = 0

    @classmethod
    def fresh(cls, network: FrozenNetwork) -> Task:
        """Return a task that leaves the network as it is and tells nothing apart."""
        return cls({**network.at_start(), HEAD: torch.zeros(0, network.width), BIAS: torch.zeros(0)}, ())

    def widened(self, targets: Integers) -> Task:
        """Return the task with zero rows of the head for classes that it has not met."""
        fresh = sorted(set(targets.tolist()) - set(self.columns))
        room = (0, 0, 0, len(fresh))
        head, bias = nn.functional.pad(self.tensors[HEAD], room), nn.functional.pad(self.tensors[BIAS], room[2:])
        return Task({**self.tensors, HEAD: head, BIAS: bias}, (*self.columns, *fresh), self.lessons)

    def with_statistics_of(self, other: Task) -> Task:
        """Return the task with the statistics of another: what comes of sharing them, to be measured."""
        shared = {name: tensor for name, tensor in other.tensors.items() if "running_" in name}
        return replace(self, tensors={**self.tensors, **shared})

    def probabilities(self, network: FrozenNetwork, pixels: Features, classes: int) -> Floats:
        """Return probabilities over all classes: zero for those of other tasks."""
        features = features_of(network, self.tensors, pixels).astype(np.float64)
        head, bias = (self.tensors[name].numpy().astype(np.float64) for name in (HEAD, BIAS))
        found = np.zeros((len(pixels), classes))
        found[:, list(self.columns)] = softmax(np.einsum("if,cf->ic", features, head) + bias)
        return found


def features_of(network: FrozenNetwork, tensors: Tensors, pixels: Features) -> Features:
    """Return float32 of shape (items, width): what the network makes of the pixels under a task's tensors."""
    short = -len(pixels) % ITEMS_AT_ONCE
    filled = np.concatenate([pixels, np.zeros((short, pixels.shape[1]), np.float32)])
    with torch.inference_mode():
        parts = [
            network.features(_inside(tensors), network.images(filled[start : start + ITEMS_AT_ONCE])).numpy()
            for start in range(0, len(filled), ITEMS_AT_ONCE)
        ]
    return np.concatenate(parts)[: len(pixels)]


class Lesson:
    """Teaches a task one increment; what is not taught keeps its tensors, and is shared with the task before."""

    def __init__(self, network: FrozenNetwork, task: Task, parameters: ReprogrammingParameters) -> None:
        self._network, self._task, self._parameters = network, task, parameters
        self._module, self._follow_batch = network.for_teaching()
        own = [HEAD, BIAS]
        own += network.kernel_names if parameters.kernels else ()
        own += network.affine_names if parameters.normalisation else ()
        self._taught = {name: task.tensors[name].clone().requires_grad_() for name in own}
        moved = network.statistics_names if parameters.normalisation else ()
        self._tensors = {**task.tensors, **{name: task.tensors[name].clone() for name in moved}, **self._taught}
        self._starts = {name: tensor for name, tensor in network.at_start().items() if name in network.kernel_names}
        self._probes = not (parameters.kernels or parameters.normalisation)

    def teach(self, pixels: Features, targets: Integers, generator: np.random.Generator) -> Task:
        """Return the task after all passes."""
        rates = self._parameters
        place = {column: row for row, column in enumerate(self._task.columns)}
        rows = torch.tensor([place[column] for column in targets.tolist()])
        seen = torch.from_numpy(features_of(self._network, self._tensors, pixels)) if self._begins_with_head else None
        if seen is not None:
            head = [self._taught[name] for name in (HEAD, BIAS)]
            self._descend(
                seen, rows, head, self._head_loss, rates.passes if self._probes else rates.head_passes, generator
            )
        if not self._probes:
            given, taught = self._network.images(pixels), list(self._taught.values())
            self._descend(given, rows, taught, self._loss, rates.passes, generator)
        tensors = {name: tensor.detach() for name, tensor in self._tensors.items()}
        return Task(tensors, self._task.columns, self._task.lessons + 1)

    @property
    def _begins_with_head(self) -> bool:
        """A head is taught alone first, on what the network says as it is: later steps would have to undo its noise."""
        return self._probes or (not self._task.lessons and bool(self._parameters.head_passes))

    def _descend(
        self,
        given: torch.Tensor,
        rows: torch.Tensor,
        taught: Sequence[torch.Tensor],
        loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        passes: int,
        generator: np.random.Generator,
    ) -> None:
        optimiser = torch.optim.Adam(taught, self._parameters.learning_rate)
        schedule = torch.optim.lr_scheduler.StepLR(optimiser, max(1, -(-passes // 3)), _DROP)
        for _ in range(passes):
            for batch in map(torch.from_numpy, shuffled_batches(len(given), self._parameters.batch_size, generator)):
                optimiser.zero_grad()
                loss(given[batch], rows[batch]).backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            schedule.step()

    def _head_loss(self, features: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        logits = nn.functional.linear(features, self._tensors[HEAD], self._tensors[BIAS])
        return nn.functional.cross_entropy(logits, rows)

    def _loss(self, images: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        self._follow_batch(bool(self._parameters.normalisation) and len(images) >= self._parameters.fewest)
        loss = self._head_loss(self._network.features(_inside(self._tensors), images, self._module), rows)
        if self._parameters.kernels and self._parameters.pull:
            loss = loss + self._parameters.pull * sum(self._distances())
        return loss

    def _distances(self) -> Sequence[torch.Tensor]:
        return [torch.linalg.vector_norm(self._taught[name] - start) for name, start in self._starts.items()]


def _inside(tensors: Tensors) -> Tensors:
    """The tensors that belong inside the network: all but the head."""
    return {name: tensor for name, tensor in tensors.items() if name not in (HEAD, BIAS)}
