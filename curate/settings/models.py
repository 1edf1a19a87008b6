"""The shape of `curate.toml`: one frozen model a section, unknown keys forbidden, every default in one place."""

import shlex
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StrictBool, StrictFloat, StrictInt, StringConstraints

from curate.settings.acquire import AcquireSettings
from curate.settings.adapters import AdapterSettings
from curate.settings.annotators import AnnotatorSettings as AnnotatorSettings
from curate.settings.discover import DiscoverSettings
from curate.settings.embed import EmbedSettings
from curate.settings.filtering import FilterSettings
from curate.settings.gate import CalibrationSettings, GateSettings
from curate.settings.promotion import PromotionSettings as PromotionSettings
from curate.settings.protocol import AttributeSettings as AttributeSettings
from curate.settings.protocol import ProtocolSettings as ProtocolSettings
from curate.settings.ranking import RankingSettings as RankingSettings
from curate.settings.section import NAME_PATTERN as NAME_PATTERN
from curate.settings.section import Amount, Count, Filled, FilledPath, Name, Names, ProjectPath, Seconds, Share
from curate.settings.section import Section as Section
from curate.settings.section import distinct as _distinct
from curate.types import MODALITIES, Format, Modality

ExportFormat = Literal["parquet", "jsonl", "webdataset", "label-studio"]
Verification = Literal["pyarrow", "datasets"]
SHINGLES_PATTERN = r"^(words|characters):([1-9]|[1-4][0-9]|50)$"


class SourceSettings(Section):
    """Where items come from; "" as a column name means that there is none.

    `path` is a file, a folder or a glob, an address that fsspec knows such as `s3://bucket/folder`, or `-` for standard
    input. In its place, `command` is a program with its arguments that prints records of the format within `timeout`
    seconds. Secrets come from the environment only.

    `label` is a column, or "folder" for the name of the folder that a file lies in; such labels become annotations of
    `attribute` by an annotator that has the source's name. `licence` is that of everything from here, save for items
    that name their own in `licence_column`.
    """

    name: Name
    path: FilledPath = ""
    command: tuple[str, ...] = ()
    timeout: Seconds = 300.0
    modality: Modality = "text"
    format: Format = "auto"
    text: str = "text"
    image: str = "image"
    events: str = "events"
    label: str = ""
    attribute: Filled = "label"
    id: str = ""
    meta: Names = ()
    licence: str = ""
    licence_column: str = ""
    time_unit: str = "days"

    @property
    def address(self) -> str:
        """Where items come from, in one line."""
        return self.path or shlex.join(self.command)


class DedupSettings(Section):
    """Duplicates: texts equal after normalisation; with `near` also texts, with `images` images that are alike.

    Texts are alike whose sets of `shingles` (runs of words or of characters) have a Jaccard similarity of `threshold`;
    images whose perceptual hashes differ in at most `image_distance` of 64 bits.
    """

    enabled: StrictBool = True
    near: StrictBool = True
    threshold: Annotated[StrictFloat, Field(gt=0, le=1)] = 0.8
    shingles: Annotated[str, StringConstraints(pattern=SHINGLES_PATTERN)] = "words:3"
    images: StrictBool = True
    image_distance: Annotated[StrictInt, Field(ge=0, le=8)] = 4


class FurtherTargetSettings(Section):
    """A further target, whose scores are those of the selector `align:NAME`."""

    name: Name
    target: FilledPath


class AlignSettings(Section):
    """Alignment to the texts of `target` (a file or a folder; "" switches the step off), and of `more` targets.

    `length_control` takes the texts' length out of the scores; the scores without it are kept beside them. `reduce`
    says what an item's score is made of: its mean over the target's texts, the nearest of them, or the mean of the
    `top_m` nearest. `sampled` scores against so many of the target's texts, drawn at random; 0 is all. A `confidence`
    below 1 lets the texts of `curate align --shards` race for the best places, and misses one of the best with the
    probability that is left; the walk keeps a score of every text and does not race. `baselines` puts what random
    choice, the shortest texts, TF-IDF, importance and the fused selector would have chosen beside every snapshot that
    is ordered by `align`, `align:NAME`, `fused`, `mix` (with all its parts) or `ranking:NAME`.
    """

    target: ProjectPath = ""
    compressor: Filled = "lz4-block"
    reduce: Literal["mean", "max", "top-m"] = "mean"
    top_m: Annotated[StrictInt, Field(ge=1)] = 8
    sampled: Annotated[StrictInt, Field(ge=0)] = 0
    confidence: Annotated[StrictFloat, Field(gt=0.5, le=1)] = 1.0
    length_control: Literal["none", "geometric", "windows"] = "none"
    baselines: StrictBool = True
    more: tuple[FurtherTargetSettings, ...] = ()


class FuseSettings(Section):
    """The selector `fused`: the best `candidates` by alignment, ordered anew by relevance and coverage together.

    The others follow in alignment's order. 0 switches the step off.
    """

    candidates: Annotated[StrictInt, Field(ge=0)] = 0


class MixSettings(Section):
    """One order for several targets: selectors take their best candidates by turns, `parts` says how much of it each.

    A snapshot that is ordered by "mix" has about these parts at any limit and budget. They are parts of items, or of
    characters or tokens of a `tokenizer`, as a budget has it. No parts switch the step off.
    """

    parts: dict[str, Annotated[StrictFloat | StrictInt, Field(gt=0, allow_inf_nan=False)]] = {}
    unit: Literal["items", "characters", "tokens"] = "items"
    tokenizer: str = ""


Split = Literal["train", "validation", "test"]
Decided = Literal["keep", "drop", "query", "skip", "none"]
Bound = Annotated[StrictFloat, Field(allow_inf_nan=False)]
FilledNames = Annotated[Names, Field(min_length=1)]


class ScoreRangeSettings(Section):
    """Only items whose newest score by `selector` lies between `min` and `max`, both included."""

    selector: Name
    min: Bound | None = None
    max: Bound | None = None


class QuotaSettings(Section):
    """At most so many items with each value of `attribute`: `values` by value, `most` for others (0 = any number)."""

    attribute: Name
    most: Count = 0
    values: dict[str, Annotated[StrictInt, Field(ge=1)]] = {}


class BudgetSettings(Section):
    """How much text at most, in Unicode `characters` or in `tokens` of a `tokenizer` (0 = any amount).

    The tokenizer is characters, words or bytes, or the path of a model's tokenizer.json.
    """

    characters: Count = 0
    tokens: Count = 0
    tokenizer: str = ""


class ConsensusSettings(Section):
    """How the claims of several annotators about one attribute become one value with a posterior ("none" = not at all).

    `bayesian` weighs annotators by how right they are, value by value, with priors for those who said little. What
    `learners` claim is left out unless told otherwise, so that a learner can learn from the values. The annotator that
    `model` names is no voter: its confidences count as probabilities, damped by how far the others bear them out
    (`bayesian`) or weighed by trust (`crowdlab`).
    """

    method: Literal["bayesian", "crowdlab", "dawid-skene", "majority", "none"] = "bayesian"
    model: str = ""
    learners: StrictBool = False


class SnapshotSettings(Section):
    """A training set: which items, in which order, how many at most (0 = all), with which label, split how.

    `annotators` is the order of trust: the first that has claimed a value decides; `consensus` stands for the value
    drawn from all claims, `people` for every person. Others follow, or count for nothing where it is `strict`. A new
    number waits until so many of its items came, went or bear another label (`wait`, 0 = any change); no longer where
    an annotator fell back at the label's gate or the protocol's version is new. No `sources` means all. `values` are
    the allowed values by attribute, `decisions` the allowed latest decisions by step ("none": it has not decided); what
    any other step drops is out. `order_by` names a selector, whose best come first.
    """

    name: Name
    modality: Modality = "text"
    sources: Names = ()
    values: dict[str, FilledNames] = {}
    scores: tuple[ScoreRangeSettings, ...] = ()
    decisions: dict[str, Annotated[tuple[Decided, ...], Field(min_length=1), AfterValidator(_distinct)]] = {}
    order_by: str = ""
    limit: Count = 0
    budget: BudgetSettings = BudgetSettings()
    quotas: tuple[QuotaSettings, ...] = ()
    label: str = ""
    annotators: Names = ()
    strict: StrictBool = False
    wait: Count = 0
    splits: dict[Split, Share] = {"train": 0.8, "validation": 0.1, "test": 0.1}


class ExportSettings(Section):
    """Where training sets are written, and how.

    Parquet is always written; `formats` adds others. A shard holds up to `shard_megabytes` of content. `verify` is what
    loads each export back before it is put in place; `datasets` takes seconds longer. `hub` is the user or organisation
    under whose name `curate export --push` sends the folders to a hub ("" = nowhere), as `private` or public data sets;
    the hub's address is the variable HF_ENDPOINT's, the token HF_TOKEN's.
    """

    folder: FilledPath = "exports"
    formats: Annotated[tuple[ExportFormat, ...], AfterValidator(_distinct)] = ("parquet",)
    shard_megabytes: Annotated[StrictInt, Field(ge=1)] = 128
    verify: Verification = "pyarrow"
    hub: str = ""
    private: StrictBool = True


class LearnerSettings(Section):
    """A continual learner that consumes one snapshot; `parameters` are its kind's, `promotion` says what is served.

    `slices` are attributes of the protocol by whose values the test items are looked at, and guarded, part by part.
    Where the kind turns to one of several tasks, `task` says what tells an item's task: an attribute, "source", or
    "meta:COLUMN" (a column of a source's `meta`); without it each number of the snapshot is a task.
    """

    name: Name
    kind: str = "key-value-bottleneck"
    snapshot: str
    encoder: str = "pixels:8"
    seed: Count = 0
    parameters: dict[str, StrictBool | StrictInt | StrictFloat | str] = {}
    slices: Names = ()
    task: str = ""
    promotion: PromotionSettings = PromotionSettings()


class LabelSettings(Section):
    """The labelling page: where it listens (`port` 0 = any free one), and what it asks.

    `people` answer each question; whoever is shown one holds it for `hold` seconds. No `attributes` means all. With a
    `budget` no more answers than that are taken (0 = any number).
    """

    host: Filled = "127.0.0.1"
    port: Annotated[StrictInt, Field(ge=0, le=65_535)] = 8765
    attributes: Names = ()
    modalities: Annotated[tuple[Modality, ...], Field(min_length=1), AfterValidator(_distinct)] = MODALITIES
    people: Annotated[StrictInt, Field(ge=1)] = 1
    budget: Count = 0
    hold: Seconds = 120.0


class SpendingSettings(Section):
    """What may be spent in all (`ceiling` 0 = any amount), on models and on people, who get `label_price` an answer.

    Models' prices stand with their annotators.
    """

    ceiling: Amount = 0.0
    label_price: Amount = 0.0


class ReportSettings(Section):
    """Where the report is written."""

    path: FilledPath = "report.html"


class ScheduleSettings(Section):
    """When `curate serve` runs the steps: minute, hour, day of month, month, day of week."""

    cron: str = "*/10 * * * *"


class WatchSettings(Section):
    """How sources are watched: a look `every` so many seconds; a file counts once two looks in a row found it alike.

    `curate serve` watches if it is `enabled`, and starts the loop when so many new `items` have come in, or so many
    seconds `after` the first of them.
    """

    enabled: StrictBool = False
    every: Seconds = 5.0
    items: Annotated[StrictInt, Field(ge=1)] = 1000
    after: Amount = 300.0


class LineageSettings(Section):
    """Where OpenLineage run events go: lines of a `file`, requests to an `address` ("" = nowhere).

    Jobs bear the `namespace`. An address gets each event within `timeout` seconds or not at all; its key is read from
    the environment variable `key_variable`.
    """

    file: ProjectPath = ""
    address: str = ""
    namespace: Filled = "curate"
    key_variable: str = "CURATE_LINEAGE_KEY"
    timeout: Seconds = 5.0


class LakeSettings(Section):
    """What belongs to a store on DuckLake, whose address `store` is: `ducklake:postgres:dbname=…`.

    `data` is where Parquet goes when the lake is made: a folder, or `s3://bucket/folder` ("" = `data` inside `folder`).
    `folder` is where this machine keeps the journal and the checkpoints.
    """

    folder: FilledPath = "curate-lake"
    data: ProjectPath = ""


class Settings(Section):
    """All settings of a project, named as in `curate.toml`; relative paths are relative to that file."""

    store: FilledPath = "curate-store"
    lease_timeout: Amount = 30.0
    source: tuple[SourceSettings, ...] = ()
    dedup: DedupSettings = DedupSettings()
    filter: FilterSettings = FilterSettings()
    embed: EmbedSettings = EmbedSettings()
    align: AlignSettings = AlignSettings()
    fuse: FuseSettings = FuseSettings()
    ranking: tuple[RankingSettings, ...] = ()
    mix: MixSettings = MixSettings()
    protocol: ProtocolSettings = ProtocolSettings()
    annotator: tuple[AnnotatorSettings, ...] = ()
    consensus: ConsensusSettings = ConsensusSettings()
    gate: GateSettings = GateSettings()
    calibration: CalibrationSettings = CalibrationSettings()
    label: LabelSettings = LabelSettings()
    discover: DiscoverSettings = DiscoverSettings()
    acquire: tuple[AcquireSettings, ...] = ()
    spending: SpendingSettings = SpendingSettings()
    snapshot: tuple[SnapshotSettings, ...] = ()
    export: ExportSettings = ExportSettings()
    learner: tuple[LearnerSettings, ...] = ()
    adapter: tuple[AdapterSettings, ...] = ()
    report: ReportSettings = ReportSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    watch: WatchSettings = WatchSettings()
    lineage: LineageSettings = LineageSettings()
    lake: LakeSettings = LakeSettings()

    def as_mapping(self) -> dict[str, Any]:
        """Return all values as plain dictionaries and lists, for JSON."""
        return self.model_dump(mode="json")
