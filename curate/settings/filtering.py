"""The section `[filter]`: one table for each rule that filters texts."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictBool, StrictFloat, StrictInt, StringConstraints

from curate.settings.section import Section, distinct
from curate.types import (
    PERSONAL_DATA_KINDS,
    SECRET_KINDS,
    ContaminationMethod,
    PersonalDataKind,
    QualitySet,
    SecretKind,
)

Patterns = Annotated[tuple[Annotated[str, StringConstraints(min_length=1)], ...], AfterValidator(distinct)]
RuleNames = Patterns
Bound = Annotated[StrictFloat | StrictInt, Field(allow_inf_nan=False)]
Regions = Annotated[
    tuple[Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")], ...],
    AfterValidator(distinct),
]


class FilterRuleSettings(Section):
    """A rule: whether it is asked, and what follows where it finds something.

    "drop" takes the item out, "query" leaves the decision to a person, "keep" only notes the reason.
    """

    enabled: StrictBool = False
    action: Literal["drop", "query", "keep"] = "drop"


class PersonalDataSettings(FilterRuleSettings):
    """Email and IP addresses and numbers of persons in texts.

    `allow` are patterns of values that are no findings, with `*` and `?`, whatever their letter case. `regions` are
    countries, in two capital letters, whose telephone numbers are found without a `+` too.
    """

    allow: Patterns = ()
    kinds: Annotated[tuple[PersonalDataKind, ...], Field(min_length=1), AfterValidator(distinct)] = PERSONAL_DATA_KINDS
    regions: Regions = ()


class SecretsSettings(FilterRuleSettings):
    """Keys, tokens and passwords in texts; `allow` as for personal data."""

    allow: Patterns = ()
    kinds: Annotated[tuple[SecretKind, ...], Field(min_length=1), AfterValidator(distinct)] = SECRET_KINDS


class MeasuredRuleSettings(FilterRuleSettings):
    """Rules with a bound each: `bounds` are others than the usual ones by rule, `without` the rules that are not asked.

    The names of the rules stand in docs/quality.md.
    """

    bounds: dict[str, Bound] = {}
    without: RuleNames = ()


class QualitySettings(MeasuredRuleSettings):
    """Published heuristics over texts, by the names of the sets that they were published in."""

    sets: Annotated[tuple[QualitySet, ...], Field(min_length=1), AfterValidator(distinct)] = (
        "gopher-quality",
        "gopher-repetition",
    )


class LanguageSettings(FilterRuleSettings):
    """Texts in other `languages` than these (codes of ISO 639), or not in one of them with this `confidence`."""

    languages: Annotated[RuleNames, Field(min_length=1)] = ("en",)
    confidence: Annotated[StrictFloat, Field(ge=0, le=1)] = 0.65


class ImageQualitySettings(MeasuredRuleSettings):
    """Rules over images: size, shape, sharpness, exposure, how much there is to see."""


class EventQualitySettings(MeasuredRuleSettings):
    """Rules over event sequences; no time can be before `earliest` or after `latest`, in the sequences' own unit."""

    earliest: Bound | None = None
    latest: Bound | None = None


class ContaminationSettings(FilterRuleSettings):
    """Texts that hold items of the `evaluations`: files and folders whose records have the item in the column `text`.

    `methods` are "shared-runs", which asks for a `share` of the item's words in runs of so many `words`, and
    "alignment", which asks a compressor for that share and sees through wrong letters.
    """

    evaluations: Patterns = ()
    text: Annotated[str, StringConstraints(min_length=1)] = "text"
    methods: Annotated[tuple[ContaminationMethod, ...], Field(min_length=1), AfterValidator(distinct)] = (
        "shared-runs",
        "alignment",
    )
    words: Annotated[StrictInt, Field(ge=1, le=50)] = 8
    share: Annotated[StrictFloat, Field(gt=0, le=1)] = 0.5


class ScoreRuleSettings(Section):
    """Items whose newest score by `selector` lies below `min` or above `max`; those without a score stay.

    Any selector's scores will do, and so will claims: `ANNOTATOR:ATTRIBUTE=VALUE` is the confidence with which the
    annotator (a language model, CLIP, a learner; `consensus` for all of them) claims the value, and 0 where it claims
    another.
    """

    selector: Annotated[str, StringConstraints(min_length=1)]
    min: Bound | None = None
    max: Bound | None = None
    action: Literal["drop", "query", "keep"] = "drop"


class FilterSettings(Section):
    """The rules that filter items, all off unless switched on (pip install 'curate[privacy,quality]')."""

    personal_data: PersonalDataSettings = PersonalDataSettings()
    secrets: SecretsSettings = SecretsSettings()
    quality: QualitySettings = QualitySettings()
    language: LanguageSettings = LanguageSettings()
    images: ImageQualitySettings = ImageQualitySettings()
    events: EventQualitySettings = EventQualitySettings()
    contamination: ContaminationSettings = ContaminationSettings()
    score: tuple[ScoreRuleSettings, ...] = ()
