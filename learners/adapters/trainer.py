"""Fits an adapter to examples: the loop, which stops where the loss is not finite and resumes to the bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch

from curate.errors import BadDataError, StoreError
from curate.learners.adapters.adapted import Adapted
from curate.learners.adapters.checkpoints import CheckpointFolder
from curate.learners.adapters.examples import Batch, Examples
from curate.learners.adapters.methods import method_named
from curate.learners.adapters.parameters import FitParameters
from curate.learners.adapters.rank_budget import RankBudget
from curate.learners.adapters.resume import restored, saved
from curate.learners.adapters.schedule import Schedule

_FORMAT = 1


class NotFiniteError(BadDataError):
    """A step's loss or gradient is not a number: nothing of that step was learned."""

    def __init__(self, what: str, step: int, documents: tuple[int, ...], checkpoint: Path) -> None:
        shown = ", ".join(map(str, documents[:8])) + (", …" if len(documents) > 8 else "")
        super().__init__(
            f"the {what} is not finite at step {step}, with the texts {shown}",
            hint="look at those texts, or lower the learning rate and begin in another folder",
            unchanged=f"the last good checkpoint, {checkpoint}",
        )
        self.what = f"the {what}"
        self.step = step
        self.documents = documents
        self.checkpoint = checkpoint


@dataclass(frozen=True, slots=True)
class Reading:
    """What one step showed: its mean loss before it learned, its rate, and the held-out loss after it if it was due."""

    step: int
    loss: float
    learning_rate: float
    answers: int
    held_out: float | None = None


@dataclass(frozen=True, slots=True)
class FittedAdapter:
    """A fitted adapter: `model` is the network with it, in `peft`'s class; `checkpoint` the file of its last step."""

    model: Any
    method: str
    base: str
    size: int
    readings: tuple[Reading, ...]
    checkpoint: Path


class AdapterTrainer:
    """One fit of one adapter. Gradients of a step's forward passes add up to those of one pass over all its answers.

    Memory: the network, one forward pass with its gradients, and 16 bytes for each trained number.
    """

    def __init__(
        self,
        network: Any,
        method: str,
        examples: Examples,
        parameters: FitParameters | None = None,
        *,
        held_out: Examples | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Put a new adapter into the network; `options` are the method's own, by the names that `peft` gives them.

        Raises:
            MissingExtraError: the packages of the extra `peft` are not installed.
            ConfigurationError: method, options, network and examples do not fit together.
            BadDataError: examples that the network cannot read, or none.
        """
        chosen = method_named(method)
        self._parameters = parameters or FitParameters()
        virtual_tokens = (options or {}).get("num_virtual_tokens", chosen.options.get("num_virtual_tokens", 0))
        self._examples, self._held_out = examples, held_out
        for each in (examples, held_out):
            if each is not None:
                each.check(network, chosen, virtual_tokens)
        rate = self._parameters.learning_rate or chosen.learning_rate
        self.schedule = Schedule(len(examples), self._parameters, rate)
        seed = self._parameters.seed
        steps = self.schedule.steps
        self.adapted = Adapted(network, chosen, examples.task, steps=steps, seed=seed, options=options)
        trained = list(self.adapted.trained.values())
        self._optimiser = torch.optim.AdamW(trained, rate, weight_decay=self._parameters.decay)
        self._ranks = RankBudget(self.adapted.model) if chosen.kind == "AdaLoraConfig" else None
        self._options = {name: repr(value) for name, value in sorted((options or {}).items())}
        self._readings: list[Reading] = []

    def fit(self, folder: Path, progress: Callable[[Reading], None] | None = None) -> FittedAdapter:
        """Fit the adapter, from the last checkpoint in `folder` if there is one, and return it.

        Resumed, it ends with the weights of a fit that nobody disturbed. The caller's generators are left as they were.

        Raises:
            NotFiniteError: a loss or a gradient is not a number; the last good checkpoint is kept.
            ConfigurationError: the checkpoints belong to another network, method, data or parameters.
            StoreError: a checkpoint cannot be read or written.
        """
        checkpoints = CheckpointFolder(folder, kept=self._parameters.kept)
        with self.adapted.drawing(self._parameters.seed):
            newest = checkpoints.newest
            newest = self._go_on_from(newest) if newest else checkpoints.write(0, self.state())
            self.adapted.model.train()
            for step in range(len(self._readings), self.schedule.steps):
                reading = self._take(step, newest)
                self._readings.append(reading)
                if self._due(step, self._parameters.checkpoint_every):
                    newest = checkpoints.write(step + 1, self.state())
                if progress:
                    progress(reading)
        self.adapted.model.eval()
        size, method = self.adapted.size, self.adapted.method.name
        return FittedAdapter(self.adapted.model, method, self.adapted.base, size, tuple(self._readings), newest)

    def state(self) -> bytes:
        """Return everything that later steps depend on, as deterministic safetensors bytes."""
        header = {**self._identity(), "readings": [asdict(reading) for reading in self._readings]}
        return saved(header, self.adapted, self._optimiser, self._ranks)

    def held_out_loss(self) -> float | None:
        """Return the mean loss on what is held out, if anything is."""
        if self._held_out is None:
            return None
        return mean_loss(self.adapted.model, self._held_out, batch_size=self._parameters.batch_size)

    def _identity(self) -> dict[str, Any]:
        deciding = self._parameters.as_mapping()
        for name in ("checkpoint_every", "kept", "evaluate_every"):
            del deciding[name]
        return {
            "format": _FORMAT,
            "method": self.adapted.method.name,
            "options": self._options,
            "parameters": deciding,
            "base": self.adapted.base,
            "data": self._examples.fingerprint,
        }

    def _go_on_from(self, checkpoint: Path) -> Path:
        try:
            state = checkpoint.read_bytes()
        except OSError as error:
            raise StoreError(f"the checkpoint {checkpoint} cannot be read: {error}") from error
        header = restored(state, self._identity(), self.adapted, self._optimiser, self._ranks)
        self._readings = [Reading(**reading) for reading in header["readings"]]
        return checkpoint

    def _take(self, step: int, checkpoint: Path) -> Reading:
        """Learn one step; all is looked at before anything is learned from it."""
        rate = self.schedule.rate(step)
        self._optimiser.zero_grad()
        batches = [self._examples.batch(rows, self.adapted.device) for rows in self.schedule.batches(step)]
        answers = sum(batch.count for batch in batches)
        losses = [self._learn_from(batch, answers) for batch in batches]
        if self._ranks:
            self._ranks.penalty().backward()  # type: ignore[no-untyped-call]
        trained = list(self.adapted.trained.values())
        norm = torch.nn.utils.clip_grad_norm_(trained, self._parameters.largest_norm or float("inf"))
        *each, length = torch.stack([*losses, norm.to(losses[0])]).tolist()
        for loss, batch in zip(each, batches, strict=True):
            if not isfinite(loss):
                raise NotFiniteError("loss", step, batch.documents, checkpoint)
        if not isfinite(length):
            documents = tuple(document for batch in batches for document in batch.documents)
            raise NotFiniteError("gradient", step, documents, checkpoint)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.step()
        if self._ranks:
            self._ranks.after(step)
        documents = tuple(document for batch in batches for document in batch.documents)
        if not torch.stack([tensor.isfinite().all() for tensor in trained]).all():
            raise NotFiniteError("adapter", step, documents, checkpoint)
        held_out = self.held_out_loss() if self._due(step, self._parameters.evaluate_every) else None
        if held_out is not None and not isfinite(held_out):
            raise NotFiniteError("held-out loss", step, documents, checkpoint)
        return Reading(step, sum(each), rate, answers, held_out)

    def _learn_from(self, batch: Batch, answers: int) -> torch.Tensor:
        """Add a forward pass's share of the step's gradient, and return its share of the step's mean loss."""
        with self._precision():
            loss = self._examples.loss(self.adapted.model, batch) / answers
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _precision(self) -> AbstractContextManager[Any]:
        mixes = self._parameters.mixed and self.adapted.device.type == "cuda" and torch.cuda.is_bf16_supported()
        return torch.autocast("cuda", torch.bfloat16) if mixes else nullcontext()

    def _due(self, step: int, every: int) -> bool:
        return step + 1 == self.schedule.steps or bool(every and (step + 1) % every == 0)


def mean_loss(model: Any, examples: Examples, *, batch_size: int = 4) -> float:
    """Return the mean loss over all answers of some examples; the model is left as it was."""
    device = next(model.parameters()).device
    training, total, answers = model.training, 0.0, 0
    model.eval()
    with torch.no_grad():
        for start in range(0, len(examples), batch_size):
            batch = examples.batch(np.arange(start, min(start + batch_size, len(examples))), device)
            total += float(examples.loss(model, batch))
            answers += batch.count
    model.train(training)
    return total / answers
