"""How a learner's parameters are declared, checked and read from settings."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from curate.errors import ConfigurationError, UnknownNameError


@dataclass(frozen=True, slots=True)
class Parameters:
    """The base of every learner's parameters: numbers only, each at least 0, and a seed.

    Raises:
        ConfigurationError: a value of the wrong kind, negative or not finite.
    """

    seed: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            self._check(field.name, getattr(self, field.name), whole=isinstance(field.default, int))

    @staticmethod
    def _check(name: str, value: object, *, whole: bool) -> None:
        kinds = (int,) if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not math.isfinite(value) or value < 0:
            wanted = "a whole number" if whole else "a number"
            raise ConfigurationError(f"the learner's parameter {name} must be {wanted} of at least 0, not {value!r}")

    def require_positive(self, *names: str) -> None:
        """Refuse a zero where only a positive value makes sense."""
        for name in names:
            if not getattr(self, name):
                raise ConfigurationError(f"the learner's parameter {name} must be greater than 0")

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], *, seed: int) -> Self:
        """Read parameters from a table of settings.

        Raises:
            UnknownNameError: a setting that is no parameter of this learner.
            ConfigurationError: a value that does not fit.
        """
        known = {field.name for field in fields(cls)} - {"seed"}
        for name in settings:
            if name not in known:
                raise UnknownNameError("learner parameter", name, known)
        return cls(seed=seed, **settings)

    def as_mapping(self) -> dict[str, Any]:
        """Return name and value of every parameter, the seed included."""
        return asdict(self)
