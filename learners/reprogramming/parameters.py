"""The parameters of channel reprogramming."""

from dataclasses import dataclass

from curate.errors import ConfigurationError
from curate.learners.parameters import Parameters


@dataclass(frozen=True, slots=True)
class ReprogrammingParameters(Parameters):
    """What of a task is taught, and how; the rates are those of the paper's released code.

    kernels, normalisation: 1 to teach each task its own kernels, and its own normalisations, 0 to leave them as they
    are: 0 and 1 is tuning of the batch normalisation, 0 and 0 a linear probe.
    passes, batch_size, learning_rate: Adam, the rate a tenth after each third of the passes.
    head_passes: how often a task's first increment is gone through to teach its head alone, before all else; the paper
    does not. It is quick, for the features are made once.
    pull: weight of the distance of the kernels from the identity, not squared. The paper's code pulls them to zero,
    which is to take their channel away.
    fewest: a batch of fewer items is too small for statistics of its own, and is taught under those so far.

    Raises:
        ConfigurationError: a value out of range.
    """

    kernels: int = 1
    normalisation: int = 1
    passes: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-3
    head_passes: int = 50
    pull: float = 1e-5
    fewest: int = 8

    def __post_init__(self) -> None:
        Parameters.__post_init__(self)  # zero-argument super() does not work in a dataclass with slots
        self.require_positive("passes", "batch_size", "learning_rate")
        for name in ("kernels", "normalisation"):
            if getattr(self, name) > 1:
                raise ConfigurationError(f"the learner's parameter {name} must be 0 or 1")
