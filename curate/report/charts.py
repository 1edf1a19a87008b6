"""Small charts as inline SVG: pure functions from numbers to markup, coloured by the classes of the page's style.

Every chart carries its title and description for people who cannot see it; every label is cleaned and escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

from curate.report.text import clean

_WIDTH, _HEIGHT = 400, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 22, 12, 42
_PLOT_WIDTH = _WIDTH - _LEFT - _RIGHT
_PLOT_HEIGHT = _HEIGHT - _TOP - _BOTTOM


@dataclass(frozen=True, slots=True)
class Point:
    """One value with its interval; all three lie on the chart's vertical scale."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart; `style` is its class, and a missing point is a gap."""

    name: str
    style: str
    points: tuple[Point | None, ...]


def bar(share: float, style: str = "all") -> str:
    """Draw one horizontal bar as wide as its share in [0, 1] of the space; the number stands beside it in the table."""
    width = 100 * min(max(share, 0.0), 1.0)
    return (
        '<svg class="bar" aria-hidden="true" focusable="false"><rect class="track" width="100%" height="100%"/>'
        f'<rect class="{style}" width="{width:.2f}%" height="100%"/></svg>'
    )


def histogram(
    edges: Sequence[float],
    counts: Sequence[int],
    selected: Sequence[int],
    cut: float | None,
    *,
    name: str,
    title: str,
    description: str,
    axis: str = "score",
    tick: Callable[[float], str] = "{:.2f}".format,
) -> str:
    """Draw how many candidates lie between neighbouring edges, and over them how many of those were selected.

    `axis` says what the edges are, `tick` how one is written.
    """
    low, high, most = edges[0], edges[-1], max(counts, default=0) or 1

    def across(value: float) -> float:
        return _LEFT + _PLOT_WIDTH * (value - low) / ((high - low) or 1.0)

    parts = [_level(share, f"{round(share * most):,}") for share in (0.0, 0.5, 1.0)]
    for style, heights in (("all", counts), ("chosen", selected)):
        for place, height in enumerate(heights):
            left, right = across(edges[place]), across(edges[place + 1])
            parts.append(_column(left, right - left, height / most, style))
    if cut is not None:
        parts.append(_upright(across(cut), "cut"))
    parts += [_text(across(value), 16, tick(value)) for value in (low, (low + high) / 2, high)]
    return _figure(name, title, description, [*parts, _axis_title(axis)])


def line_chart(
    series: Sequence[Series], ticks: Sequence[str], *, name: str, title: str, description: str, axis: str
) -> str:
    """Draw shares in [0, 1] over evenly spaced ticks, each with a whisker over its interval."""
    step = _PLOT_WIDTH / max(len(ticks), 1)
    places = [_LEFT + step * (place + 0.5) for place in range(len(ticks))]
    parts = [_level(share, f"{share:.0%}") for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    for line in series:
        parts += _line(line, places)
    every = -(-len(ticks) // 12)
    parts += [_text(places[place], 16, ticks[place]) for place in range(0, len(ticks), every or 1)]
    return _figure(name, title, description, [*parts, _axis_title(axis)])


def _line(line: Series, places: Sequence[float]) -> Iterable[str]:
    known = [(place, point) for place, point in zip(places, line.points, strict=True) if point is not None]
    path = " ".join(f"{place:.1f},{_height(point.value):.1f}" for place, point in known)
    yield f'<g class="series {line.style}"><polyline points="{path}"/>'
    for place, point in known:
        yield (
            f'<line x1="{place:.1f}" x2="{place:.1f}" y1="{_height(point.low):.1f}" y2="{_height(point.high):.1f}"/>'
            f'<circle cx="{place:.1f}" cy="{_height(point.value):.1f}" r="4"/>'
        )
    yield "</g>"


def _height(share: float) -> float:
    return _TOP + _PLOT_HEIGHT * (1.0 - share)


def _level(share: float, label: str) -> str:
    height = _height(share)
    return (
        f'<line class="level" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{height:.1f}" y2="{height:.1f}"/>'
        f'<text class="side" x="{_LEFT - 6}" y="{height + 4:.1f}">{escape(label)}</text>'
    )


def _column(left: float, width: float, share: float, style: str) -> str:
    top = _height(share)
    wide, high = max(width - 0.6, 0.4), _TOP + _PLOT_HEIGHT - top
    return f'<rect class="{style}" x="{left:.2f}" y="{top:.2f}" width="{wide:.2f}" height="{high:.2f}"/>'


def _upright(place: float, style: str) -> str:
    return f'<line class="{style}" x1="{place:.1f}" x2="{place:.1f}" y1="{_TOP}" y2="{_TOP + _PLOT_HEIGHT}"/>'


def _text(place: float, below: float, label: str) -> str:
    return f'<text class="tick" x="{place:.1f}" y="{_TOP + _PLOT_HEIGHT + below:.1f}">{escape(clean(label))}</text>'


def _axis_title(label: str) -> str:
    return _text(_LEFT + _PLOT_WIDTH / 2, 33, label)


def _figure(name: str, title: str, description: str, parts: Iterable[str]) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-labelledby="{name}-title {name}-description">'
        f'<title id="{name}-title">{escape(clean(title))}</title>'
        f'<desc id="{name}-description">{escape(clean(description))}</desc>{"".join(parts)}</svg>'
    )
