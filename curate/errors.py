"""Every error that curate raises on purpose: what failed, what stayed as it was, and what to do next."""

from collections.abc import Iterable
from difflib import get_close_matches


class Terminal:
    """Mixed into errors that the same call will meet again: do not retry."""


class Transient:
    """Mixed into errors that may pass by themselves: retry later."""


class CurateError(Exception):
    """The root of the tree: a message for a person, an exit code and a hint.

    `unchanged` says what stayed as it was, `hint` the next command or edit; both may be empty.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", unchanged: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.unchanged = unchanged


class UsageError(CurateError, Terminal):
    """The command line or a call's arguments do not fit together."""

    exit_code = 2


class ConfigurationError(CurateError, Terminal):
    """`curate.toml`, the environment or the installation must be changed first."""

    exit_code = 3


class MissingExtraError(ConfigurationError):
    """A feature needs packages that are not installed; the hint names the extra that brings them."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs packages that are not installed", hint=f"pip install 'curate[{extra}]'")


class UnknownNameError(ConfigurationError):
    """A name is not among the known ones; the message lists them and suggests the nearest."""

    def __init__(self, what: str, name: str, known: Iterable[str], *, where: str = "") -> None:
        names = sorted(known)
        near = get_close_matches(name, names, n=1, cutoff=0.5)
        place = f" in {where}" if where else ""
        hint = f"did you mean {near[0]!r}?" if near else ""
        super().__init__(f"unknown {what} {name!r}{place}; known: {', '.join(names) or 'none'}", hint=hint)
        self.name = name
        self.known = names


class BadDataError(CurateError, Terminal):
    """The data break a promise that the call relies on."""

    exit_code = 4


class StoreError(BadDataError):
    """The store's files are not what the store wrote."""


class StoreBusyError(CurateError, Transient):
    """Another process holds the write lease for longer than the caller would wait."""

    exit_code = 5


class BudgetSpentError(CurateError, Terminal):
    """The spending ceiling is reached; everything paid for is kept."""

    exit_code = 6


class PartlyDoneError(CurateError, Terminal):
    """Some items failed or were rejected; the rest is committed."""

    exit_code = 7


class ServiceError(CurateError, Transient):
    """A service outside this process (such as an LLM server) is unreachable or overloaded."""

    exit_code = 7


class RefusedRequestError(CurateError, Terminal):
    """A service outside this process answered, and its answer is a final no (bad key, unknown model)."""

    exit_code = 3


class InterruptedRunError(CurateError, Transient):
    """A person or the system asked the run to stop; what was finished is committed."""

    exit_code = 130
