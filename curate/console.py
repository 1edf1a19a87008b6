"""Talking to a person: progress on standard error, tables as lines, plain text wherever no person looks."""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

from curate.types import Progress, SilentProgress

if TYPE_CHECKING:
    from rich.progress import TaskID

CELL_WIDTH = 60


def is_terminal(stream: TextIO) -> bool:
    """Whether a person sees this stream and it can draw."""
    return stream.isatty() and os.environ.get("TERM", "") != "dumb"


def make_progress(*, quiet: bool = False) -> Progress:
    """Return the progress for this process: bars on a terminal, sparse lines off it, nothing when `quiet`."""
    if quiet:
        return SilentProgress()
    return BarProgress() if is_terminal(sys.stderr) else LineProgress(sys.stderr)


class LineProgress:
    """Progress for logs: a line when a loop begins, after each quarter, and when it ends.

    Loops of unknown length speak at 1,000 and each time the count has doubled since. Loops may nest.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._loops: list[_Loop] = []

    def start(self, name: str, total: int | None = None) -> None:
        """Begin a loop."""
        self._loops.append(_Loop(name, total))
        self.note(f"{name}: {total:,} to do" if total is not None else f"{name}: started")

    def advance(self, count: int = 1) -> None:
        """Count on in the innermost loop."""
        if self._loops and self._loops[-1].advance(count):
            self.note(self._loops[-1].line())

    def note(self, message: str) -> None:
        """Say something besides."""
        print(message, file=self._stream, flush=True)

    def finish(self, name: str) -> None:
        """End the loop of this name, and any inside it that was left open."""
        while any(loop.name == name for loop in self._loops):
            loop = self._loops.pop()
            if loop.name == name:
                self.note(f"{name}: finished after {loop.count:,}")
                return


class _Loop:
    """How far one loop has come, and the count at which it speaks next."""

    def __init__(self, name: str, total: int | None) -> None:
        self.name = name
        self.total = total
        self.count = 0
        self._spoken = 0

    def advance(self, count: int) -> bool:
        """Count on; return whether this is worth a line."""
        self.count += count
        if self.total is None:
            reached = (self.count // 1000).bit_length()
        else:
            reached = min(3, 4 * self.count // self.total) if self.total else 0
        spoken, self._spoken = self._spoken, max(reached, self._spoken)
        return reached > spoken and self.count != self.total

    def line(self) -> str:
        of_total = f" of {self.total:,}" if self.total is not None else ""
        return f"{self.name}: {self.count:,}{of_total}"


class BarProgress:
    """Progress for a person at a terminal: one bar a loop, gone when the loop ends."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True, highlight=False),
            transient=True,
        )
        self._loops: list[tuple[str, TaskID]] = []

    def start(self, name: str, total: int | None = None) -> None:
        """Show a bar."""
        if not self._loops:
            self._bars.start()
        self._loops.append((name, self._bars.add_task(name, total=total)))

    def advance(self, count: int = 1) -> None:
        """Move the innermost bar."""
        if self._loops:
            self._bars.advance(self._loops[-1][1], count)

    def note(self, message: str) -> None:
        """Print a line above the bars."""
        self._bars.console.print(message, markup=False, soft_wrap=True)

    def finish(self, name: str) -> None:
        """Take the bar of this name away, and any inside it that was left open."""
        while any(open_name == name for open_name, _ in self._loops):
            open_name, task = self._loops.pop()
            self._bars.remove_task(task)
            if open_name == name:
                break
        if not self._loops:
            self._bars.stop()

    def close(self) -> None:
        """Take all bars away, whatever a failure left open."""
        self._loops.clear()
        self._bars.stop()


def close_progress(progress: Progress) -> None:
    """Give the terminal back after a loop that may have been broken off."""
    if isinstance(progress, BarProgress):
        progress.close()


def table_lines(columns: Sequence[str], rows: Iterable[Sequence[object]], width: int = CELL_WIDTH) -> list[str]:
    """Lay out a small table as lines of plain text, numbers to the right; longer cells are cut at `width`.

    >>> table_lines(["step", "done"], [["ingest", 12]])
    ['step    done', '------  ----', 'ingest    12']
    """
    body = [list(row) for row in rows]
    cells = [[_cell(value, width) for value in row] for row in body]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    right = [bool(body) and all(_is_number(row[index]) for row in body) for index in range(len(columns))]
    lines = [_line(columns, widths, right), _line(["-" * size for size in widths], widths, right)]
    return lines + [_line(row, widths, right) for row in cells]


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    placed = zip(cells, widths, right, strict=True)
    return "  ".join(cell.rjust(size) if to_right else cell.ljust(size) for cell, size, to_right in placed).rstrip()


def _cell(value: object, width: int) -> str:
    if value is None:
        return ""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    text = " ".join(text.split("\n"))
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return text if len(text) <= width else text[: width - 1] + "…"


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
