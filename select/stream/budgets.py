"""Budget managers: which items of a stream are asked about, given what each would teach.

A manager sees utilities in their order (higher: worth more) and spends a `rate` of them. Any utility runs under any
manager; the published ones take uncertainty, one less the highest probability. Managers decide as scikit-activeml's do
on the same random numbers, for the published estimator of the spent budget too, which overspends a small rate; `Paced`
and the counted ones keep an exact account.

Sources: Žliobaitė, Bifet, Pfahringer and Holmes (2014), "Active learning with drifting streaming data"; Kottke, Krempl
and Spiliopoulou (2015), "Probabilistic active learning in datastreams" (the quantile filter); Ienco, Žliobaitė and
Pfahringer (2014), "High density-focused uncertainty sampling" (the counted budget); Cesa-Bianchi, Gentile and Zaniboni
(2006), "Worst-case analysis of selective sampling".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curate.errors import BadDataError, ConfigurationError, UnknownNameError
from curate.select.stream import kernels
from curate.select.stream.numbers import Kind, numbers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Reasons = NDArray[np.int8]

_AHEAD = 8_192
SAVINGS = 0.1
REASONS = ("", "utility", "random", "warm-up", "behind")
"""What the numbers of decisions mean; 0 is not asked."""


@dataclass(frozen=True, slots=True)
class _Kind:
    kernel: Callable[..., int]
    draws: Kind
    width: int


class BudgetManager:
    """Decides item by item; its state is a few numbers, which save and load to the bit.

    `parameters` go to the kernel after the rate. Cost: some nanoseconds an item in machine code (numba), a microsecond
    without; `Quantile` and `Paced` sort their window for each item.

    Raises:
        ConfigurationError: the rate is not in (0, 1], or a parameter is out of its range.
    """

    def __init__(
        self, name: str, kind: _Kind, rate: float, parameters: tuple[float, ...], state: tuple[float, ...], seed: int
    ) -> None:
        import numpy as np

        if not 0 < rate <= 1:
            raise ConfigurationError(f"the rate of {name} is {rate}, and it is a share in (0, 1]", hint="rate = 0.05")
        self.name, self.rate, self.seed = name, rate, seed
        self._kind, self._parameters = kind, (rate, *parameters)
        self._state = np.array(state, np.float64)
        self._used = 0
        self._ahead = (0, np.empty(0))

    def decide(self, utilities: NDArray[np.float64], given: NDArray[np.float64] | None = None) -> Reasons:
        """Return why each item is asked about, 0 where it is not: int8 of shape (items,); see `REASONS`.

        `given` are random numbers in place of the manager's own, as many as it may use (for tests against peers).
        """
        return self.decide_with_chances(utilities, given)[0]

    def decide_with_chances(
        self, utilities: NDArray[np.float64], given: NDArray[np.float64] | None = None
    ) -> tuple[Reasons, NDArray[np.float64]]:
        """Return reasons, and each item's propensity: its probability of being asked about, given what came before.

        0 where the account forbids to ask, 1 where no chance is in it. Of `Paced` it is the share of questions that are
        left to chance, for whatever is asked at random or not at all.
        """
        import numpy as np

        utilities = np.ascontiguousarray(utilities, np.float64)
        most = len(utilities) * self._kind.width
        drawn = self._numbers(most) if given is None else given
        reasons, chances, used = kernels.decide(self._kind.kernel, utilities, drawn, self._parameters, self._state)
        self._used += used
        return reasons, chances

    def parts(
        self, items: int
    ) -> tuple[Callable[..., int], NDArray[np.float64], tuple[float, ...], NDArray[np.float64]]:
        """Return kernel, random numbers for so many items, parameters and state, for loops that numba compiles whole.

        The kernel is called item by item and changes the state in place; see `curate.select.stream.kernels`.
        """
        kernel = kernels.in_machine_code(self._kind.kernel)
        return kernel, self._numbers(items * self._kind.width), self._parameters, self._state

    def _numbers(self, most: int) -> NDArray[np.float64]:
        """The next numbers; many are made at once, for making a few costs as much as deciding a thousand times."""
        start, made = self._ahead
        if not (start <= self._used and self._used + most <= start + len(made)):
            start, made = self._used, numbers(self.seed, self._used, max(most, _AHEAD), self._kind.draws)
            self._ahead = (start, made)
        return made[self._used - start :]

    def state(self) -> dict[str, Any]:
        """Return the state as plain data that JSON keeps to the bit."""
        values = [float(value).hex() for value in self._state]
        return {"name": self.name, "parameters": [float(one).hex() for one in self._parameters], "seed": self.seed,
                "used": self._used, "state": values}  # fmt: skip

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on where another manager of the same kind and parameters stopped.

        Raises:
            BadDataError: the state is another manager's.
        """
        own = self.state()
        if any(state.get(name) != own[name] for name in ("name", "parameters", "seed")):
            raise BadDataError(
                f"the state is one of {state.get('name')!r} with other parameters than this {self.name!r}",
                unchanged="nothing was decided",
                hint="begin anew, or give the parameters that it was saved with",
            )
        self._state[:] = [float.fromhex(value) for value in state["state"]]
        self._used = int(state["used"])


def periodic(rate: float, seed: int = 0) -> BudgetManager:
    """Every 1/rate-th item, whatever it would teach."""
    return BudgetManager("periodic", _Kind(kernels.periodic, "none", 0), rate, (), (0, 0), seed)


def uniform(rate: float, seed: int = 0, *, exceed: bool = True) -> BudgetManager:
    """Each item with probability `rate`; without `exceed`, only while the exact account allows it."""
    return BudgetManager("uniform", _Kind(kernels.uniform, "uniform", 1), rate, (float(exceed),), (0, 0), seed)


def estimated_uniform(rate: float, seed: int = 0, *, window: int = 100) -> BudgetManager:
    """Each item with probability `rate` while the estimated spending allows it (Žliobaitė's Random)."""
    kind = _Kind(kernels.estimated_uniform, "uniform", 1)
    return BudgetManager("estimated-uniform", kind, rate, (_window(window),), (0,), seed)


def fixed(rate: float, seed: int = 0, *, classes: int = 2, window: int = 100) -> BudgetManager:
    """Where confidence is at most 1/classes + rate (1 - 1/classes) (Fixed Uncertainty)."""
    return BudgetManager("fixed", _Kind(kernels.fixed, "none", 0), rate, (_window(window), classes), (0,), seed)


def variable(rate: float, seed: int = 0, *, step: float = 0.01, window: int = 100) -> BudgetManager:
    """Where confidence is below a threshold that falls with each question and rises without (Variable Uncertainty)."""
    parameters = (_window(window), step, 0.0)
    return BudgetManager("variable", _Kind(kernels.variable, "none", 0), rate, parameters, (0, 1), seed)


def randomised_variable(
    rate: float, seed: int = 0, *, step: float = 0.01, delta: float = 1.0, window: int = 100
) -> BudgetManager:
    """The same, with the threshold multiplied by a normal number around 1 (Randomised Variable Uncertainty)."""
    parameters = (_window(window), step, delta)
    kind = _Kind(kernels.variable, "normal", 1)
    return BudgetManager("randomised-variable", kind, rate, parameters, (0, 1), seed)


def split(
    rate: float, seed: int = 0, *, random_share: float = 0.1, step: float = 0.01, window: int = 100
) -> BudgetManager:
    """With probability `random_share` as Random does, else as Variable Uncertainty does (Split)."""
    parameters = (_window(window), step, random_share)
    return BudgetManager("split", _Kind(kernels.split, "uniform", 2), rate, parameters, (0, 1), seed)


def counted_variable(rate: float, seed: int = 0, *, step: float = 0.01, delta: float = 1.0) -> BudgetManager:
    """Randomised Variable Uncertainty on an exact account, as DBALStream spends; NaN is never asked about."""
    kind = _Kind(kernels.counted_variable, "normal", 1)
    return BudgetManager("counted-variable", kind, rate, (step, delta), (0, 0, 1), seed)


def selective(rate: float, seed: int = 0, *, classes: int = 2, softness: float = 0.1) -> BudgetManager:
    """With probability b / (b + |confidence - 1/classes|) while the exact account allows it (selective sampling)."""
    kind = _Kind(kernels.selective, "uniform", 1)
    return BudgetManager("selective", kind, rate, (classes, softness), (0, 0), seed)


def sampled(
    rate: float, seed: int = 0, *, power: float = 3.0, least: float = 0.0, exceed: bool = False
) -> BudgetManager:
    """With probability utility ** power: river's entropy sampler (entropy, power 3, `exceed`), and IWAL's queries.

    For IWAL (Beygelzimer et al. 2009) the utility is a committee's `disagreement` and the power 1; a label weighs one
    over the probability, which `least` bounds. Without `exceed` only while the exact account allows it.
    """
    parameters = (power, least, float(exceed))
    return BudgetManager("sampled", _Kind(kernels.sampled, "uniform", 1), rate, parameters, (0, 0), seed)


def quantile(rate: float, seed: int = 0, *, window: int = 100, tolerance: float = 50.0) -> BudgetManager:
    """Above the (1 - rate) quantile of the last utilities, shifted by what is left to spend (BIQF)."""
    size = int(_window(window))
    parameters = (float(size), tolerance)
    return BudgetManager("quantile", _Kind(kernels.quantile, "none", 0), rate, parameters, (0, 0, *[0.0] * size), seed)


def paced(
    rate: float,
    seed: int = 0,
    *,
    window: int = 400,
    random_share: float = 0.1,
    enough: float = 0.2,
    savings: float = SAVINGS,
    loan: int = 10,
    repayment: float = 0.5,
    horizon: int = 0,
) -> BudgetManager:
    """The default: the most useful of the last items on an exact account, with a share left to chance.

    The account: never more than one question ahead of rate * items seen, nor more than one behind, so the learner is
    fed evenly and nothing is hoarded for a stream that may end. Where a `horizon` tells how many items will come, a
    share `savings` of all questions may be saved while the learner is sure, and is spent faster the more there is:
    after a drift, when much is unsure again. From where the savings are half of what is still due they shrink, so that
    all is spent at the horizon.

    The first `loan` items are asked about at once, for nothing is uncertain to a learner that knows nothing; the loan
    is paid back with a share `repayment` of the rate, and is smaller where the `horizon` does not suffice for that.
    Asked is where utility is among the highest of the last `window` items, and at least `enough` where questions may be
    saved (see `utilities.ENOUGH`). A `random_share` of the questions comes at evenly drawn times whatever the utility:
    drift far from the boundary shows in these, and they alone give an unbiased accuracy.

    The values were chosen on `benchmarks.harness.streams.TUNING` with least confidence as the utility.
    """
    size = int(_window(window))
    loan = payable(loan, rate, horizon, repayment)
    parameters = (float(size), random_share, float(loan), repayment, enough, savings, float(horizon))
    return BudgetManager("paced", _Kind(kernels.paced, "uniform", 1), rate, parameters, (0, 0, 0, *[0.0] * size), seed)


def payable(loan: int, rate: float, horizon: int, repayment: float = 0.5) -> int:
    """Return how much of a loan can be paid back by the horizon; all of it where none is known (0)."""
    return min(loan, int(rate * horizon * repayment)) if horizon else loan


MANAGERS: Mapping[str, Callable[..., BudgetManager]] = {
    "paced": paced,
    "periodic": periodic,
    "uniform": uniform,
    "estimated-uniform": estimated_uniform,
    "fixed": fixed,
    "variable": variable,
    "randomised-variable": randomised_variable,
    "split": split,
    "counted-variable": counted_variable,
    "selective": selective,
    "sampled": sampled,
    "quantile": quantile,
}
"""All managers by name, the default first."""


def manager_named(name: str, rate: float, seed: int = 0, **parameters: Any) -> BudgetManager:
    """Return a manager by its name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in MANAGERS:
        raise UnknownNameError("budget manager", name, MANAGERS)
    return MANAGERS[name](rate, seed, **parameters)


def _window(window: int) -> float:
    if window < 1:
        raise ConfigurationError(f"a window of {window} items holds nothing", hint="window = 100")
    return float(window)
