"""Rates per subpopulation and per time: several accounts side by side, of which none can overspend.

`Quotas` gives each subpopulation an account of its own, so that a rare one gets its labels however many others come.
`Allowance` bounds labels by the clock: so many an hour come due, and what was not spent is kept up to a bound (a token
bucket). It may stand behind any account.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from curate.errors import BadDataError, ConfigurationError
from curate.select.stream.account import account_named

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Quotas:
    """An account for each subpopulation, all with managers of one kind.

    Args:
        rates: the share of its items that each subpopulation's people are asked about.
        other: the rate of subpopulations that are not named; each gets an account when its first item comes.

    Raises:
        ConfigurationError: a rate is not in (0, 1].

    >>> import numpy as np
    >>> quotas = Quotas({"rare": 0.5}, other=0.1, manager="periodic", loan=0)
    >>> reasons, _ = quotas.decide(np.ones(40), ["rare"] * 20 + ["common"] * 20)
    >>> (reasons[:20] > 0).sum().item(), (reasons[20:] > 0).sum().item()
    (10, 2)
    """

    def __init__(
        self, rates: Mapping[str, float], other: float, manager: str = "paced", seed: int = 0, *, loan: int = 10
    ) -> None:
        if not all(0 < rate <= 1 for rate in (other, *rates.values())):
            raise ConfigurationError("rates are shares in (0, 1]", hint='{"rare": 0.5}')
        self._rates, self._other, self._manager, self._seed, self._loan = dict(rates), other, manager, seed, loan
        self.accounts = {group: self._account(group) for group in rates}

    def decide(
        self, utilities: NDArray[np.float64], groups: Sequence[str]
    ) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
        """Return why each item is asked about (0: not) and its propensity; `groups` name the items' subpopulations."""
        import numpy as np

        if len(groups) != len(utilities):
            raise BadDataError(f"{len(groups)} subpopulations do not fit {len(utilities)} items")
        reasons, chances = np.zeros(len(utilities), np.int8), np.zeros(len(utilities))
        named = np.array(groups, dtype=object)
        for group in dict.fromkeys(groups):
            if group not in self.accounts:
                self.accounts[group] = self._account(group)
            places = np.flatnonzero(named == group)
            reasons[places], chances[places] = self.accounts[group].decide(utilities[places])
        return reasons, chances

    def state(self) -> dict[str, Any]:
        """Return the state as plain data that JSON keeps to the bit."""
        return {group: account.state() for group, account in self.accounts.items()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on where other quotas of the same settings stopped.

        Raises:
            BadDataError: the state is another's.
        """
        accounts = {group: self._account(group) for group in state}
        for group, account in accounts.items():
            account.load(state[group])
        self.accounts = accounts

    def _account(self, group: str) -> Any:
        return account_named(self._manager, self._rates.get(group, self._other), self._seed, loan=self._loan)


class Allowance:
    """So many labels an hour (or any unit of time), and `most` at once where some were left.

    Raises:
        ConfigurationError: it would never allow a label.
    """

    def __init__(self, per_hour: float, most: float) -> None:
        if per_hour <= 0 or most < 1:
            raise ConfigurationError("an allowance is above 0 labels an hour, and at least one at once")
        self._per_hour, self._most = per_hour, most
        self._left, self._since = most, float("-inf")

    def admit(self, reasons: NDArray[np.int8], hours: NDArray[np.float64]) -> NDArray[np.int8]:
        """Return the reasons, 0 where the allowance was spent; `hours` are the items' times and do not fall.

        A time before the last one counts as that one, so that clocks put back earn nothing twice.
        """
        found = reasons.copy()
        for place, hour in enumerate(hours.tolist()):
            self._earn(hour)
            if found[place] and self._left < 1:
                found[place] = 0
            elif found[place]:
                self._left -= 1
        return found

    def _earn(self, hour: float) -> None:
        if hour > self._since:
            gap = hour - self._since
            self._left = min(self._most, self._left + self._per_hour * gap) if gap < float("inf") else self._left
            self._since = hour

    def state(self) -> dict[str, str]:
        """Return the state as plain data that JSON keeps to the bit."""
        return {"left": self._left.hex(), "since": self._since.hex()}

    def load(self, state: Mapping[str, str]) -> None:
        """Go on where another allowance stopped."""
        self._left, self._since = float.fromhex(state["left"]), float.fromhex(state["since"])
