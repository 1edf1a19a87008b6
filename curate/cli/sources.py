"""A path given on the command line as the source of one call."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.cli.invocation import Invocation
from curate.errors import UsageError

if TYPE_CHECKING:
    from curate.settings import Settings, SourceSettings


def with_source(invocation: Invocation, path: str, given: dict[str, str]) -> "Settings":
    """Return the project's settings with `path` as the only source; the file's own sources wait for another call.

    Raises:
        UsageError: an option does not fit, or the source's name is that of another one.
    """
    loaded, folder = invocation.load()
    source = _source(path, folder, given)
    if "name" not in given:
        _refuse_namesake(invocation, source)
    if any(source.name == known.name and source != known for known in loaded.settings.source):
        raise UsageError(
            f"{source.name!r} is the name of another source in curate.toml",
            unchanged="nothing was read",
            hint="choose another --name",
        )
    return loaded.settings.model_copy(update={"source": (source,)})


def _refuse_namesake(invocation: Invocation, source: "SourceSettings") -> None:
    """Refuse a name that nobody chose and that the store has for another place: rows of both would mix."""
    from curate.store.overview import newest_commit
    from curate.store.reader import Reader
    from curate.store.summaries import source_addresses

    if invocation.store_address is None or not newest_commit(invocation.store_address):
        return
    with Reader(invocation.store_address) as reader:
        known = source_addresses(reader, source.name)
    if known and source.address not in known:
        raise UsageError(
            f"{source.name!r}, the name of {source.address}, is that of another source of this store: {known[-1]}",
            unchanged="nothing was read",
            hint=f"--name NAME for a source of its own, or --name {source.name} if it has moved there",
        )


def _source(path: str, folder: Path, given: dict[str, str]) -> "SourceSettings":
    from pydantic import ValidationError

    from curate.settings import SourceSettings, relative_to_project

    local = path != "-" and "://" not in path
    address = relative_to_project(path, folder) if local else path
    fields: dict[str, Any] = {"name": _name(path), **_with_modality(given), "path": address}
    if "meta" in fields:
        fields["meta"] = tuple(column.strip() for column in fields["meta"].split(",") if column.strip())
    try:
        return SourceSettings.model_validate(fields)
    except ValidationError as problem:
        finding = problem.errors(include_url=False)[0]
        raise UsageError(f"--{finding['loc'][0]} {finding['input']!r} does not fit: {finding['msg']}") from None


def _with_modality(given: dict[str, str]) -> dict[str, str]:
    """Add the modality that a column was named for, where none is given.

    Raises:
        UsageError: the column of another modality is named, or columns of several.
    """
    named = [name for name in ("text", "image", "events") if name in given]
    modality = given.get("modality", named[0] if named else "text")
    if odd := [name for name in named if name != modality]:
        raise UsageError(
            f"--{odd[0]} names a column of items of the modality {odd[0]}, and this source's is {modality}",
            unchanged="nothing was read",
            hint=f"leave it out, or --modality {odd[0]}; a source has items of one modality",
        )
    return {**given, "modality": modality}


def _name(path: str) -> str:
    """The default name of a path's source: its last part without ending, that of a glob's folder, or stdin.

    >>> [_name(path) for path in ("news/x.jsonl.gz", "news/v1.2.csv", "photos/*.png", "-")]
    ['x', 'v1.2', 'photos', 'stdin']
    """
    if path == "-":
        return "stdin"
    parts = [part for part in Path(path.rpartition("://")[2]).resolve().parts if not set(part) & set("*?[")]
    last = Path(parts[-1])
    stem = Path(last.stem).stem if last.suffix in (".gz", ".zst") else last.stem
    return stem.replace(" ", "-").strip("/") or "root"
