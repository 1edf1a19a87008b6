import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.harness.bars import Bar
from benchmarks.harness.command import Options, Result, main, table
from benchmarks.harness.memory import peak_memory
from benchmarks.harness.paired import take_turns
from curate.errors import MissingExtraError, UsageError
from curate.statistics import Interval

KEPT = Bar("speed", 12.0, 10, interval=Interval(9.0, 12.0, 13.0))
MISSED = Bar("memory", 700.0, 500, "<=")


def run_with(*bars: Bar) -> Callable[[Options], Result]:
    def run(options: Options) -> Result:
        """Measure nothing."""
        return Result(
            bars, [{"method": "a", "pairs/s": 1_234.5}], {"quick": options.quick}, ["numpy", "no-such-package"]
        )

    return run


@pytest.mark.parametrize(
    ("value", "comparison", "bar", "holds"),
    [(10, ">=", 10, True), (9, ">=", 10, False), (10, "<=", 10, True), (11, "<=", 10, False), (0, ">", 0, False)],
)
def test_bars_hold_or_not(value: float, comparison: str, bar: float, holds: bool) -> None:
    assert Bar("x", value, bar, comparison).holds is holds  # type: ignore[arg-type]


def test_what_could_not_be_measured_reaches_no_bar() -> None:
    for comparison in (">=", "<=", ">", "<"):
        bar = Bar("x", math.nan, 1, comparison)  # type: ignore[arg-type]
        assert not bar.holds
        assert bar.as_record()["value"] is None


def test_the_last_line_is_one_json_object(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main("fake", run_with(KEPT, MISSED), ["--results", str(tmp_path)]) == 0
    output = capsys.readouterr()
    summary = json.loads(output.out.splitlines()[-1])
    assert summary["benchmark"] == "fake"
    assert [(bar["name"], bar["value"], bar["bar"], bar["holds"]) for bar in summary["bars"]] == [
        ("speed", 12.0, 10, True),
        ("memory", 700.0, 500, False),
    ]
    assert summary["bars"][0]["interval"] == [9.0, 13.0]
    assert "1,234" in output.out


def test_a_missed_bar_is_said_loudly(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    main("fake", run_with(KEPT, MISSED), ["--results", str(tmp_path)])
    assert capsys.readouterr().err == "BAR MISSED: fake: memory is 700, not <= 500\n"


def test_a_missed_bar_fails_only_where_asked(tmp_path: Path) -> None:
    where = ["--results", str(tmp_path)]
    assert main("fake", run_with(MISSED), where) == 0
    assert main("fake", run_with(MISSED), [*where, "--strict"]) == 1
    assert main("fake", run_with(KEPT), [*where, "--strict"]) == 0


def test_the_record_says_under_which_circumstances(tmp_path: Path) -> None:
    main("fake", run_with(KEPT), ["--results", str(tmp_path), "--seed", "7"])
    text = (tmp_path / "fake.json").read_text()
    record = json.loads(text)
    assert record["seeds"] == [7]
    assert record["versions"]["numpy"][0].isdigit()
    assert record["versions"]["no-such-package"] is None
    assert record["machine"]["cores"] >= 1
    assert {"benchmark", "bars", "rows", "details", "commit", "date"} <= record.keys()
    assert str(Path.home()) not in text
    assert str(tmp_path) not in text


def test_quick_figures_never_replace_good_ones(tmp_path: Path) -> None:
    main("fake", run_with(KEPT), ["--results", str(tmp_path), "--quick"])
    assert [file.name for file in tmp_path.iterdir()] == ["fake.quick.json"]
    assert json.loads((tmp_path / "fake.quick.json").read_text())["details"] == {"quick": True}


def test_a_benchmark_that_cannot_run_says_why(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def run(options: Options) -> Result:
        raise MissingExtraError("the fake benchmark", "benchmarks")

    assert main("fake", run, ["--results", str(tmp_path)]) == 3
    assert "curate[benchmarks]" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_contenders_take_turns_after_a_warm_up() -> None:
    seen: list[str] = []
    take_turns({"a": lambda: seen.append("a"), "b": lambda: seen.append("b")}, 6)
    assert seen == ["a", "b"] * 7


def test_what_comes_before_a_round_is_not_timed() -> None:
    seen: list[str] = []
    timings = take_turns(
        {"a": lambda: seen.append("a")}, 5, before=lambda: seen.append("before"), clock=lambda: float(len(seen))
    )
    assert seen == ["before", "a"] * 6
    assert timings.rounds["a"] == (1.0,) * 5


def clock(*durations: float) -> Iterator[float]:
    """Yield the readings of a fake clock before and after each run."""
    for duration in durations:
        yield 0.0
        yield duration


def test_figures_come_from_the_rounds_and_not_from_the_warm_up() -> None:
    readings = clock(50, 90, *[1, 10, 2, 20, 3, 30, 4, 40, 100, 500])
    timings = take_turns({"a": lambda: None, "b": lambda: None}, clock=lambda: next(readings))
    assert timings.warm_up == {"a": 50, "b": 90}
    assert (timings.median("a"), timings.median("b")) == (3, 30)
    faster = timings.times_faster("a", than="b")
    assert faster.value == 10
    assert 5 <= faster.low <= 10 == faster.high


def test_too_few_rounds_are_refused() -> None:
    with pytest.raises(UsageError, match="too few"):
        take_turns({"a": lambda: None}, 4)


def hold(size: int) -> None:
    bytearray(size)[:] = b"x" * size


def test_peak_memory_is_that_of_the_call_alone() -> None:
    kept = bytearray(400_000_000)
    small, large = peak_memory(hold, 1_000), peak_memory(hold, 60_000_000)
    assert small.peak < len(kept)
    assert small.added < 20_000_000
    assert 100_000_000 <= large.added < 200_000_000


def test_tables_align_numbers_to_the_right() -> None:
    assert table([{"name": "x", "n": 5}, {"name": "long", "n": 0.25}]).splitlines() == [
        "name     n",
        "x        5",
        "long  0.25",
    ]
    assert table([]) == ""
