"""Charts: well-formed SVG whose geometry follows the numbers."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as some

from curate.report.charts import Point, Series, bar, histogram, line_chart
from curate.report.data import AcquireSummary, LabelPurchase
from curate.report.render import labels_chart

_NAMES = {"name": "chart", "title": "A <title>", "description": 'with "quotes" & more'}
_shares = some.floats(0, 1)


def _parsed(markup: str) -> ElementTree.Element:
    return ElementTree.fromstring(markup)


def _columns(markup: str, style: str) -> list[float]:
    return [float(one.attrib["height"]) for one in _parsed(markup).iter("rect") if one.attrib["class"] == style]


def test_histogram_draws_heights_in_proportion() -> None:
    markup = histogram([0.0, 0.5, 1.0], [4, 8], [0, 2], 0.5, **_NAMES)
    low, high = _columns(markup, "all")
    assert high == pytest.approx(2 * low, abs=0.02)
    assert _columns(markup, "chosen")[1] == pytest.approx(high / 4, abs=0.02)
    assert any(line.attrib["class"] == "cut" for line in _parsed(markup).iter("line"))


def test_charts_say_in_words_what_they_show() -> None:
    chart = _parsed(line_chart([Series("after", "after", (Point(0.5, 0.4, 0.6),))], ["1"], axis="increment", **_NAMES))
    named = {part.attrib["id"]: part.text for part in chart if part.tag in ("title", "desc")}
    assert chart.attrib["role"] == "img"
    assert [named[key] for key in chart.attrib["aria-labelledby"].split()] == [_NAMES["title"], _NAMES["description"]]


def test_line_chart_leaves_a_gap_for_a_missing_point() -> None:
    points = (None, Point(1.0, 0.9, 1.0))
    chart = _parsed(line_chart([Series("before", "before", points)], ["1", "2"], axis="increment", **_NAMES))
    assert len(list(chart.iter("circle"))) == 1


def test_whiskers_span_the_interval() -> None:
    chart = _parsed(line_chart([Series("after", "after", (Point(0.5, 0.0, 1.0),))], ["1"], axis="x", **_NAMES))
    [whisker] = [line for group in chart.iter("g") for line in group.iter("line")]
    levels = [float(line.attrib["y1"]) for line in chart.iter("line") if line.attrib.get("class") == "level"]
    assert float(whisker.attrib["y1"]) == max(levels)
    assert float(whisker.attrib["y2"]) == min(levels)


@given(some.floats(allow_nan=False, allow_infinity=False))
def test_bar_never_leaves_its_track(share: float) -> None:
    _, filled = _parsed(bar(share)).iter("rect")
    assert 0 <= float(filled.attrib["width"].rstrip("%")) <= 100


@given(some.lists(some.tuples(some.integers(0, 10**6), some.integers(0, 100)), min_size=1, max_size=60), some.text())
def test_histogram_is_well_formed_whatever_it_holds(bins: list[tuple[int, int]], title: str) -> None:
    counts = [count for count, _ in bins]
    selected = [count * share // 100 for count, share in bins]
    edges = [place / len(bins) for place in range(len(bins) + 1)]
    _parsed(histogram(edges, counts, selected, None, name="h", title=title, description=title))


@given(some.lists(_shares, min_size=1, max_size=40))
def test_line_chart_is_well_formed_for_any_length(values: list[float]) -> None:
    points = tuple(Point(value, max(value - 0.1, 0), min(value + 0.1, 1)) for value in values)
    markup = line_chart([Series("after", "after", points)], [str(k) for k in range(len(values))], axis="x", **_NAMES)
    assert len(list(_parsed(markup).iter("circle"))) == len(values)


def test_a_policys_chart_shows_accuracy_by_labels() -> None:
    bought = (LabelPurchase(100, 0.5, 0.4, 0.6, None), LabelPurchase(200, 0.8, 0.7, 0.9, 0.3))
    policy = AcquireSummary("topics & <seas>", "notes/1, topic", 4_000, 200, 190, (0.7, 0.6, 0.8), bought)
    chart = labels_chart(policy, "labels-1")
    assert chart.count("<circle") == 2
    assert "From 50.0% to 80.0%." in chart
    assert ">200<" in chart
    assert "topics &amp; &lt;seas&gt;" in chart
