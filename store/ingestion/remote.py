"""Files behind an fsspec address such as `s3://…`: listed with what tells a change, read in ranges."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeVar, cast
from urllib.parse import urlsplit

from curate.errors import BadDataError, ConfigurationError, CurateError, MissingExtraError, ServiceError
from curate.store.ingestion.formats import is_leftover
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.patterns import Parts, dataset_files, split_pattern, wanted
from curate.store.ingestion.source_file import SourceFile, empty_source, nothing_at

_BLOCK_BYTES = 4 * 2**20
_SMALL_FILE = 2**20
_TOO_MANY_REQUESTS, _SERVER_ERRORS = 429, 500
# What file systems call the things that change with a file, the surest first.
_VERSIONS = ("ETag", "etag", "md5", "md5Hash", "Content-MD5", "checksum", "Digest", "mtime", "LastModified",
             "last_modified", "Last-Modified", "updated", "modified", "created")  # fmt: skip
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile(SourceFile):
    """A file of an fsspec file system; its fingerprint is its size with its etag, checksum or time of change."""

    path: str
    filesystem: Any = field(compare=False, repr=False)

    def open(self, *, in_order: bool = True) -> BinaryIO:
        """Open the file without downloading it: in blocks ahead of the reader, or exactly the ranges that are asked."""
        options = {"cache_type": "readahead", "block_size": _BLOCK_BYTES} if in_order else {"cache_type": "none"}
        stream = _reached(self.path, lambda: self.filesystem.open(self.path, "rb", **options))
        remote = _RemoteStream(stream, self.path)
        return io.BufferedReader(remote) if in_order else cast(BinaryIO, remote)


class _RemoteStream(io.RawIOBase):
    """A remote file whose failures say that the service failed, and not that the file is bad."""

    def __init__(self, stream: Any, path: str) -> None:
        self._stream = stream
        self._path = path

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._stream.seekable())

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(_reached(self._path, lambda: self._stream.seek(offset, whence)))

    def readinto(self, buffer: Any) -> int:
        piece = _reached(self._path, lambda: self._stream.read(len(buffer)))
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


def list_remote(address: str, mapping: Mapping) -> list[SourceFile]:
    """List the files at an address; `files.list_files` says which, and what is raised.

    A folder or pattern costs a listing of all that lies below the part before the first wildcard.
    """
    try:
        return _reached(address, lambda: _listed(address, mapping, *_file_system(address)))
    except FileNotFoundError:
        raise nothing_at(address) from None
    except PermissionError as error:
        raise BadDataError(f"{address} must not be read: {error}", hint="check the credentials") from error


def _listed(address: str, mapping: Mapping, filesystem: Any, path: str) -> list[SourceFile]:
    info = _info(filesystem, path)
    if info is not None and info["type"] == "file":
        folder, _, name = path.rpartition("/")
        return [_described(info, name, folder.rpartition("/")[2], filesystem)]
    parts, pattern = split_pattern(path.split("/"))
    root = path if info is not None else "/".join(parts)
    found = {name.removeprefix(root).lstrip("/"): info for name, info in filesystem.find(root, detail=True).items()}
    if info is None and not pattern and not found:
        raise nothing_at(address)
    pattern = () if info is not None else pattern
    names = _chosen(found, pattern, mapping, lambda name: filesystem.cat_file(found[name]["name"], 0, _SMALL_FILE))
    if not names:
        raise empty_source(address, mapping, pattern=bool(pattern))
    return [_below(name, found.get(name), root, pattern, filesystem) for name in names]


def _file_system(address: str) -> tuple[Any, str]:
    try:
        parts = urlsplit(address)
        secret = bool(parts.username or parts.password)
    except ValueError as error:
        raise ConfigurationError(f"{address!r} is no address: {error}") from error
    if secret:
        raise ConfigurationError(
            f"the address {parts.scheme}://… holds a secret, and secrets come from the environment only",
            hint="such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtraError(f"reading {parts.scheme}:// addresses", "remote") from error
    try:
        filesystem, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        hint = f"install what fsspec needs for it: {error}"
        raise ConfigurationError(f"{parts.scheme}:// addresses need a package more", hint=hint) from error
    except ValueError as error:
        raise ConfigurationError(f"the address {address!r} cannot be understood: {error}") from error
    filesystem.invalidate_cache()
    return filesystem, path


def _reached(address: str, call: Callable[[], _T]) -> _T:
    """What the call returns. Every file system has exceptions of its own: what is no plain answer is a failed service.

    Raises:
        OSError: the file is not there, or must not be read.
        ServiceError: anything else.
    """
    try:
        return call()
    except (PermissionError, CurateError):
        raise
    except FileNotFoundError as error:
        if not (cause := _failure_behind(error)):
            raise
        raise _failed(address, cause) from error
    except Exception as error:  # fsspec's file systems share no class of errors
        raise _failed(address, error) from error


def _failed(address: str, error: BaseException) -> ServiceError:
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return ServiceError(
        f"{address} cannot be read: {what}", unchanged="what was read before is kept", hint="run again later"
    )


def _failure_behind(error: FileNotFoundError) -> BaseException | None:
    """What really failed: of every failure over HTTP, a refused connection too, fsspec says that there is no file."""
    cause = error.__cause__
    if cause is None or isinstance(cause, FileNotFoundError | ValueError):
        return None
    status = getattr(cause, "status", None)
    if isinstance(status, int):
        return cause if status >= _SERVER_ERRORS or status == _TOO_MANY_REQUESTS else None
    return cause if isinstance(cause, OSError) or type(cause).__module__.startswith("aiohttp") else None


def _info(filesystem: Any, path: str) -> dict[str, Any] | None:
    try:
        return dict(filesystem.info(path))
    except FileNotFoundError as error:
        if _failure_behind(error):
            raise
        return None


def _chosen(found: dict[str, Any], pattern: Parts, mapping: Mapping, read: Callable[[str], bytes]) -> Iterable[str]:
    names = [name for name in found if not any(map(is_leftover, name.split("/")))]
    shards = dataset_files(names, read) if not pattern and mapping.format == "auto" else None
    if shards is not None:
        return shards
    return [name for name in names if wanted(tuple(name.split("/")), pattern, mapping)]


def _below(name: str, info: dict[str, Any] | None, root: str, pattern: Parts, filesystem: Any) -> SourceFile:
    """A file below the source's folder; one that a dataset lists and that is not there is refused when it is read."""
    folder = f"{root}/{name}".split("/")[-2] if "/" in name or pattern else ""
    return _described(info or {"name": f"{root}/{name}"}, name, folder, filesystem)


def _described(info: dict[str, Any], locator: str, folder: str, filesystem: Any) -> SourceFile:
    size = info.get("size") or 0
    version = next((str(info[key]).strip('"') for key in _VERSIONS if info.get(key)), "")
    fingerprint = f"{size}-{version}" if version else ""
    return RemoteFile(locator, fingerprint, size, folder, path=info["name"], filesystem=filesystem)
