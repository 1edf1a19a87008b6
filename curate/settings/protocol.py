"""The settings of the label protocol."""

from typing import Annotated

from pydantic import Field, StrictBool

from curate.settings.section import Filled, Name, Names, Section


class AttributeSettings(Section):
    """One question of the protocol with its closed list of values; `descriptions` explains values to an LLM.

    It is asked only `when` each attribute named there, which must come before it, has one of the values listed for it.
    Where it is `multiple`, an answer is any number of the values, none included.
    """

    name: Name
    question: Filled
    values: Names = Field(min_length=2)
    descriptions: dict[str, str] = {}
    when: dict[str, Annotated[Names, Field(min_length=1)]] = {}
    multiple: StrictBool = False


class MigrationSettings(Section):
    """How answers to an older version of the protocol read in a newer one (`to_version` "" = the protocol's own).

    `attributes` renames (old = new). `values` says by an attribute's new name what an old value becomes: a new value,
    a list of values it was split into, or an empty list. `reworded` attributes ask the same in other words.
    """

    from_version: Filled
    to_version: str = ""
    attributes: dict[str, str] = {}
    values: dict[str, dict[str, str | tuple[str, ...]]] = {}
    reworded: Names = ()


class ProtocolSettings(Section):
    """What is asked about items; change `version` with the meaning of a question, and say how old answers read."""

    name: str = "default"
    version: str = "1"
    attribute: tuple[AttributeSettings, ...] = ()
    migration: tuple[MigrationSettings, ...] = ()
