"""What every section of `curate.toml` is made of."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictFloat, StrictInt, StringConstraints

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Filled = Annotated[str, StringConstraints(min_length=1)]
Count = Annotated[StrictInt, Field(ge=0)]
Amount = Annotated[StrictFloat, Field(ge=0, allow_inf_nan=False)]
Seconds = Annotated[StrictFloat, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[StrictFloat, Field(ge=0, le=1)]


class PathMark:
    """Marks the settings that are paths: one from a flag or the environment is relative to the working folder."""


ProjectPath = Annotated[str, PathMark()]
FilledPath = Annotated[ProjectPath, StringConstraints(min_length=1)]


class Section(BaseModel):
    """The base of all sections: read once, never changed, no unknown key."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the entries of a list that holds each once.

    Raises:
        ValueError: an entry stands there twice.
    """
    if len(set(values)) < len(values):
        raise ValueError("an entry stands there twice")
    return values


Names = Annotated[tuple[str, ...], AfterValidator(distinct)]
