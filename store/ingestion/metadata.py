"""Columns of a Parquet file as strings: labels, identifiers and canonical JSON, without a Python object per row.

Only floats, nested values and bytes go through Python, value by value.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from curate.store.ingestion.canonical import canonical_json
from curate.store.ingestion.content import utf8
from curate.store.ingestion.shapes import Refusals, RefusedFileError, refuse

_TO_ESCAPE = r'["\\\x00-\x1f]'
_ESCAPES = [("\\", "\\\\"), ('"', '\\"'), *((chr(code), canonical_json(chr(code))[1:-1]) for code in range(0x20))]


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type may hold text or bytes."""
    return any(
        test(kind)
        for test in (
            types.is_string, types.is_large_string, types.is_string_view,
            types.is_binary, types.is_large_binary, types.is_binary_view, types.is_null,
        )
    )  # fmt: skip


def plain(array: pa.Array) -> pa.Array:
    """Return the array without dictionary encoding and extension types."""
    if isinstance(array, pa.ExtensionArray):
        return plain(array.storage)
    return plain(array.dictionary_decode()) if isinstance(array, pa.DictionaryArray) else array


def single_values(array: pa.Array, name: str, reason: str, refusals: Refusals) -> pa.Array:
    """Return one string a row for labels and identifiers; null stays null.

    Raises:
        RefusedFileError: the column holds lists or structs.
    """
    if types.is_nested(array.type):
        raise RefusedFileError(reason, f"column {name!r} is of type {array.type}, no single value")
    if is_text(array.type):
        return utf8(array.cast(pa.binary()), refusals, name)
    return _exact(array) if _is_exact(array.type) else _by_value(array, name)


def class_names(array: pa.Array, names: list[str], refusals: Refusals) -> pa.Array:
    """Return the names of integer labels; -1 is Hugging Face's "no label", other unknown numbers are refused."""
    numbers = pc.fill_null(array.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
    unknown = (numbers < -1) | (numbers >= len(names))
    refuse(refusals, unknown, "invalid-label", lambda at: f"class {numbers[at]} of {len(names)}")
    indices = pa.array(numbers, mask=unknown | (numbers == -1))
    return pa.array(names, pa.string()).take(indices)


def json_objects(columns: Mapping[str, pa.Array], refusals: Refusals) -> pa.Array:
    """Return each row's columns as a canonical JSON object, as `canonical_json` would write it.

    Raises:
        RefusedFileError: a nested value has no Python counterpart.
    """
    parts: list[pa.Array | str] = []
    for name in sorted(columns):
        parts += [("," if parts else "{") + canonical_json(name) + ":", _json_values(columns[name], name, refusals)]
    return pc.binary_join_element_wise(*parts, "}", "")


def _json_values(array: pa.Array, name: str, refusals: Refusals) -> pa.Array:
    if types.is_binary(array.type) or types.is_large_binary(array.type) or types.is_binary_view(array.type):
        values = _by_value(array, name)
    elif is_text(array.type):
        values = _quoted(_escaped(utf8(array.cast(pa.binary()), refusals, name)))
    elif _is_exact(array.type):
        values = (
            _exact(array) if types.is_integer(array.type) or types.is_boolean(array.type) else _quoted(_exact(array))
        )
    else:
        values = _by_value(array, name)
    return pc.fill_null(values, "null")


def _is_exact(kind: pa.DataType) -> bool:
    """Whether Arrow's own cast to string is the one that is wanted."""
    tests = (types.is_integer, types.is_boolean, types.is_temporal, types.is_decimal)
    return any(test(kind) for test in tests)


def _exact(array: pa.Array) -> pa.Array:
    kind = array.type
    if types.is_timestamp(kind) and kind.tz is not None:
        return pc.binary_join_element_wise(array.cast(pa.timestamp(kind.unit)).cast(pa.string()), "Z", "")
    return (array.cast(pa.int64()) if types.is_duration(kind) else array).cast(pa.string())


def _by_value(array: pa.Array, name: str) -> pa.Array:
    try:
        values = array.to_pylist()
    except (ValueError, OverflowError, pa.ArrowException) as error:
        raise RefusedFileError("invalid-metadata", f"column {name!r}: {error}") from error
    return pa.array([None if value is None else canonical_json(value) for value in values], pa.string())


def _escaped(strings: pa.Array) -> pa.Array:
    if pc.any(pc.match_substring_regex(strings, _TO_ESCAPE)).as_py():
        for letter, escape in _ESCAPES:
            strings = pc.replace_substring(strings, letter, escape)
    return strings


def _quoted(strings: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise('"', strings, '"', "")
