"""The decisions of budget managers, one item after the other: plain loops that numba compiles where there are many.

Each takes utilities, random numbers, parameters and the state, which it changes in place; it writes 0 for what is not
asked and else the number of a reason, and beside it the chance that the item had: the probability of being asked about,
given its utility and all that came before. It returns how many random numbers it used. Without numba the same loops run
in Python and decide the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from math import erfc, sqrt
from typing import Any

import numpy as np

UTILITY, RANDOM, WARM_UP, BEHIND = 1, 2, 3, 4
"""Why an item is asked about: its utility, chance alone, the first ones, or an account that lags behind the rate."""
_WORTH = 2_000
"""With fewer items in all Python is done before numba is imported."""
_decided: Counter[Callable[..., int]] = Counter()


def decide(
    kernel: Callable[..., int], utilities: Any, numbers: Any, parameters: tuple[float, ...], state: Any
) -> tuple[Any, Any, int]:
    """Run a kernel over utilities; return reasons, int8 of shape (items,), chances, and the random numbers it used."""
    decisions, chances = np.zeros(len(utilities), np.int8), np.zeros(len(utilities))
    run = compiled(kernel, len(utilities))
    return decisions, chances, int(run(utilities, numbers, parameters, state, decisions, chances))


def compiled(kernel: Callable[..., int], items: int) -> Callable[..., int]:
    """Return the kernel, in machine code if with these it has decided on enough items for that to pay."""
    _decided[kernel] += items
    return in_machine_code(kernel) if _decided[kernel] >= _WORTH else kernel


@cache
def in_machine_code(kernel: Callable[..., int]) -> Callable[..., int]:
    """Return the kernel compiled, or itself where numba is not installed."""
    try:
        from numba import njit
    except ImportError:
        return kernel
    try:
        found: Callable[..., int] = njit(nogil=True, cache=True)(kernel)
    except RuntimeError:  # there is no place to keep it
        found = njit(nogil=True)(kernel)
    return found


def account(proposed: Any, wished: Any, parameters: tuple[float, ...], state: Any, decisions: Any, chances: Any) -> int:
    """Let pass of what a manager proposes what the exact account allows, and ask where it lags; see `budgets.Account`.

    proposed: reasons; wished: their chances. state: seen, asked; parameters: rate, loan, repayment, most, savings,
    horizon.
    """
    for place in range(len(proposed)):
        state[0] += 1
        due = parameters[0] * state[0]
        left = due + max(0.0, parameters[1] - parameters[2] * due) - state[1]
        lag = max(
            1.0, min(parameters[4] * parameters[0] * parameters[5], parameters[0] * (parameters[5] - state[0]) / 2)
        )
        if state[1] >= parameters[3]:
            continue
        reason = 0
        if state[1] < parameters[1]:
            reason = 3
        elif left >= 0:
            reason = proposed[place]
            chances[place] = wished[place]
            if reason == 0 and left >= lag:
                reason = 4
        if reason == 3 or reason == 4:
            chances[place] = 1
        if reason > 0:
            decisions[place] = reason
            state[1] += 1
    return 0


def periodic(utilities: Any, numbers: Any, parameters: Any, state: Any, decisions: Any, chances: Any) -> int:
    """state: seen, asked; parameters: rate."""
    for place in range(len(utilities)):
        state[0] += 1
        if state[0] * parameters[0] - state[1] >= 1:
            decisions[place], chances[place] = 1, 1
            state[1] += 1
    return 0


def uniform(utilities: Any, numbers: Any, parameters: Any, state: Any, decisions: Any, chances: Any) -> int:
    """state: seen, asked; parameters: rate, whether the budget may be exceeded (1) or not (0)."""
    for place in range(len(utilities)):
        state[0] += 1
        available = state[0] * parameters[0] - state[1]
        if parameters[1] == 1 or available > 1:
            chances[place] = parameters[0]
            if numbers[place] >= 1 - parameters[0]:
                decisions[place] = 1
                state[1] += 1
    return len(utilities)


def estimated_uniform(utilities: Any, numbers: Any, parameters: Any, state: Any, decisions: Any, chances: Any) -> int:
    """state: estimate; parameters: rate, window."""
    for place in range(len(utilities)):
        asked = False
        if state[0] / parameters[1] < parameters[0] and not np.isnan(utilities[place]):
            chances[place] = parameters[0]
            asked = numbers[place] <= parameters[0]
        decisions[place] = 1 if asked else 0
        state[0] = state[0] * ((parameters[1] - 1) / parameters[1]) + (1 if asked else 0)
    return len(utilities)


def fixed(utilities: Any, numbers: Any, parameters: Any, state: Any, decisions: Any, chances: Any) -> int:
    """state: estimate; parameters: rate, window, classes."""
    theta = 1 / parameters[2] + parameters[0] * (1 - 1 / parameters[2])
    for place in range(len(utilities)):
        asked = 1 - utilities[place] <= theta and state[0] / parameters[1] < parameters[0]
        decisions[place] = chances[place] = 1 if asked else 0
        state[0] = state[0] * ((parameters[1] - 1) / parameters[1]) + (1 if asked else 0)
    return 0


def variable(utilities: Any, numbers: Any, parameters: Any, state: Any, decisions: Any, chances: Any) -> int:
    """state: estimate, theta; parameters: rate, window, step, delta (0: not randomised)."""
    used = 0
    for place in range(len(utilities)):
        asked = False
        if parameters[0] > state[0] / parameters[1]:
            theta = state[1]
            if parameters[3] > 0:
                theta *= 1 + parameters[3] * numbers[used]
                used += 1
            asked = 1 - utilities[place] < theta
            chances[place] = 1 if asked else 0
            if parameters[3] > 0:
                chances[place] = 0.5 * erfc(((1 - utilities[place]) / state[1] - 1) / parameters[3] / sqrt(2.0))
            state[1] *= 1 - parameters[2] if asked else 1 + parameters[2]
        decisions[place] = 1 if asked else 0
        state[0] = state[0] * ((parameters[1] - 1) / parameters[1]) + (1 if asked else 0)
    return used


def split(utilities: Any, numbers: Any, parameters: Any, state: Any, decisions: Any, chances: Any) -> int:
    """state: estimate, theta; parameters: rate, window, step, random share."""
    used = 0
    for place in range(len(utilities)):
        asked = False
        if state[0] / parameters[1] < parameters[0]:
            unsure = 1 - utilities[place] < state[1]
            chances[place] = parameters[3] * parameters[0] + (1 - parameters[3] if unsure else 0)
            used += 1
            if parameters[3] > numbers[used - 1]:
                asked = numbers[used] <= parameters[0]
                used += 1
            else:
                asked = unsure
                state[1] *= 1 - parameters[2] if asked else 1 + parameters[2]
        decisions[place] = 1 if asked else 0
        state[0] = state[0] * ((parameters[1] - 1) / parameters[1]) + (1 if asked else 0)
    return used


def counted_variable(utilities: Any, numbers: Any, parameters: Any, state: Any, decisions: Any, chances: Any) -> int:
    """state: seen, asked, theta; parameters: rate, step, delta. A utility that is not a number only counts as seen."""
    used = 0
    for place in range(len(utilities)):
        state[0] += 1
        asked = False
        if parameters[0] > state[1] / state[0]:
            theta = state[2] * (1 + parameters[2] * numbers[used])
            used += 1
            asked = 1 - utilities[place] < theta
            if not np.isnan(utilities[place]):
                chances[place] = 0.5 * erfc(((1 - utilities[place]) / state[2] - 1) / parameters[2] / sqrt(2.0))
            state[2] *= 1 - parameters[1] if asked else 1 + parameters[1]
        decisions[place] = 1 if asked else 0
        state[1] += 1 if asked else 0
    return used


def selective(utilities: Any, numbers: Any, parameters: Any, state: Any, decisions: Any, chances: Any) -> int:
    """state: seen, asked; parameters: rate, classes, softness. Asks with p = b / (b + |confidence - 1/classes|)."""
    for place in range(len(utilities)):
        state[0] += 1
        distance = abs(1 - utilities[place] - 1 / parameters[1])
        if state[0] * parameters[0] - state[1] >= 1:
            chances[place] = parameters[2] / (parameters[2] + distance)
            if numbers[place] < chances[place]:
                decisions[place] = 1
                state[1] += 1
    return len(utilities)


def sampled(utilities: Any, numbers: Any, parameters: Any, state: Any, decisions: Any, chances: Any) -> int:
    """state: seen, asked; parameters: rate, power, lowest probability, whether the budget may be exceeded (1)."""
    for place in range(len(utilities)):
        state[0] += 1
        probability = max(parameters[2], utilities[place] ** parameters[1])
        if parameters[3] == 1 or state[0] * parameters[0] - state[1] >= 1:
            chances[place] = min(1.0, probability)
            if numbers[place] < probability:
                decisions[place] = 1
                state[1] += 1
    return len(utilities)


def quantile(utilities: Any, numbers: Any, parameters: Any, state: Any, decisions: Any, chances: Any) -> int:
    """state: seen, asked, then a ring of the last utilities; parameters: rate, window, tolerance.

    The balanced incremental quantile filter: theta is a quantile of the window, shifted by what is left to acquire.
    """
    window = int(parameters[1])
    ring = state[2:]
    held = np.empty(window)
    for place in range(len(utilities)):
        ring[int(state[0]) % window] = utilities[place]
        state[0] += 1
        count = min(int(state[0]), window)
        held[:count] = ring[:count]
        ordered = np.sort(held[:count])
        position = (1 - parameters[0]) * (count - 1)
        below = int(np.floor(position))
        above = min(below + 1, count - 1)
        share = position - below
        gap = ordered[above] - ordered[below]
        theta = ordered[above] - gap * (1 - share) if share >= 0.5 else ordered[below] + gap * share
        left = parameters[0] * state[0] - state[1]
        theta -= (ordered[count - 1] - ordered[0]) * (left / parameters[2])
        if utilities[place] >= theta:
            decisions[place], chances[place] = 1, 1
            state[1] += 1
    return 0


def paced(utilities: Any, numbers: Any, parameters: Any, state: Any, decisions: Any, chances: Any) -> int:
    """state: seen, asked, when chance asks next, then a ring of the last utilities.

    parameters: rate, window, random share, loan, repayment, enough, savings, horizon; see
    `curate.select.stream.budgets.paced`.
    """
    window = int(parameters[1])
    ring = state[3:]
    rate, share = parameters[0], parameters[2]
    for place in range(len(utilities)):
        ring[int(state[0]) % window] = utilities[place]
        state[0] += 1
        count = min(int(state[0]), window)
        due = rate * state[0]
        left = due + max(0.0, parameters[3] - parameters[4] * due) - state[1]
        lag = max(1.0, min(parameters[6] * rate * parameters[7], rate * (parameters[7] - state[0]) / 2))
        reason = 0
        chances[place] = rate * share if left >= 0 else 0
        if state[1] < parameters[3]:
            reason = 3
        elif left >= 0:
            if share > 0 and state[0] >= state[2]:
                reason = 2
                state[2] = state[0] + 2 * numbers[place] / (rate * share)
            elif left >= lag:
                reason = 4
            elif lag <= 1 or utilities[place] >= parameters[5]:
                below = 0
                for one in ring[:count]:
                    below += one <= utilities[place]
                top = min(1.0, rate * (1 - share) * (1 + left / 5))
                if below > min(count - 1, int(np.floor((1 - top) * count))):
                    reason = 1
        if reason > 0:
            decisions[place] = reason
            chances[place] = rate * share if reason == 2 else 1
            state[1] += 1
    return len(utilities)
