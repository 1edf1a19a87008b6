"""The parameters of the learners with prompts; their defaults are those of the papers, where these agree."""

from dataclasses import dataclass

from curate.errors import ConfigurationError
from curate.learners.parameters import Parameters


@dataclass(frozen=True, slots=True)
class PromptParameters(Parameters):
    """How an increment is taught, by Adam with a rate that falls with a cosine.

    passes, batch_size, learning_rate, clip: the most that the gradient's norm may be.
    spread: prompts begin between minus and plus it.
    mean_head: 1 to let the head's new rows begin as a classifier by the nearest class mean, 0 at zero as the papers do.
    The loss never compares classes of different increments; rows from means can be compared from the start.

    Raises:
        ConfigurationError: a value out of range.
    """

    passes: int = 5
    batch_size: int = 32
    learning_rate: float = 5e-3
    clip: float = 1.0
    spread: float = 1.0
    mean_head: int = 0

    def __post_init__(self) -> None:
        Parameters.__post_init__(self)  # zero-argument super() does not work in a dataclass with slots
        self.require_positive("passes", "batch_size", "learning_rate", "clip")
        self.require_switch("mean_head")

    def require_switch(self, name: str) -> None:
        """Refuse anything but 0 and 1."""
        if getattr(self, name) > 1:
            raise ConfigurationError(f"the learner's parameter {name} must be 0 or 1")


@dataclass(frozen=True, slots=True)
class L2PParameters(PromptParameters):
    """A pool of `components` prompts of `length` tokens, of which each item gets `picked`.

    key_weight: of the loss that draws keys to queries. rarely: 1 to prefer components that were used seldom.
    """

    components: int = 10
    picked: int = 5
    length: int = 5
    key_weight: float = 0.1
    rarely: int = 1

    def __post_init__(self) -> None:
        PromptParameters.__post_init__(self)
        self.require_positive("components", "picked", "length")
        self.require_switch("rarely")
        if self.picked > self.components:
            raise ConfigurationError("the learner's parameter picked must be at most its components")


@dataclass(frozen=True, slots=True)
class DualPromptParameters(PromptParameters):
    """General prefixes in the first layers, which all increments teach, and one expert prefix an increment behind them.

    means: 1 for keys that are the means of their increments' queries, 0 for keys taught with `key_weight`.
    """

    general_layers: int = 2
    general_length: int = 5
    expert_layers: int = 3
    expert_length: int = 20
    key_weight: float = 1.0
    means: int = 0

    def __post_init__(self) -> None:
        PromptParameters.__post_init__(self)
        self.require_positive("general_layers", "general_length", "expert_layers", "expert_length")
        self.require_switch("means")


@dataclass(frozen=True, slots=True)
class CodaPromptParameters(PromptParameters):
    """In each increment `components` new prefixes of `length` for the first `layers`.

    orthogonality: weight of the penalty on keys, attention vectors and values; the paper's code ends with 0.
    """

    components: int = 10
    length: int = 8
    layers: int = 5
    orthogonality: float = 0.0

    def __post_init__(self) -> None:
        PromptParameters.__post_init__(self)
        self.require_positive("components", "length", "layers")
