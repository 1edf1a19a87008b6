"""What every section of `curate.toml` is made of."""

from pydantic import BaseModel, ConfigDict


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
