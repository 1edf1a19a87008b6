"""The files that `curate init` writes."""

from pathlib import Path

_FOLDER = Path(__file__).parent / "project"


def template_files() -> dict[str, bytes]:
    """Return the files of a new project: path relative to its folder, and content."""
    files = sorted(path for path in _FOLDER.rglob("*") if path.is_file())
    return {path.relative_to(_FOLDER).as_posix(): path.read_bytes() for path in files}
