"""Finds the files of a source, wherever it lies: sorted, each with a locator that stays when the project moves."""

from __future__ import annotations

from pathlib import Path

from curate.errors import ConfigurationError
from curate.store.ingestion.local import list_local
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.remote import list_remote
from curate.store.ingestion.source_file import SourceFile, StandardInput

STANDARD_INPUT = "-"


def is_remote(address: str) -> bool:
    """Whether an address is for fsspec (`s3://…`, `memory://…`), and no path on this machine."""
    return "://" in address and not address.startswith("file://")


def is_path(address: str) -> bool:
    """Whether an address is a path on this machine, absolute or relative; standard input and `x://…` are none."""
    return address != STANDARD_INPUT and "://" not in address


def list_files(address: Path | str, mapping: Mapping, *, base: Path | None = None) -> list[SourceFile]:
    """List the files at a file, a folder (with all folders below it) or a glob pattern, sorted by locator.

    An address is a path, one for fsspec such as `s3://bucket/folder`, or `-` for standard input. A relative path counts
    from `base`, the project folder (default: the working folder). Locators count from `base` if it is given and the
    source lies inside; otherwise from the source's own folder (of a pattern: the part before the first wildcard; `**`
    stands for any number of folders).

    A folder gives every file when the format is "auto", "text" or "lines", else those with the format's extensions; one
    that Hugging Face's `datasets` saved, or one laid out as on its hub, gives its data files only. What a pattern or a
    path names is taken whatever its extension. Hidden files, editors' leftovers and unfinished downloads (`.*`, `*~`,
    `#*#`, `*.swp`, `*.tmp`, `*.part` …) are left out unless the address names that one file. Linked folders are not
    followed. A link that leads out of the source's folder, a pipe, a device, and a folder that cannot be entered are
    listed with a `refusal`, so that each ends as a reject; one file named by the address may be a link.

    Raises:
        BadDataError: nothing exists at the address.
        EmptySourceError: the folder or the pattern holds no such file.
        ConfigurationError: the address holds a secret, or nobody knows its kind.
        MissingExtraError: the packages that reach such an address are not installed.
        ServiceError: the address cannot be reached.
    """
    text = str(address)
    if text == STANDARD_INPUT:
        return [_standard_input(mapping)]
    if isinstance(address, str) and is_remote(address):
        return sorted(list_remote(address, mapping), key=lambda file: file.locator)
    path = Path(text.removeprefix("file://"))
    return sorted(list_local(path, mapping, base), key=lambda file: file.locator)


def _standard_input(mapping: Mapping) -> SourceFile:
    if mapping.format == "auto":
        raise ConfigurationError(
            "standard input has no name that would tell its format", hint="add --format, such as --format jsonl"
        )
    return StandardInput("stdin", "")
