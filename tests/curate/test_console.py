"""The console: sparse lines off a terminal, bars on one, tables that cannot break the terminal."""

import io
import os
import pty
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.console import LineProgress, close_progress, make_progress, table_lines
from curate.types import SilentProgress


@pytest.fixture
def lines():
    """A progress for logs, and what it has said."""
    stream = io.StringIO()
    return LineProgress(stream), lambda: stream.getvalue().splitlines()


class TestLineProgress:
    def test_a_loop_speaks_at_its_quarters_only(self, lines):
        progress, said = lines
        progress.start("align", 1000)
        for _ in range(1000):
            progress.advance()
        progress.finish("align")
        assert said() == [
            "align: 1,000 to do",
            "align: 250 of 1,000",
            "align: 500 of 1,000",
            "align: 750 of 1,000",
            "align: finished after 1,000",
        ]

    def test_a_loop_of_unknown_length_speaks_as_it_doubles(self, lines):
        progress, said = lines
        progress.start("read")
        for _ in range(5000):
            progress.advance()
        assert said() == ["read: started", "read: 1,000", "read: 2,000", "read: 4,000"]

    def test_an_empty_loop_does_no_harm(self, lines):
        progress, said = lines
        progress.start("none", 0)
        progress.advance(0)
        progress.finish("none")
        assert said() == ["none: 0 to do", "none: finished after 0"]

    def test_loops_nest_and_an_outer_end_closes_the_inner(self, lines):
        progress, said = lines
        progress.start("outer", 2)
        progress.start("inner", 4)
        progress.finish("outer")
        progress.advance()
        progress.finish("inner")
        assert said() == ["outer: 2 to do", "inner: 4 to do", "outer: finished after 0"]


class TestChoice:
    def test_lines_off_a_terminal_and_silence_when_quiet(self):
        assert isinstance(make_progress(), LineProgress)
        assert isinstance(make_progress(quiet=True), SilentProgress)

    def test_nothing_heavy_is_imported_off_a_terminal(self):
        code = "import sys, curate.console as c; c.make_progress(); print('rich' in sys.modules)"
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert ended.stdout.strip() == "False"


_ON_A_TERMINAL = """
from curate.console import close_progress, make_progress
progress = make_progress()
progress.start("outer loop", 2)
progress.start("inner [red]loop", 3)
progress.advance()
progress.note("a [bold]note")
progress.finish("inner [red]loop")
progress.start("left open")
close_progress(progress)
"""


class TestBarProgress:
    def draw(self, **environment):
        """Run the example with a terminal as standard error and return what was drawn."""
        outer, inner = pty.openpty()
        variables = {
            "TERM": "xterm",
            **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
        }
        with subprocess.Popen(
            [sys.executable, "-c", _ON_A_TERMINAL], stderr=inner, stdout=subprocess.PIPE, env=variables | environment
        ) as process:
            os.close(inner)
            drawn = b""
            try:
                while part := os.read(outer, 4096):
                    drawn += part
            except OSError:  # the terminal's other end is closed
                pass
            os.close(outer)
            assert process.wait(30) == 0
            assert process.stdout is not None
            assert process.stdout.read() == b""
        return drawn.decode()

    def test_bars_notes_and_a_cursor_given_back(self):
        drawn = self.draw()
        assert "outer loop" in drawn
        assert "inner [red]loop" in drawn
        assert "a [bold]note" in drawn
        assert drawn.rfind("\x1b[?25h") > drawn.rfind("\x1b[?25l")

    def test_no_color_is_honoured(self):
        colour = "\x1b[38"
        assert colour in self.draw(TERM="xterm-256color") or "\x1b[3" in self.draw()
        without = self.draw(NO_COLOR="1")
        assert colour not in without
        assert "\x1b[32m" not in without

    def test_a_dumb_terminal_gets_lines(self):
        assert "\x1b" not in self.draw(TERM="dumb")

    def test_closing_other_kinds_does_nothing(self):
        close_progress(SilentProgress())


class TestTable:
    def test_numbers_stand_to_the_right(self):
        assert table_lines(["n", "word"], [[1, "a"], [12345, None]]) == [
            "    n  word",
            "-----  ----",
            "    1  a",
            "12345",
        ]

    def test_a_table_without_rows_is_its_head(self):
        assert table_lines(["a", "bc"], []) == ["a  bc", "-  --"]

    @given(st.lists(st.tuples(st.text(), st.integers(), st.floats() | st.none()), max_size=5))
    def test_no_cell_can_break_the_lines_or_the_terminal(self, rows):
        lines = table_lines(["text", "whole", "number"], rows, width=20)
        assert len(lines) == len(rows) + 2
        assert all(line.isprintable() for line in lines)
