"""How large an inventory is, and how a convergence balancer looks back."""

from dataclasses import dataclass

from curate.learners.parameters import Parameters


@dataclass(frozen=True, slots=True)
class RoutingParameters(Parameters):
    """An inventory of low-rank adapters for every layer that is routed.

    skills, rank: how many adapters there are, and of which rank each is.
    splits: into how many blocks a layer's inputs and outputs are cut, each with a mixture of its own: 1 is Poly (Ponti
    et al., 2022), more is multi-head routing. One skill in one block is one LoRA that all tasks share.
    noise: 1 to draw the gates while training, as Poly and `peft` do; 0 to take what the logits say.

    Raises:
        ConfigurationError: a value out of range.
    """

    skills: int = 8
    rank: int = 1
    splits: int = 4
    noise: int = 0

    def __post_init__(self) -> None:
        Parameters.__post_init__(self)  # zero-argument super() does not work in a dataclass with slots
        self.require_positive("skills", "rank", "splits")


@dataclass(frozen=True, slots=True)
class ConvergenceParameters(Parameters):
    """How a convergence balancer looks back; the defaults are the paper's.

    window: over how many of the last validation losses a slope is fitted.
    warm_up: as long as there are fewer of them than this, all tasks weigh the same.
    sharpness: how fast a standstill shifts the weights from those that lag to those that have not begun to diverge.

    Raises:
        ConfigurationError: a value out of range.
    """

    window: int = 200
    warm_up: int = 100
    sharpness: float = 5.0

    def __post_init__(self) -> None:
        Parameters.__post_init__(self)
        self.require_positive("window", "warm_up", "sharpness")
