"""What `python -m benchmarks.NAME` does: options, the table, the JSON line, the results file, the exit code."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness.bars import Bar
from benchmarks.harness.circumstances import circumstances
from curate.errors import CurateError

RESULTS = Path(__file__).resolve().parents[1] / "results"


@dataclass(frozen=True, slots=True)
class Options:
    """What a person asked for: `quick` is a run of at most a minute, whose figures are rough."""

    quick: bool = False
    seed: int = 0

    def note(self, message: str) -> None:
        """Tell on standard error how far the benchmark has come."""
        print(message, file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Result:
    """What a benchmark found: its bars, rows for the table, figures for the record, and the packages that matter."""

    bars: Sequence[Bar]
    rows: Sequence[Mapping[str, object]] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    packages: Sequence[str] = ()


def main(name: str, run: Callable[[Options], Result], arguments: Sequence[str] | None = None) -> int:
    """Run a benchmark from the command line and return the exit code.

    Standard output gets the table and, as its last line, one JSON object with the bars; standard error the progress and
    every bar that was missed. The full record goes to `results/NAME.json`; with `--quick` to `results/NAME.quick.json`,
    so that rough figures never replace good ones.

    A missed bar is a finding and not a failure: the exit code is 0, so that `make bench` measures everything. With
    `--strict` it is 1. A benchmark that cannot run has the exit code of its error.
    """
    options, strict, results = _parsed(name, run, arguments)
    try:
        result = run(options)
    except CurateError as error:
        print(f"benchmark {name}: {error.message}" + (f"\n  {error.hint}" if error.hint else ""), file=sys.stderr)
        return error.exit_code
    summary = {"benchmark": name, "quick": options.quick, "bars": [bar.as_record() for bar in result.bars]}
    record = {
        **summary,
        "rows": [dict(row) for row in result.rows],
        "details": dict(result.details),
        "seeds": [options.seed],
        **circumstances(result.packages),
    }
    results.mkdir(parents=True, exist_ok=True)
    file = results / (f"{name}.quick.json" if options.quick else f"{name}.json")
    file.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    tables = table(result.rows), table([_bar_row(bar) for bar in result.bars])
    print(*tables, json.dumps(summary), sep="\n\n", flush=True)
    missed = [bar for bar in result.bars if not bar.holds]
    for bar in missed:
        print(f"BAR MISSED: {name}: {bar.name} is {bar.value:.6g}, not {bar.comparison} {bar.bar:g}", file=sys.stderr)
    return 1 if strict and missed else 0


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Lay rows out as text, one column for each key of the first row; numbers to the right.

    >>> print(table([{"method": "lz4", "pairs/s": 1250.0}, {"method": "gzip", "pairs/s": 40.5}]))
    method  pairs/s
    lz4       1,250
    gzip       40.5
    """
    if not rows:
        return ""
    names = list(rows[0])
    cells = [names, *([_cell(row.get(name, "")) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    sides = [">" if isinstance(rows[0][name], (int, float)) else "<" for name in names]
    aligned = [
        [f"{cell:{side}{width}}" for cell, side, width in zip(line, sides, widths, strict=True)] for line in cells
    ]
    return "\n".join("  ".join(line).rstrip() for line in aligned)


def _cell(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


def _bar_row(bar: Bar) -> dict[str, object]:
    return {
        "bar": bar.name,
        "value": bar.value,
        "interval": f"[{bar.interval.low:.4g}, {bar.interval.high:.4g}]" if bar.interval else "",
        "must be": f"{bar.comparison} {bar.bar:g}",
        "holds": "yes" if bar.holds else "NO",
    }


def _parsed(name: str, run: Callable[[Options], Result], arguments: Sequence[str] | None) -> tuple[Options, bool, Path]:
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=run.__doc__)
    parser.add_argument("--quick", action="store_true", help="rough figures within a minute")
    parser.add_argument("--seed", type=int, default=0, help="for every random choice (default: 0)")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a bar is missed")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the record (default: %(default)s)")
    given = parser.parse_args(arguments)
    return Options(given.quick, given.seed), given.strict, given.results
