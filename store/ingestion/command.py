"""A program whose standard output is a source: run without a shell, within a time limit, its output kept apart."""

from __future__ import annotations

import hashlib
import io
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.compute as pc

from curate.store.ingestion.source_file import SourceFile, reason_of

CURSOR_VARIABLE = "CURATE_CURSOR_FILE"
LOCATOR = "command"
_CURSOR_CHARACTERS = 4096
_LINE_CHARACTERS = 500
_PIECE_BYTES = 65_536
_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOutput(SourceFile):
    """What a command has printed; its fingerprint is its size and a hash of it.

    It lies in a file without a name, which goes when this object does, or the process. One reader at a time.
    """

    spool: io.BufferedRandom = field(compare=False, repr=False)

    def open(self, *, in_order: bool = True) -> BinaryIO:
        """Open the output at its beginning; closing the result leaves it there."""
        self.spool.seek(0)
        return cast(BinaryIO, os.fdopen(os.dup(self.spool.fileno()), "rb"))


@dataclass(frozen=True, slots=True)
class CommandRun:
    """What one run of a command brought: its output, the next cursor, and what went wrong ("" = nothing)."""

    output: CommandOutput
    cursor: str = ""
    problem: str = ""


def run_command(
    command: Sequence[str],
    *,
    folder: Path,
    timeout: float,
    cursor: str,
    say: Callable[[str], None],
    stopped: Callable[[], bool] = lambda: False,
) -> CommandRun:
    """Run a command in `folder` to its end, and keep what it printed; lines of its standard error go to `say`.

    The file that the variable CURATE_CURSOR_FILE names holds `cursor`; what the command writes there is the new one.
    After `timeout` seconds, or once `stopped` says so, the command is killed; what was printed before is kept. Children
    that it leaves are killed, however it ends. Nothing that a command does makes this raise.

    Memory: one line of standard error. Disk: the output, in the system's folder for temporary files.
    """
    spool = tempfile.TemporaryFile()  # noqa: SIM115 (it belongs to the output, whose end closes it)
    with _cursor_file(cursor) as kept:
        environment = {**os.environ, CURSOR_VARIABLE: str(kept)}
        problem = _run(command, spool, folder, environment, _Listener(timeout, say, stopped))
        left = cursor if problem else _left_in(kept, cursor)
    return CommandRun(_output(spool), left, problem)


def steady_locators(records: pa.Table, source: str) -> pa.Table:
    """Name the records of an output by what they are, so that one that is printed again is the same origin.

    That is the record's identifier if it has one, else `command#` and the first 16 digits of the item's id. The number
    of its line would change with every line that is printed before it.
    """
    identifiers = pc.utf8_slice_codeunits(records["entity"], len(source) + 1)
    by_content = pc.binary_join_element_wise(f"{LOCATOR}#", pc.utf8_slice_codeunits(records["item_id"], 0, 16), "")
    locators = pc.if_else(pc.equal(records["entity"], ""), by_content, identifiers)
    return records.set_column(records.column_names.index("locator"), "locator", locators)


@contextmanager
def _cursor_file(cursor: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="curate-") as folder:
        path = Path(folder) / "cursor"
        path.write_text(cursor, encoding="utf-8")
        yield path


def _left_in(path: Path, before: str) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            return stream.read(_CURSOR_CHARACTERS).strip()
    except OSError:
        return before


def _output(spool: io.BufferedRandom) -> CommandOutput:
    spool.seek(0)
    digest = hashlib.file_digest(spool, "sha256").hexdigest()
    size = spool.seek(0, os.SEEK_END)
    return CommandOutput(LOCATOR, f"{size}-{digest[:16]}", size, spool=spool)


def _run(
    command: Sequence[str],
    spool: io.BufferedRandom,
    folder: Path,
    environment: Mapping[str, str],
    listener: _Listener,
) -> str:
    """Run the command; return what went wrong."""
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=spool,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        return f"cannot be started: {reason_of(error)}"
    try:
        problem = listener.listen(process)
    finally:
        _stop(process)
    return problem or _exit_of(process.returncode)


@dataclass(frozen=True, slots=True)
class _Listener:
    """Passes on a command's standard error, for as long as the command may run."""

    timeout: float
    say: Callable[[str], None]
    stopped: Callable[[], bool]

    def listen(self, process: subprocess.Popen[bytes]) -> str:
        """Listen until the process ends; return why it must end before."""
        assert process.stderr is not None
        deadline = time.monotonic() + self.timeout
        lines = _Lines(self.say)
        open_stream = True
        while time.monotonic() < deadline and not self.stopped():
            ready = open_stream and select.select([process.stderr], [], [], _LOOK_SECONDS)[0]
            if ready:
                piece = os.read(process.stderr.fileno(), _PIECE_BYTES)
                open_stream = bool(piece)
                lines.take(piece)
            elif _has_ended(process, 0 if open_stream else _LOOK_SECONDS):
                lines.end()
                return ""
        lines.end()
        return "was stopped with the watch" if self.stopped() else f"was stopped after {self.timeout:g} seconds"


def _has_ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    return process.returncode is not None


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Leave no process behind: kill the command's whole group, of which it alone may have ended."""
    # No other group can have this number while one of its processes lives; macOS refuses where only zombies are left.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stderr is not None
    process.stderr.close()


def _exit_of(code: int) -> str:
    if code < 0:
        return f"was ended by signal {-code}"
    return f"ended with exit code {code}" if code else ""


class _Lines:
    """Puts pieces together to lines, none longer than 500 characters, and says each."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._rest = b""

    def take(self, piece: bytes) -> None:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._tell(line)
        if len(self._rest) > _PIECE_BYTES:
            self.end()

    def end(self) -> None:
        self._tell(self._rest)
        self._rest = b""

    def _tell(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip()[:_LINE_CHARACTERS]
        if text:
            self._say("".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text))
