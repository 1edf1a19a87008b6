"""The section `[filter]`: one table for each rule that filters texts."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictBool, StringConstraints

from curate.settings.section import Section, distinct
from curate.types import PERSONAL_DATA_KINDS, SECRET_KINDS, PersonalDataKind, SecretKind

Patterns = Annotated[tuple[Annotated[str, StringConstraints(min_length=1)], ...], AfterValidator(distinct)]
Regions = Annotated[
    tuple[Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")], ...],
    AfterValidator(distinct),
]


class FilterRuleSettings(Section):
    """A rule: whether it is asked, and what follows where it finds something.

    "drop" takes the item out, "query" leaves the decision to a person, "keep" only notes the reason. `allow` are
    patterns of values that are no findings, with `*` and `?`, whatever their letter case.
    """

    enabled: StrictBool = False
    action: Literal["drop", "query", "keep"] = "drop"
    allow: Patterns = ()


class PersonalDataSettings(FilterRuleSettings):
    """Email and IP addresses and numbers of persons in texts.

    `regions` are countries, in two capital letters, whose telephone numbers are found without a `+` too.
    """

    kinds: Annotated[tuple[PersonalDataKind, ...], Field(min_length=1), AfterValidator(distinct)] = PERSONAL_DATA_KINDS
    regions: Regions = ()


class SecretsSettings(FilterRuleSettings):
    """Keys, tokens and passwords in texts."""

    kinds: Annotated[tuple[SecretKind, ...], Field(min_length=1), AfterValidator(distinct)] = SECRET_KINDS


class FilterSettings(Section):
    """The rules that filter texts, all off unless switched on (pip install 'curate[privacy]')."""

    personal_data: PersonalDataSettings = PersonalDataSettings()
    secrets: SecretsSettings = SecretsSettings()
