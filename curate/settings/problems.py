"""Turning what pydantic found into the one sentence that a person needs: where, what was given, what is expected."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from curate.errors import ConfigurationError, UnknownNameError
from curate.settings.annotators import KINDS
from curate.settings.fields import Location, environment_name, key_path, scalar_fields, section_at
from curate.settings.gate import PEOPLE_PATTERN
from curate.settings.models import NAME_PATTERN, SHINGLES_PATTERN

_SECRET = re.compile(r"(key|token|secret|password|passwd|credential)$", re.IGNORECASE)
_EXPECTED = {
    "float_type": "a number",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "string_type": "a text in quotes",
    "tuple_type": "a list (for tables: written as [[…]])",
    "dict_type": "a table",
    "model_type": "a table",
    "finite_number": "a finite number",
}
_SHAPES = {
    NAME_PATTERN: "letters, digits and . _ - only, beginning with a letter or digit",
    SHINGLES_PATTERN: "words:N or characters:N, with N from 1 to 50",
    PEOPLE_PATTERN: "nothing for people of flesh and blood, or oracle:COLUMN",
}
_MEANT = 0.85
_UNCHANGED = "nothing was read or written"


def is_secret(key: str) -> bool:
    """Whether a key's name says that its value is a secret.

    >>> [is_secret(name) for name in ("api_key", "hub-token", "max_tokens", "keys")]
    [True, True, False, False]
    """
    return any(_SECRET.search(word) for word in re.split(r"[_-]", key))


def explain_problem(problem: ValidationError, file: str, origins: Mapping[str, str]) -> ConfigurationError:
    """Return the error for the most telling of pydantic's findings.

    `origins` names the flag or environment variable of each setting that does not come from `file`.
    """
    findings = problem.errors(include_url=False)
    unknown = [finding for finding in findings if finding["type"] == "extra_forbidden"]
    finding = (unknown or findings)[0]
    location, given = finding["loc"], finding["input"]
    if unknown:
        return _unknown_key(location, file)
    if finding["type"] == "missing":
        return _error(f"{file}: {_readable(location)} is missing", f"add it to {_table(location[:-1])}")
    if finding["type"] == "union_tag_not_found":
        kinds = " or ".join(f'kind = "{kind}"' for kind in KINDS)
        return _error(f"{file}: {_readable(location)}.kind is missing", f"write {kinds}")
    if finding["type"] == "union_tag_invalid":
        location, given = (*location, "kind"), given.get("kind")
    place = origins.get(key_path(location), file)
    return _error(f"{place}: {_readable(location)} is {_shown(given)}; expected: {_expectation(finding)}")


def _unknown_key(location: Location, file: str) -> ConfigurationError:
    *table, name = location
    if is_secret(str(name)):
        return _secret_in_file(str(name), location, file)
    section = section_at(table)
    known = section.model_fields if section else ()
    error = UnknownNameError("key", str(name), known, where=f"{file}, {_table(table)}")
    error.unchanged = _UNCHANGED
    return error


def _secret_in_file(name: str, location: Location, file: str) -> ConfigurationError:
    section = section_at(location[:-1])
    variable = (
        section.model_fields["key_variable"].default if section and "key_variable" in section.model_fields else ""
    )
    hint = f"delete the line and export {variable}" if variable else "delete the line and set an environment variable"
    return _error(f"{file}: {_readable(location)} is a secret, and secrets come from the environment only", hint)


def unknown_variable(name: str) -> ConfigurationError | None:
    """Return the error for an environment variable that is meant as a setting and names none.

    Other programs may have variables of their own that begin with CURATE_; those that look like no setting are theirs.
    """
    known = [environment_name(key) for key in scalar_fields()]
    if "__" not in name and not get_close_matches(name, known, n=1, cutoff=_MEANT):
        return None
    return UnknownNameError("setting", name, known, where="the environment")


def file_only(name: str, key: str) -> ConfigurationError:
    """Return the error for an environment variable that names a list of tables."""
    return _error(f"{name} cannot be set in the environment", f"write [[{key}]] in curate.toml")


def _expectation(finding: Mapping[str, Any]) -> str:
    context = finding.get("ctx", {})
    kind = finding["type"]
    if kind == "union_tag_invalid":
        return str(context["expected_tags"])
    if kind == "literal_error":
        return str(context["expected"])
    if kind == "value_error":
        return f"no repetition ({context['error']})"
    if kind == "string_pattern_mismatch":
        return _SHAPES[context["pattern"]]
    return _EXPECTED.get(kind) or str(finding["msg"]).removeprefix("Input should be ").removeprefix("Input should ")


def _readable(location: Location) -> str:
    """The key path without the names that pydantic adds for union members and dictionary keys."""
    parts: list[str | int] = []
    for place, part in enumerate(location):
        follows_index = place > 0 and isinstance(location[place - 1], int)
        if part == "[key]" or (follows_index and part in KINDS):
            continue
        parts.append(part)
    return key_path(parts)


def _table(location: Location) -> str:
    path = _readable(location)
    return f"[{path}]" if path else "the top of the file"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _error(message: str, hint: str = "") -> ConfigurationError:
    return ConfigurationError(message, hint=hint, unchanged=_UNCHANGED)
