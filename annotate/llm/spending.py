"""What requests cost, and the ceiling that stops them before it is passed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from threading import Condition
from typing import Any

from curate.annotate.canonical import canonical_json
from curate.annotate.llm.pictures import picture_tokens
from curate.errors import BudgetSpentError
from curate.types import Response

CHARACTERS_PER_TOKEN = 3.0
"""So few characters make a token in no usual text: estimates are too high rather than too low."""
_MILLION = 1e6


def prompt_tokens(request: Mapping[str, Any]) -> int:
    """Estimate the tokens of a request's prompt, too high rather than too low."""
    shown = request.get("prompt") or canonical_json(request.get("messages", ""))
    return int(len(shown) / CHARACTERS_PER_TOKEN) + 1 + picture_tokens(shown)


def answer_tokens(request: Mapping[str, Any]) -> int:
    """Return the most tokens that the answer to a request may have."""
    return int(request.get("max_tokens", 0))


class Spending:
    """Money for requests, shared by threads: `left` of it (infinity: no ceiling); prices are per million tokens.

    A request sets aside what it may cost at most before it is sent, so that no answer passes the ceiling.
    """

    def __init__(self, prompt_price: float = 0.0, completion_price: float = 0.0, left: float = math.inf) -> None:
        self._prices = prompt_price, completion_price
        self._changed = Condition()
        self._set_aside = 0
        self._left = left
        self.spent = 0.0

    def cost(self, prompt: int, completion: int) -> float:
        """Return what so many tokens cost."""
        return (prompt * self._prices[0] + completion * self._prices[1]) / _MILLION

    def reserve(self, request: Mapping[str, Any]) -> float:
        """Set aside what a request may cost at most, and return it; waits where others have set too much aside.

        Raises:
            BudgetSpentError: that much is not left, whatever becomes of the others.
        """
        most = self.cost(prompt_tokens(request), answer_tokens(request))
        with self._changed:
            while most > self._left and self._set_aside:
                self._changed.wait()
            if most > self._left:
                raise BudgetSpentError(
                    f"the next request may cost {most:.6g}, and {max(0.0, self._left):.6g} of the ceiling are left",
                    unchanged="every answer that was paid for is kept",
                    hint="raise ceiling in [spending], or lower excerpt_characters",
                )
            self._left -= most
            self._set_aside += 1
        return most

    def settle(self, reserved: float, response: Response | None) -> None:
        """Give back what was set aside and take what the answer cost; None where there is none."""
        cost = self.cost(response.prompt_tokens, response.completion_tokens) if response else 0.0
        with self._changed:
            self._left += reserved - cost
            self._set_aside -= 1
            self.spent += cost
            self._changed.notify_all()
