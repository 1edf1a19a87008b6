"""Reading the settings: flags over environment over file over defaults, and each value remembers which it was."""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from curate.errors import ConfigurationError
from curate.settings.checks import check_settings
from curate.settings.fields import (
    ENVIRONMENT_PREFIX,
    environment_name,
    is_address,
    is_path,
    list_keys,
    scalar_fields,
)
from curate.settings.models import Settings
from curate.settings.problems import explain_problem, file_only, is_secret, unknown_variable

PROJECT_FILE = "curate.toml"


@dataclass(frozen=True, slots=True)
class SettingValue:
    """One value with where it comes from: "default", the file's name, an environment variable or a flag."""

    key: str
    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Checked settings, and every single value with its source."""

    settings: Settings
    values: tuple[SettingValue, ...]


def find_project_file(start: Path) -> Path:
    """Return the nearest `curate.toml` in `start` or a folder above it.

    Raises:
        ConfigurationError: there is none.
    """
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / PROJECT_FILE).is_file():
            return folder / PROJECT_FILE
    raise ConfigurationError(f"no {PROJECT_FILE} in {start.resolve()} or any folder above it", hint="curate init")


def load_settings(file: Path | None, overrides: Mapping[str, str] | None = None) -> Settings:
    """Return the checked settings of a project; see `trace_settings`."""
    return trace_settings(file, overrides).settings


def trace_settings(
    file: Path | None,
    overrides: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> LoadedSettings:
    """Read, merge and check the settings, and remember where each value comes from.

    `overrides` are the flags' values by dotted key, as text; they win over `CURATE_…` of `environment` (the process's
    own by default), which wins over `file`. Paths from flags and the environment are relative to the working folder.

    Raises:
        ConfigurationError: a broken file, an unknown key or variable, a secret in the file, a value of the wrong kind,
            or settings that contradict each other.
    """
    tree = _read_toml(file) if file else {}
    place = file.name if file else "settings"
    values = dict(_flatten(tree))
    origins = dict.fromkeys(values, place)
    folder = file.resolve().parent if file else Path.cwd()
    for key, text, origin in _given(overrides or {}, os.environ if environment is None else environment):
        _put(tree, key, _parse(text, scalar_fields()[key], folder))
        origins[key] = origin
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as problem:
        raise explain_problem(problem, place, origins) from None
    check_settings(settings, place)
    found = (SettingValue(key, value, origins.get(key, "default")) for key, value in _flatten(settings.as_mapping()))
    return LoadedSettings(settings, tuple(found))


def _given(overrides: Mapping[str, str], environment: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """The values from outside the file as (key, text, origin), the stronger ones last."""
    variables = {environment_name(key): key for key in scalar_fields()}
    lists = {environment_name(key): key for key in list_keys()}
    for name in sorted(environment):
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        if name in lists:
            raise file_only(name, lists[name])
        if name in variables:
            yield variables[name], environment[name], f"environment {name}"
        elif not is_secret(name) and (problem := unknown_variable(name)):
            raise problem
    for key, text in overrides.items():
        yield key, text, f"flag --{key.rsplit('.', 1)[-1]}"


def _parse(text: str, field: FieldInfo, folder: Path) -> Any:
    """Read a value from outside the file: text stays text, anything else is written as in TOML."""
    if is_path(field):
        return relative_to_project(text, folder) if text and not is_address(text) else text
    if field.annotation is str:
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def relative_to_project(text: str, folder: Path) -> str:
    """Write a path that a person typed in the working folder as `curate.toml` in `folder` would.

    Inside the project's folder it becomes relative, so that a flag and the file name one thing alike.
    """
    absolute = Path(os.path.abspath(Path(text).expanduser()))  # noqa: PTH100 (resolve would follow links)
    return str(absolute.relative_to(folder)) if absolute.is_relative_to(folder) else str(absolute)


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    *sections, name = key.split(".")
    for section in sections:
        inner = tree.setdefault(section, {})
        if not isinstance(inner, dict):
            return  # the file is wrong there, and the check of the whole says so
        tree = inner
    tree[name] = value


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigurationError(f"there is no {file}", hint="curate init") from None
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file} is not UTF-8 at byte {error.start}", hint="save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise _broken(file, str(error)) from error


def _broken(file: Path, message: str) -> ConfigurationError:
    line = re.search(r"\(at line (\d+), column \d+\)", message)
    where = f", line {line[1]}" if line else ", last line"
    what = message.split(" (at ")[0]
    return ConfigurationError(f"{file.name}{where}: {what}", unchanged="nothing was read or written")


def _flatten(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of nested tables and lists of tables by its key path; plain lists are values."""
    if isinstance(value, dict) and (value or not key):
        for name, inner in value.items():
            yield from _flatten(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list) and value and all(isinstance(entry, dict) for entry in value):
        for index, inner in enumerate(value):
            yield from _flatten(inner, f"{key}[{index}]")
    else:
        yield key, value
