"""A structure as a TOML file that a person edits."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from curate.annotate.discovery.structure import Dimension, Structure, dimension_of
from curate.errors import ConfigurationError

_HEAD = """\
# What `curate discover` found. Edit it, then type: curate discover --edit
# Delete, add or rename dimensions and attributes as you like.
#   was = ["old name"]                      in a dimension: it was called so; its assignments are kept
#   merged = { coast = ["sea", "shore"] }   attributes that are one now; their assignments are kept
#   locked = true                           discovery leaves the dimension as it is
#   classes = ["cat"]                       only items of these classes have the dimension
"""
_KEYS = ("name", "attributes", "description", "locked", "pinned", "classes", "was", "merged")


def write_structure(structure: Structure) -> str:
    """Write a structure as TOML, with a few words on how to edit it."""
    lines = [_HEAD, f"name = {_string(structure.name)}", f"of_class = {_string(structure.of_class)}"]
    for dimension in structure.dimensions:
        lines += ["", "[[dimension]]", *_entries(dimension)]
    return "\n".join(lines) + "\n"


def read_structure(text: str) -> Structure:
    """Read a structure that a person may have edited.

    Raises:
        ConfigurationError: it is no TOML, has keys that are unknown, or names that cannot be told apart.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _unusable(f"it is no TOML: {error}") from error
    _check(data, ("name", "of_class", "dimension"), "the file")
    entries = data.get("dimension", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _unusable("dimensions stand under [[dimension]]")
    return Structure(
        _text(data.get("name", "subpopulations"), "name"),
        _text(data.get("of_class", ""), "of_class"),
        tuple(map(_dimension, entries)),
    )


def _dimension(entry: Mapping[str, Any]) -> Dimension:
    if not isinstance(entry.get("name"), str):
        raise _unusable("a [[dimension]] lacks its name")
    where = f"dimension {entry['name']!r}"
    _check(entry, _KEYS, where)
    for name in ("attributes", "classes", "was"):
        _list_of_texts(entry.get(name, []), f"{where}: {name}")
    merged = entry.get("merged", {})
    if not isinstance(merged, dict):
        raise _unusable(f"{where}: merged is a table of lists")
    for olds in merged.values():
        _list_of_texts(olds, f"{where}: merged")
    if not all(isinstance(entry.get(name, False), bool) for name in ("locked", "pinned")):
        raise _unusable(f"{where}: locked and pinned are true or false")
    _text(entry.get("description", ""), f"{where}: description")
    return dimension_of(entry)


def _entries(dimension: Dimension) -> list[str]:
    lines = [f"name = {_string(dimension.name)}", f"attributes = {_list(dimension.attributes)}"]
    if dimension.description:
        lines.append(f"description = {_string(dimension.description)}")
    lines += [f"{name} = true" for name in ("locked", "pinned") if getattr(dimension, name)]
    lines += [f"{name} = {_list(found)}" for name in ("classes", "was") if (found := getattr(dimension, name))]
    if dimension.merged:
        pairs = ", ".join(f"{_string(new)} = {_list(olds)}" for new, olds in dimension.merged.items())
        lines.append(f"merged = {{ {pairs} }}")
    return lines


def _string(text: str) -> str:
    """Write a basic string: what JSON writes is one, but for the character 127."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _list(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(_string, texts))}]"


def _check(entry: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    if unknown := sorted(set(entry) - set(known)):
        raise _unusable(f"{where} has the unknown key {unknown[0]!r}; known are {', '.join(known)}")


def _list_of_texts(value: Any, where: str) -> None:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _unusable(f"{where} is a list of texts")


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise _unusable(f"{where} is a text")
    return value


def _unusable(reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"the structure's file cannot be used: {reason}",
        unchanged="the structure stayed as it was",
        hint="put the file right, or delete it: curate discover --edit then writes it anew",
    )
