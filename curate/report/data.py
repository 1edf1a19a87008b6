"""The values that a report shows: plain and frozen, filled by whoever reads the store.

Every part may be empty; the report then says so in a sentence. Counts are exact integers, seconds and scores floats,
accuracies shares of counted items, so that the report can give each its interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from curate.report.learned import LearnerSummary
from curate.report.structures import StructureSummary


@dataclass(frozen=True, slots=True)
class Sample:
    """One item as an example: its id, where it was met, the beginning of its content, and a score where one exists."""

    item_id: str
    locator: str = ""
    excerpt: str = ""
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Drop:
    """How many items left the funnel at one stage for one reason, with a few of them."""

    reason: str
    count: int
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the funnel: how many items are left after it, and why the others are not."""

    name: str
    count: int
    drops: tuple[Drop, ...] = ()


@dataclass(frozen=True, slots=True)
class Funnel:
    """The way of one snapshot's candidates, from everything that came in to what was picked."""

    name: str
    stages: tuple[Stage, ...]


@dataclass(frozen=True, slots=True)
class Objection:
    """How many items a kind of one of the filter's rules objects to, and what was decided about them."""

    rule: str
    kind: str
    action: str
    items: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """What one source brought: `origins` counts arrivals, `items` different contents, `rejects` unusable rows."""

    source: str
    modality: str
    origins: int
    items: int
    rejects: int = 0


@dataclass(frozen=True, slots=True)
class Reject:
    """Unusable input of one reason; `samples` are pairs of locator and detail."""

    reason: str
    count: int
    samples: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts between neighbouring `edges` (one more than counts), of all candidates and of the selected ones."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    selected: tuple[int, ...]

    @classmethod
    def of(cls, scores: Sequence[float], selected: Sequence[bool], bins: int = 40) -> Histogram:
        """Count finite scores into equal bins; the last bin includes its upper edge.

        >>> Histogram.of([0.0, 0.1, 1.0], [False, False, True], bins=2)
        Histogram(edges=(0.0, 0.5, 1.0), counts=(2, 1), selected=(0, 1))
        """
        low, high = min(scores, default=0.0), max(scores, default=1.0)
        width = (high - low) / bins or 1.0 / bins
        counts, chosen = [0] * bins, [0] * bins
        for score, is_selected in zip(scores, selected, strict=True):
            place = min(int((score - low) / width), bins - 1)
            counts[place] += 1
            chosen[place] += is_selected
        return cls(tuple(low + place * width for place in range(bins + 1)), tuple(counts), tuple(chosen))


@dataclass(frozen=True, slots=True)
class Rival:
    """What one way to choose is worth on a sample of the candidates; each figure with its bounds (low, value, high).

    `bits` per character of held-out targets: lower is better. `overlap` is the share that alignment chooses too.
    """

    selector: str
    kl_reduction: tuple[float, float, float]
    bits: tuple[float, float, float] | None
    length_bias: tuple[float, float, float]
    overlap: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class SourceShare:
    """How many of the selected came from a source: their share with its bounds, and that of the candidates."""

    source: str
    selected: int
    share: tuple[float, float, float]
    of_candidates: float


@dataclass(frozen=True, slots=True)
class Alignment:
    """The scores of one selector against one target, which are places in an order where they are `ranks`.

    `cut` is the lowest selected score; `spearman_length` the rank correlation of score and text length over the
    candidates, and `uncontrolled_length` that of the scores without length control, where it is on. `selected_share`
    and `random_share` say how much of the selection, and of as many candidates drawn at random, bears the wanted label;
    `share_of` names that label. `rivals` are the selector itself and the baselines beside it, `sources` where the
    selected come from.
    """

    selector: str
    target: str
    histogram: Histogram
    cut: float | None = None
    top: tuple[Sample, ...] = ()
    bottom: tuple[Sample, ...] = ()
    spearman_length: float | None = None
    share_of: str = ""
    selected_share: float | None = None
    random_share: float | None = None
    uncontrolled_length: float | None = None
    rivals: tuple[Rival, ...] = ()
    sources: tuple[SourceShare, ...] = ()
    ranks: bool = False


@dataclass(frozen=True, slots=True)
class LabelCount:
    """How often one annotator claimed one value of an attribute, and how sure it was on average."""

    attribute: str
    annotator: str
    value: str
    count: int
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often two annotators claimed the same value, where both spoke about the same item and attribute."""

    attribute: str
    first: str
    second: str
    agreed: int
    both: int


@dataclass(frozen=True, slots=True)
class ConsensusSummary:
    """What annotators are worth on one attribute: agreement beyond chance, and of each (name, accuracy, claims).

    `alpha` is Krippendorff's; None where chance cannot be told from agreement. Accuracies are expected ones, under the
    consensus drawn by `method`. `kappas` are (name, whom, value), where there is one.
    """

    attribute: str
    method: str
    alpha: float | None
    annotators: tuple[tuple[str, float, int], ...]
    kappas: tuple[tuple[str, str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class LabelPurchase:
    """The accuracy while a hundred labels came, up to the label `labels`, and its `gain` over the hundred before."""

    labels: int
    accuracy: float
    low: float
    high: float
    gain: float | None


@dataclass(frozen=True, slots=True)
class StreamDrift:
    """A drift that a detector saw after so many items of the stream, and so many answers that had been learned."""

    detector: str
    seen: int
    learned: int


@dataclass(frozen=True, slots=True)
class AcquireSummary:
    """A policy of online active learning: items seen and asked about, and how right its learner was before it was told.

    The accuracy, with its bounds at 95 %, is weighted by propensities; None where nothing was left to chance. `arms`
    are a bandit's utilities with the probabilities of their draws, the likeliest first.
    """

    policy: str
    question: str
    seen: int
    asked: int
    judged: int
    accuracy: tuple[float, float, float] | None
    purchases: tuple[LabelPurchase, ...] = ()
    drifts: tuple[StreamDrift, ...] = ()
    arms: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """The gate's newest word on an annotator and attribute; `accuracy` is None without audits, `bar` what it must show.

    `low` and `high` bound the accuracy at 95 %; `bound` is the lower one at the corrected level that the verdict is by.
    """

    attribute: str
    annotator: str
    verdict: str
    audited: int
    right: int
    accuracy: float | None
    low: float
    high: float
    method: str
    bar: float
    bound: float
    reason: str


@dataclass(frozen=True, slots=True)
class GateSummary:
    """The gate of one version of a protocol: verdicts, rounds and questions so far, and answers by who gave them."""

    protocol: str
    verdicts: tuple[GateVerdict, ...]
    rounds: int
    questions: int
    audits: int
    by_people: int
    simulated: int


@dataclass(frozen=True, slots=True)
class CalibrationSummary:
    """How sure an annotator is and how right, by `gold` answers of people: the errors of its confidence, in [0, 1].

    `temperature` is None where the map is another; so is `least`, the confidence from which on claims clear the bar,
    where none does.
    """

    annotator: str
    question: str
    gold: int
    accuracy: float
    before: float
    after: float
    temperature: float | None = None
    least: float | None = None


@dataclass(frozen=True, slots=True)
class RequestTotal:
    """What one model was asked and what it cost; `seconds` is the sum over the calls."""

    model: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class SnapshotSummary:
    """One snapshot, with what it added to and removed from its predecessor."""

    name: str
    number: int
    size: int
    content_hash: str
    splits: tuple[tuple[str, int], ...] = ()
    labels: tuple[tuple[str, int], ...] = ()
    added: int = 0
    removed: int = 0


@dataclass(frozen=True, slots=True)
class Export:
    """One snapshot's export; `path` is shown as given, so give it relative to the project."""

    snapshot: str
    number: int
    path: str


@dataclass(frozen=True, slots=True)
class CommitRow:
    """One committed batch: which step wrote how many rows, and how long it took."""

    number: int
    step: str
    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything a report shows, as of one commit; `committed_at` is that commit's date as a person should read it.

    `commits` come in their order; the report shows the last forty.
    """

    project: str
    commit_number: int
    committed_at: str
    version: str = ""
    funnels: tuple[Funnel, ...] = ()
    objections: tuple[Objection, ...] = ()
    arrivals: tuple[Arrival, ...] = ()
    rejects: tuple[Reject, ...] = ()
    alignments: tuple[Alignment, ...] = ()
    labels: tuple[LabelCount, ...] = ()
    agreements: tuple[Agreement, ...] = ()
    consensus: tuple[ConsensusSummary, ...] = ()
    acquired: tuple[AcquireSummary, ...] = ()
    gates: tuple[GateSummary, ...] = ()
    calibrations: tuple[CalibrationSummary, ...] = ()
    structures: tuple[StructureSummary, ...] = ()
    requests: tuple[RequestTotal, ...] = ()
    snapshots: tuple[SnapshotSummary, ...] = ()
    exports: tuple[Export, ...] = ()
    learners: tuple[LearnerSummary, ...] = ()
    commits: tuple[CommitRow, ...] = ()
