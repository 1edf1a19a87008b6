"""The exact account of a stream's budget: any manager may stand in front of it, and none can overspend.

The published managers estimate what they have spent, and overspend a small rate by 40 %; the account counts. After
`seen` items it allows rate * seen labels, and a loan at the start that is paid back out of the rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from curate.errors import BadDataError, ConfigurationError
from curate.select.stream import kernels
from curate.select.stream.budgets import SAVINGS, BudgetManager, manager_named, payable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Reasons = NDArray[np.int8]

LOAN, REPAYMENT = 10, 0.5


class Account:
    """A budget manager under an exact account: what is asked about is never more than one label off what is allowed.

    The first `loan` items are asked about at once (the warm-up), and paid back with the share `repayment` of the
    rate; then nothing passes that the account does not allow, and where it lags by a label, the next item is asked
    about whatever the manager says. With a `horizon`, the number of items that will come, it may lag by a share
    `savings` of all labels, and by less and less towards the end. `most` bounds the labels in all (None: any
    number). What the account refuses or adds the manager does not hear of: it decides as it would by itself.

    Cost: some nanoseconds an item beside the manager's.
    """

    def __init__(
        self,
        manager: BudgetManager,
        *,
        loan: int = LOAN,
        repayment: float = REPAYMENT,
        most: int | None = None,
        savings: float = 0.0,
        horizon: int = 0,
    ) -> None:
        import numpy as np

        if min(loan, most or 0, horizon) < 0 or not 0 <= repayment <= 1 or not 0 <= savings <= 1:
            raise ConfigurationError("loan, bound and horizon are counts, repayment and savings are shares in [0, 1]")
        self.manager = manager
        bound = float("inf") if most is None else float(most)
        self._parameters = (manager.rate, float(loan), float(repayment), bound, float(savings), float(horizon))
        self._state = np.zeros(2)

    @property
    def seen(self) -> int:
        """How many items were decided on."""
        return int(self._state[0])

    @property
    def spent(self) -> int:
        """How many of them were asked about."""
        return int(self._state[1])

    def allowed(self) -> float:
        """Return how many labels the account allows by now; `spent` exceeds it by one at most."""
        rate, loan, repayment, most, _, _ = self._parameters
        due = rate * self.seen
        return float(min(most, due + max(0.0, loan - repayment * due)))

    def decide(self, utilities: NDArray[np.float64]) -> tuple[Reasons, NDArray[np.float64]]:
        """Return why each item is asked about (0: not; see `budgets.REASONS`), and each item's propensity."""
        import numpy as np

        proposed, wished = self.manager.decide_with_chances(utilities)
        reasons, chances = np.zeros(len(proposed), np.int8), np.zeros(len(proposed))
        run = kernels.compiled(kernels.account, len(proposed))
        run(proposed, wished, self._parameters, self._state, reasons, chances)
        return reasons, chances

    def state(self) -> dict[str, Any]:
        """Return the state, the manager's in it, as plain data that JSON keeps to the bit."""
        parameters = [float(one).hex() for one in self._parameters]
        return {"manager": self.manager.state(), "parameters": parameters, "seen": self.seen, "spent": self.spent}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on where another account of the same parameters stopped.

        Raises:
            BadDataError: the state is another's.
        """
        if state.get("parameters") != self.state()["parameters"]:
            raise BadDataError(
                "the state is an account's of other parameters",
                unchanged="nothing was decided",
                hint="begin anew, or give the parameters that it was saved with",
            )
        self.manager.load(state["manager"])
        self._state[:] = state["seen"], state["spent"]


def account_named(
    name: str,
    rate: float,
    seed: int = 0,
    *,
    loan: int = LOAN,
    most: int | None = None,
    horizon: int = 0,
    **parameters: Any,
) -> Account:
    """Return a manager by its name under an account; `paced` gets the same loan, and saves where a horizon is known.

    Raises:
        UnknownNameError: there is no such manager.
    """
    if name != "paced":
        return Account(manager_named(name, rate, seed, **parameters), loan=loan, most=most)
    manager = manager_named(name, rate, seed, loan=loan, horizon=horizon, **parameters)
    loan, savings = payable(loan, rate, horizon, REPAYMENT), parameters.get("savings", SAVINGS)
    return Account(manager, loan=loan, most=most, savings=savings, horizon=horizon)
