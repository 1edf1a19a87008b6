"""When the gate looks at the audits, and how much of its error rate a look may spend.

Every look that may pass something spends a part of the error rate, and what all looks spend is never more than the
rate: for a union of looks the shares add up, whatever the looks have to do with each other. So looks are few. Where the
number of answers is planned, one comes with each quarter of them, and spends as a power of what has been answered (Kim
and DeMets 1987): little early, most at the end, when most is known. Where it is not, one comes whenever the answers
have grown by half, and spends a part of what is left.
"""

from __future__ import annotations

from dataclasses import dataclass

from curate.annotate.gate import level_of_look

POWER = 3
QUARTERS = 4
KEPT = 0.1
"""The part of the rate that the plan leaves, for whoever gives more answers than were planned."""
GROWTH = 1.5
PART = 0.3


@dataclass(frozen=True, slots=True)
class Spending:
    """What the looks so far have spent of the error rate, and how many answers had been given at the last of them.

    >>> Spending.read(f"3 look-2 {Spending(0.01, 120)}", 0.05)
    Spending(spent=0.01, given=120)
    """

    spent: float = 0.0
    given: int = 0

    def __str__(self) -> str:
        """Return it as `read` reads it."""
        return f"spent-{self.spent:.9f} given-{self.given}"

    @staticmethod
    def read(text: str, error_rate: float) -> Spending:
        """Read it out of a text of several words.

        Stores of before this rule kept only the number of looks, which each spent what `level_of_look` says.
        """
        words = dict(word.split("-", 1) for word in text.split() if "-" in word)
        if "spent" in words:
            return Spending(float(words["spent"]), int(words["given"]))
        return Spending(sum(level_of_look(look, error_rate) for look in range(1, int(words.get("look", 0)) + 1)))

    def due(self, given: int, budget: int = 0) -> bool:
        """Whether a look is due after so many answers; `budget` is how many are planned, 0 for any number.

        >>> [Spending(0.0, 100).due(given, budget=400) for given in (150, 200)], Spending(0.0, 100).due(150)
        ([False, True], True)
        """
        if not budget:
            return given > 0 and given >= GROWTH * self.given
        return self._quarter(given, budget) > self._quarter(self.given, budget)

    def level(self, given: int, error_rate: float, budget: int = 0) -> float:
        """Return what a look after so many answers spends."""
        left = max(0.0, error_rate - self.spent)
        before = min(1.0, self.given / budget) ** POWER if budget else 1.0
        if before == 1:
            return PART * left
        planned = max(0.0, (1 - KEPT) * error_rate - self.spent)
        return planned * (min(1.0, given / budget) ** POWER - before) / (1 - before)

    def looked(self, given: int, level: float) -> Spending:
        """Return what is spent after a look."""
        return Spending(self.spent + level, given)

    @staticmethod
    def _quarter(given: int, budget: int) -> int:
        return min(QUARTERS, QUARTERS * given // budget)


NOTHING_SPENT = Spending()


def last_level(spending: Spending, error_rate: float, budget: int = 0) -> float:
    """Return the level that audits are planned for: the look at the end of the budget, else the next one."""
    if not budget or spending.given >= budget:
        return spending.level(spending.given, error_rate)
    done = (QUARTERS - 1) / QUARTERS
    last = Spending(max(spending.spent, (1 - KEPT) * error_rate * done**POWER), max(spending.given, int(done * budget)))
    return last.level(budget, error_rate, budget)
