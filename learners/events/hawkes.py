"""Hawkes processes with exponential kernels, whose intensity, compensator and likelihood have closed forms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curate.errors import ConfigurationError
from curate.learners.events.sequences import EventSequences
from curate.learners.numerics import Floats, Integers


@dataclass(frozen=True, slots=True)
class HawkesProcess:
    """Types of events that excite one another (Hawkes, Biometrika 1971).

    The intensity of type k at time t is

    λ_k(t) = base_k + Σ_{t_j < t} weights[k, k_j] decays[k, k_j] exp(-decays[k, k_j] (t - t_j)).

    `weights[k, m]` is how many events of type k an event of type m brings about directly, on the average; `base` is a
    rate and `decays` rates, in one over the unit of the times.

    Raises:
        ConfigurationError: shapes that do not fit, a negative base or weight, a decay that is not positive, or weights
            with a spectral radius of 1 or more: an event would bring about infinitely many.
    """

    base: Floats
    weights: Floats
    decays: Floats

    def __post_init__(self) -> None:
        types = len(self.base)
        if self.weights.shape != (types, types) or self.decays.shape != (types, types):
            raise ConfigurationError(
                f"a Hawkes process of {types} types needs weights and decays of {types} by {types}"
            )
        if (self.base < 0).any() or (self.weights < 0).any() or (self.decays <= 0).any():
            raise ConfigurationError("base and weights of a Hawkes process must not be negative, decays positive")
        if types and np.abs(np.linalg.eigvals(self.weights)).max() >= 1:
            raise ConfigurationError("the weights of a Hawkes process must have a spectral radius below 1")

    @property
    def type_count(self) -> int:
        """How many types of events there are."""
        return len(self.base)

    @property
    def rates(self) -> Floats:
        """How many events of each type there are in a unit of time, in the long run: (1 - weights)⁻¹ base."""
        return np.linalg.solve(np.eye(self.type_count) - self.weights, self.base).astype(np.float64)

    def excitements(self, sequences: EventSequences) -> Floats:
        """Return what earlier events add right at the beginning of each interval, by pair of types.

        Of shape (sequences, longest + 1, types, types): interval 0 begins at the origin, interval i at event i - 1.
        """
        rows, longest = sequences.types.shape
        types = self.type_count
        found = np.zeros((rows, longest + 1, types, types))
        for position in range(longest):
            faded = self.faded(found[:, position], sequences.gaps[:, position])
            found[:, position + 1] = self.excited(faded, sequences.types[:, position])
        return found

    def faded(self, excitement: Floats, elapsed: Floats) -> Floats:
        """Let excitement of shape (rows, types, types) fade for a time of shape (rows,)."""
        found: Floats = excitement * np.exp(-self.decays * elapsed[:, None, None])
        return found

    def excited(self, excitement: Floats, types: Integers) -> Floats:
        """Add what an event of one type a row brings about."""
        jumps = (self.weights * self.decays).T[types]
        found = excitement.copy()
        found[np.arange(len(types)), :, types] += jumps
        return found

    def intensities(self, sequences: EventSequences) -> Floats:
        """Return the intensity of each type just before each event: (sequences, longest, types)."""
        excitements = self.excitements(sequences)[:, :-1]
        fading = np.exp(-self.decays * sequences.gaps[:, :, None, None])
        found: Floats = self.base + (excitements * fading).sum(axis=3)
        return found

    def compensators(self, sequences: EventSequences) -> Floats:
        """Return the integral of each type's intensity over each interval: (sequences, longest + 1, types)."""
        durations = sequences.durations[:, :, None, None]
        faded = -np.expm1(-self.decays * durations) / self.decays
        found: Floats = self.base * durations[:, :, 0] + (self.excitements(sequences) * faded).sum(axis=3)
        return found

    def log_likelihood(self, sequences: EventSequences) -> Floats:
        """Return each sequence's log-likelihood given what is given: Σ log λ_{k_i}(t_i) - Σ_k ∫ λ_k, of (sequences,).

        The integral is over the time after the given events, up to the end (Daley and Vere-Jones 2003, 7.2).
        """
        chosen = np.take_along_axis(self.intensities(sequences), sequences.types[:, :, None], axis=2)[:, :, 0]
        logs = np.where(sequences.counted, np.log(np.where(sequences.counted, chosen, 1.0)), 0.0)
        intervals = np.arange(sequences.types.shape[1] + 1) >= sequences.given[:, None]
        integral = (self.compensators(sequences).sum(axis=2) * intervals).sum(axis=1)
        found: Floats = logs.sum(axis=1) - integral
        return found
