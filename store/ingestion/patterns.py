"""Which names below a folder a source means: all of a format, a dataset's, or those that match a pattern."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Sequence
from fnmatch import fnmatchcase

from curate.store.ingestion.formats import stated_format
from curate.store.ingestion.mapping import Mapping

Parts = tuple[str, ...]
_WILDCARD = re.compile(r"[*?[]")
_BESIDE_DATA = re.compile(
    r"README\.md|LICEN[CS]E(\.\w+)?|CITATION(\.\w+)?|dataset_infos?\.json|dataset_dict\.json|state\.json|croissant\.json"
)
_FRONT_MATTER = re.compile(rb"(\xef\xbb\xbf)?---\r?\n")
_HUB_SHARD = re.compile(r"(data/.+|[^/]+(/[^/]+)?-\d{5}-of-\d{5})\.parquet")


def split_pattern(parts: Sequence[str]) -> tuple[Parts, Parts]:
    """Split a path at the first part that has a wildcard; a pattern that ends in `**` means the files below.

    >>> split_pattern(("a", "b*", "**"))
    (('a',), ('b*', '**', '*'))
    """
    wild = next((index for index, part in enumerate(parts) if _WILDCARD.search(part)), len(parts))
    folder, pattern = tuple(parts[:wild]), tuple(parts[wild:])
    return folder, (*pattern, "*") if pattern and pattern[-1] == "**" else pattern


def matches(parts: Parts, pattern: Parts) -> bool:
    """Whether a path fits a pattern; `**` stands for any number of folders.

    >>> matches(("a", "b", "c.txt"), ("**", "*.txt"))
    True
    """
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(matches(parts[start:], pattern[1:]) for start in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and matches(parts[1:], pattern[1:])


def wanted(parts: Parts, pattern: Parts, mapping: Mapping) -> bool:
    """Whether a file below a source's folder belongs to the source."""
    if pattern:
        return matches(parts, pattern)
    return mapping.format in ("auto", "text", "lines") or stated_format(parts[-1]) == mapping.format


def dataset_files(names: Collection[str], read: Callable[[str], bytes]) -> list[str] | None:
    """Return the data files of a Hugging Face dataset folder, None if the names below a folder are those of none.

    Of what `save_to_disk` wrote these are the shards that its `state.json` lists, whether they are there or not; of a
    folder as on the hub (README.md, `data/*.parquet`, `train-00000-of-00001.parquet` …) the Parquet files. Of one made
    by hand (README.md with a card's front matter, or nothing beside README.md but files of rows and what goes with
    them, such as LICENSE) the files whose ending states a format, and with a card those of texts (`.txt`), too. `read`
    returns the beginning of a file.
    """
    if "dataset_dict.json" in names:
        folders = sorted({name.partition("/")[0] + "/" for name in names if name.endswith("/state.json")})
        return [shard for folder in folders for shard in _saved_shards(folder, names, read)]
    if {"state.json", "dataset_info.json"} <= set(names):
        return _saved_shards("", names, read)
    shards = [name for name in names if _HUB_SHARD.fullmatch(name)]
    if "README.md" not in names:
        return None
    return shards or _files_of_rows(names, read)


def _files_of_rows(names: Collection[str], read: Callable[[str], bytes]) -> list[str] | None:
    """The data files beside a README.md, None if it is one text among others."""
    others = [name for name in names if not _BESIDE_DATA.fullmatch(name)]
    rows = [name for name in others if stated_format(name) not in (None, "images")]
    if rows and len(rows) == len(others):
        return rows
    if not _FRONT_MATTER.match(read("README.md")):
        return None
    return [name for name in others if stated_format(name) is not None or name.endswith(".txt")] or None


def _saved_shards(folder: str, names: Collection[str], read: Callable[[str], bytes]) -> list[str]:
    """The shards of one saved split; where their list is broken or names no plain files, all that lie there."""
    try:
        listed = [str(entry["filename"]) for entry in json.loads(read(folder + "state.json"))["_data_files"]]
    except (ValueError, KeyError, TypeError, RecursionError, OSError):
        listed = []
    if listed and all(re.fullmatch(r"[\w-][\w.-]*", name) for name in listed):
        return [folder + name for name in listed]
    return [name for name in names if re.fullmatch(re.escape(folder) + r"[^/]+\.arrow", name)]
