"""Looking around in the shape of the settings: which keys exist where, and how a path to a value is written."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from curate.settings.models import Settings
from curate.settings.section import PathMark, Section

ENVIRONMENT_PREFIX = "CURATE_"
Location = Sequence[str | int]


@cache
def scalar_fields() -> dict[str, FieldInfo]:
    """Return every setting outside the lists of tables by its dotted key, in the order of the models.

    >>> list(scalar_fields())[:3]
    ['store', 'lease_timeout', 'dedup.enabled']
    """
    return dict(_scalar_fields(Settings, ""))


def list_keys() -> list[str]:
    """Return the keys of the lists of tables, which only the file can hold."""
    return list(_list_keys(Settings, ""))


def environment_name(key: str) -> str:
    """Return the environment variable of a setting.

    >>> environment_name("align.target")
    'CURATE_ALIGN__TARGET'
    """
    return ENVIRONMENT_PREFIX + key.replace(".", "__").upper()


def is_path(field: FieldInfo) -> bool:
    """Whether the setting is a path."""
    return any(isinstance(mark, PathMark) for mark in field.metadata)


def is_address(text: str) -> bool:
    """Whether a value of such a setting is no path after all, but the address of a lake or of object storage.

    >>> [is_address(text) for text in ("s3://bucket/lake", "ducklake:postgres:dbname=curate", "a/b")]
    [True, True, False]
    """
    return "://" in text or text.startswith("ducklake:")


def key_path(location: Location) -> str:
    """Write a location inside the settings for a person.

    >>> key_path(("source", 0, "path"))
    'source[0].path'
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")


def section_at(location: Location) -> type[Section] | None:
    """Return the model that describes the table at a location, where pydantic names a union's member by its tag."""
    current: Sequence[type[Section]] = (Settings,)
    for part in location:
        if isinstance(part, int):
            continue
        tagged = [section for section in current if part in _tags(section)]
        if tagged and len(current) > 1:
            current = tagged
            continue
        fields = [section.model_fields[part] for section in current if part in section.model_fields]
        current = _sections(fields[0].annotation) if fields else ()
    return current[0] if len(current) == 1 else None


def _list_keys(section: type[Section], prefix: str) -> Iterator[str]:
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from _list_keys(field.annotation, f"{prefix}{name}.")
        elif _sections(field.annotation):
            yield prefix + name


def _scalar_fields(section: type[Section], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from _scalar_fields(field.annotation, f"{prefix}{name}.")
        elif not _sections(field.annotation):
            yield prefix + name, field


def _sections(annotation: Any) -> tuple[type[Section], ...]:
    """The models inside an annotation such as `Section`, `tuple[Section, ...]` or a union of sections."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return (annotation,) if issubclass(annotation, Section) else ()
    return tuple(section for argument in get_args(annotation) for section in _sections(argument))


def _tags(section: type[Section]) -> tuple[Any, ...]:
    kind = section.model_fields.get("kind")
    return get_args(kind.annotation) if kind else ()
