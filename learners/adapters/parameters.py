"""How long and how fast an adapter is fitted."""

from dataclasses import dataclass

from curate.errors import ConfigurationError
from curate.learners.parameters import Parameters


@dataclass(frozen=True, slots=True)
class FitParameters(Parameters):
    """The parameters of a fit; none of them belongs to a method, and 0 for the learning rate means the method's own.

    passes, steps: how often the examples are gone through, unless `steps` (0: no bound) ends it before.
    batch_size, accumulation: examples in one forward pass, and forward passes in one step. Both only say how a step is
    computed: each predicted token of a step weighs the same, in whichever of its forward passes it is.
    warm_up: the share of the steps in which the learning rate rises; then it falls to zero with a cosine.
    decay: weight decay. largest_norm: a step's gradient is cut to this norm; 0 to leave it.
    checkpoint_every, kept: steps between two checkpoints, and how many of the last are kept.
    evaluate_every: steps between two evaluations on what is held out; 0 for one at the end only.
    mixed: 1 to compute in bfloat16 where the device has it, the adapter staying in float32.

    Raises:
        ConfigurationError: a value out of range.
    """

    passes: int = 1
    steps: int = 0
    batch_size: int = 4
    accumulation: int = 1
    learning_rate: float = 0.0
    warm_up: float = 0.05
    decay: float = 0.0
    largest_norm: float = 1.0
    checkpoint_every: int = 50
    kept: int = 2
    evaluate_every: int = 0
    mixed: int = 1

    def __post_init__(self) -> None:
        Parameters.__post_init__(self)  # zero-argument super() does not work in a dataclass with slots
        self.require_positive("passes", "batch_size", "accumulation", "checkpoint_every", "kept")
        for name, most in (("warm_up", 1), ("mixed", 1)):
            if getattr(self, name) > most:
                raise ConfigurationError(f"the learner's parameter {name} must be at most {most}")
