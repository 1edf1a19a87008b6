"""The report: complete, safe whatever the items contain, the same for equal data, and without a single request."""

import re
from dataclasses import fields, replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as some

from curate.report import ReportData, render
from curate.report.data import (
    Agreement,
    Alignment,
    Arrival,
    CalibrationSummary,
    CommitRow,
    ConsensusSummary,
    Drop,
    Export,
    Funnel,
    GateSummary,
    GateVerdict,
    Histogram,
    LabelCount,
    Objection,
    Reject,
    RequestTotal,
    Rival,
    Sample,
    SnapshotSummary,
    SourceShare,
    Stage,
)
from curate.report.learned import Accuracy, Increment, LearnerSummary, SliceSummary
from curate.report.structures import (
    AttributeShare,
    DimensionSummary,
    SliceError,
    StructureSummary,
    Subpopulation,
)

_VOID = {"meta", "br", "hr", "img", "input", "link"}


def _data(text: str = "a text") -> ReportData:
    """A report with something in every part, and `text` wherever the outside world can put one."""
    sample = Sample("ab" * 32, text, text, 0.25)
    increments = (
        Increment(1, 100, None, Accuracy(0.9, 50), (text,)),
        Increment(2, 100, Accuracy(0.5, 90), Accuracy(0.8, 90), (), Accuracy(0.8, 90), 1.5, 123_456, 7_890),
    )
    return ReportData(
        project=text,
        commit_number=1234,
        committed_at="2026-11-23 10:00:00 UTC",
        version="0.1.0",
        funnels=(Funnel(text, (Stage("arrived", 5), Stage("kept", 3, (Drop(text, 2, (sample,)),)))),),
        objections=(Objection(text, text, "drop", 4),),
        arrivals=(Arrival(text, "text", 6, 5, 1),),
        rejects=(Reject(text, 1, ((text, text),)),),
        alignments=(
            Alignment(
                text,
                text,
                Histogram.of([0.1, 0.2], [False, True]),
                0.2,
                (sample,),
                (sample,),
                -0.6,
                text,
                0.9,
                0.3,
                rivals=(Rival(text, (0.1, 0.2, 0.3), (2.0, 2.5, 3.0), (-0.6, -0.5, -0.4), (0.25, 0.5, 0.75)),),
                sources=(SourceShare(text, 3, (0.2, 0.5, 0.8), 0.4),),
            ),
        ),
        labels=(LabelCount(text, text, text, 5, 0.75),),
        agreements=(Agreement(text, text, text, 3, 4), Agreement("kind", "a", "b", 0, 0)),
        gates=(
            GateSummary(
                text,
                (
                    GateVerdict(text, text, "passed", 90, 88, 0.98, 0.92, 0.99, "wilson", 0.85, 0.9, text),
                    GateVerdict("mood", text, "open", 0, 0, None, 0.0, 1.0, "wilson", 0.85, 0.0, ""),
                ),
                2,
                120,
                90,
                3,
                4,
            ),
            GateSummary("other/1", (), 1, 10, 10, 0, 0),
        ),
        calibrations=(
            CalibrationSummary(text, text, 60, 0.8, 0.2, 0.05, 2.0, 0.9),
            CalibrationSummary("eye", "top", 60, 0.8, 0.2, 0.05),
        ),
        consensus=(
            ConsensusSummary(text, text, 0.5, ((text, 0.9, 3),)),
            ConsensusSummary("kind", "majority", None, ()),
        ),
        structures=(
            StructureSummary(
                text,
                text,
                (
                    DimensionSummary(text, (AttributeShare(text, 3, 1, text),), (0.9, 0.5, 0.95)),
                    DimensionSummary("empty", ()),
                ),
                (
                    Subpopulation(text, 3, (text,), (SliceError(text, 0.5, 0.4, 0.6, 0.7, confirmed=True),)),
                    Subpopulation("quiet", 2, (), (SliceError("l", 0.1, 0.0, 0.2),)),
                ),
                7,
            ),
        ),
        requests=(RequestTotal(text, 40, 1000, 50, 33.0),),
        snapshots=(SnapshotSummary(text, 1, 3, "cd" * 32, (("train", 2), ("test", 1)), ((text, 3),), 3, 0),),
        exports=(Export(text, 1, text),),
        learners=(
            LearnerSummary(
                text,
                text,
                "pixels",
                "ef" * 32,
                increments,
                classes=(SliceSummary(text, Accuracy(1.0, 9), Accuracy(0.5, 9)),),
                slices=(SliceSummary(f"season:{text}", Accuracy(0.75, 8)),),
                baselines=((text, Accuracy(0.1, 90)),),
                matrix=((1, (0.9, None)), (2, (0.8, 0.7))),
                over_time=(("forward transfer", 0.25, text),),
                forgetting=0.05,
                served="ab" * 32,
                kept=text,
            ),
        ),
        commits=(CommitRow(1, text, 10, 0.5),),
    )


class _Outline(HTMLParser):
    """Collects tags and checks that they nest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_equal_data_give_equal_bytes() -> None:
    assert render(_data()) == render(_data())


def test_every_part_is_shown() -> None:
    page = render(_data("something"))
    for shown in (
        "1,234",
        "2026-11-23",
        "75.0%",
        "-0.600",
        "33.0 s",
        "+3 -0",
        "efefefefefef",
        "cdcdcdcdcdcd",
        "90.0%",
    ):
        assert shown in page


def test_counted_shares_carry_their_interval() -> None:
    assert '75.0% <span class="quiet">(30.1 to 95.4%, n = 4)' in render(_data())


@pytest.mark.parametrize("part", [field.name for field in fields(ReportData) if field.default == ()])
def test_an_empty_part_becomes_a_sentence(part: str) -> None:
    page = render(replace(_data(), **{part: ()}))
    assert len(_Outline(page).all("section")) == 11
    assert re.search(r"<p>(No|Nothing|It has not)[^<]+\.</p>|<p>No item has an alignment score", page)


def test_places_in_an_order_are_shown_as_ranks() -> None:
    ranked = Alignment(
        "fused", "target", Histogram.of([0, -1_029], [True, False]), 0.0, (Sample("ab", "", "", -29.0),), ranks=True
    )
    page = render(replace(_data(), alignments=(ranked,)))
    assert "First ranks" in page
    assert "· rank 30" in page
    assert "lowest selected: rank 1<" in page
    assert "-29" not in page
    assert ">1,030</text>" in page
    assert "Highest scores" in render(_data())


def test_an_empty_store_has_a_report_without_tables() -> None:
    outline = _Outline(render(ReportData("empty", 0, "")))
    assert outline.all("table") == []
    assert len(outline.all("h2")) == 11


def test_a_learner_without_increments_is_no_error() -> None:
    assert "has not learnt" in render(replace(_data(), learners=(LearnerSummary("a", "b", "c", ""),)))


def test_an_accuracy_of_no_items_is_not_shown_as_a_figure() -> None:
    nothing = Increment(1, 5, Accuracy(0.0, 0), Accuracy(0.0, 0))
    page = render(replace(_data(), learners=(LearnerSummary("a", "b", "c", "", (nothing,)),)))
    learners = page[page.index('id="learners"') : page.index('id="commits"')]
    assert learners.count("no test items") == 2
    assert "0.0%" not in learners
    assert "<circle" not in learners
    assert "accuracy of a" not in page


def test_content_cannot_become_markup() -> None:
    hostile = "</pre><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7*7 }}"
    outline = _Outline(render(_data(hostile)))
    assert outline.all("script") == []
    assert outline.all("img") == []
    assert not [name for _, attributes in outline.tags for name in attributes if name.startswith("on")]
    assert "{{ 7*7 }}" in render(_data(hostile))


@pytest.mark.parametrize("bad", ["\x00", "\x1b[31m", "\ud83d", "\u202e", "\x85", "\uffff"])
def test_what_a_page_cannot_show_is_replaced(bad: str) -> None:
    page = render(_data(f"before{bad}after"))
    assert bad[0] not in page
    assert "before\ufffd" in page
    page.encode("utf-8")


@given(some.text(some.characters(), max_size=40))
def test_any_text_leaves_the_structure_alone(text: str) -> None:
    page = render(_data(text))
    page.encode("utf-8")
    tags = [tag for tag, _ in _Outline(page).tags]
    assert tags.count("section") == 11
    assert "script" not in tags


def test_nothing_is_requested_from_anywhere() -> None:
    page = render(_data())
    assert not re.search(r"(src|srcset|action|data|poster)\s*=|url\(|@import|<link|<script|https?:", page)
    assert all(link["href"].startswith("#") for link in _Outline(page).all("a"))
    assert "default-src 'none'" in page


def test_people_who_cannot_see_the_page_can_use_it() -> None:
    outline = _Outline(render(_data()))
    assert [tag for tag, _ in outline.tags if tag == "h1"] == ["h1"]
    assert len(outline.all("caption")) == len(outline.all("table")) > 0
    assert all("scope" in cell for cell in outline.all("th"))
    assert all(chart.get("role") == "img" or chart.get("aria-hidden") == "true" for chart in outline.all("svg"))
    assert outline.all("html") == [{"lang": "en"}]
    identifiers = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    assert {link["href"].removeprefix("#") for link in outline.all("a")} <= set(identifiers)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ink", ["ink", "quiet", "chosen"])
@pytest.mark.parametrize("ground", ["page", "panel"])
def test_text_stands_out_in_both_themes(theme: int, ink: str, ground: str) -> None:
    page = render(ReportData("empty", 0, ""))
    colours = [re.findall(rf"--{name}: #(\w{{6}})", page)[theme] for name in (ink, ground)]
    bright, dim = sorted(map(_luminance, colours), reverse=True)
    assert (bright + 0.05) / (dim + 0.05) >= 4.5


def _luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_long_histories_are_cut_to_the_newest_commits() -> None:
    commits = tuple(CommitRow(number, "ingest", 1, 0.1) for number in range(1, 2001))
    page = render(replace(_data(), commits=commits))
    assert "of 2,000" in page
    assert page.count(">ingest<") == 40
    assert page.index(">2,000</th>") < page.index(">1,961</th>")


def test_histogram_counts_every_score_once() -> None:
    found = Histogram.of([0.0, 0.5, 1.0, 1.0], [False, True, True, False], bins=3)
    assert sum(found.counts) == 4
    assert sum(found.selected) == 2
    assert Histogram.of([0.3], [True], bins=2).counts == (1, 0)
