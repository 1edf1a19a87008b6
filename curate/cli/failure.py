"""How a call ends when it does not simply end: one clear message on standard error, and the exit code."""

import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

import click

from curate.cli.invocation import Invocation
from curate.cli.output import OutputClosedError, discard_output, json_text
from curate.errors import ConfigurationError, CurateError, InterruptedRunError, StoreError, UsageError

_signals_met: list[int] = []


def listen_for_signals() -> None:
    """Let SIGTERM stop a run as Ctrl-C does, and remember either, for libraries turn the exception into their own."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)


def end_with(error: BaseException, invocation: Invocation) -> int:
    """Tell a person what failed and return the exit code."""
    if isinstance(error, OutputClosedError):
        discard_output()
        return 0
    explained = _explained(error, invocation)
    if invocation.debug:
        traceback.print_exception(error)
    if invocation.as_json:
        print(json_text(_as_object(explained)), file=sys.stderr)
    else:
        print(_as_text(explained), file=sys.stderr)
    return explained.exit_code


def _interrupt(number: int, frame: FrameType | None) -> None:
    _signals_met.append(number)
    raise KeyboardInterrupt


def _explained(error: BaseException, invocation: Invocation) -> CurateError:
    """Say in curate's own terms what any exception means to the person who called."""
    if _signals_met or isinstance(error, KeyboardInterrupt | InterruptedRunError):
        return _interrupted(invocation)
    if isinstance(error, CurateError):
        return error
    if isinstance(error, click.ClickException):
        return UsageError(error.format_message(), hint=_help_hint(error))
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("curate"):
        return ConfigurationError(f"the package {error.name!r} is not installed", hint="curate doctor")
    hint = "" if invocation.debug else "run again with --debug to see where"
    return CurateError(f"unexpected {type(error).__name__}: {error}", hint=hint)


def _interrupted(invocation: Invocation) -> InterruptedRunError:
    return InterruptedRunError(
        "interrupted",
        unchanged=f"what was finished is committed{_newest_commit(invocation)}; the batch at hand was left out",
        hint="the same command goes on from there",
    )


def _newest_commit(invocation: Invocation) -> str:
    from curate.store.manifest import read_manifest

    address = invocation.store_address
    try:
        # A lake is not asked: whoever interrupts does not want to wait for it.
        manifest = read_manifest(address) if isinstance(address, Path) else None
    except StoreError:
        manifest = None
    return f" (commit {manifest.commit_number}, {manifest.step})" if manifest and manifest.commit_number else ""


def _help_hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"{context.command_path} --help" if context else "curate --help"


def _as_text(error: CurateError) -> str:
    parts = {"error": error.message, "unchanged": error.unchanged, "next": error.hint}
    return "\n".join(f"{name}: {text}" for name, text in parts.items() if text)


def _as_object(error: CurateError) -> dict[str, Any]:
    return {
        "error": error.message,
        "kind": type(error).__name__,
        "exit_code": error.exit_code,
        "unchanged": error.unchanged,
        "next": error.hint,
    }
