"""The parameters of the key-value bottleneck."""

from dataclasses import dataclass

from curate.errors import ConfigurationError
from curate.learners.parameters import Parameters


@dataclass(frozen=True, slots=True)
class BottleneckParameters(Parameters):
    """Sizes and rates of the key-value bottleneck; the rates are those of the paper's released sweeps.

    heads, pairs, key_width: number of projections, of key-value pairs in each, and of dimensions of a key.
    passes: how often an increment is gone through. batch_size: items in one step of descent.
    learning_rate, label_smoothing, gradient_clip: plain descent on smoothed cross-entropy, gradient norm bounded.
    key_passes, key_decay: passes over the unlabelled features, and the decay of the keys' moving averages.
    dead_share: a key is replaced when it attracts less than this share of what an even spread would give it.
    reserved_classes: columns that the value table begins with, so that early classes are not learned in a smaller
    softmax than late ones (see `ValueTable`).

    Raises:
        ConfigurationError: a value out of range.
    """

    heads: int = 64
    pairs: int = 256
    key_width: int = 8
    passes: int = 1
    batch_size: int = 256
    learning_rate: float = 0.3
    label_smoothing: float = 0.1
    gradient_clip: float = 1.0
    key_passes: int = 10
    key_decay: float = 0.95
    dead_share: float = 0.1
    reserved_classes: int = 16

    def __post_init__(self) -> None:
        Parameters.__post_init__(self)  # zero-argument super() does not work in a dataclass with slots
        self.require_positive("heads", "pairs", "key_width", "passes", "batch_size", "key_passes")
        self.require_positive("learning_rate", "gradient_clip")
        for name in ("label_smoothing", "key_decay"):
            if getattr(self, name) >= 1.0:
                raise ConfigurationError(f"the learner's parameter {name} must be less than 1")
