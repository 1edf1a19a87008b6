"""The members of a tar, read as a stream, nothing of it written anywhere: unsafe ones refused, damage stepped over."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from curate.store.ingestion.shapes import Refusal, RefusedFileError, excerpt

_BLOCK = tarfile.BLOCKSIZE
_EXTENSION_BYTES = 2**20
_PIECE_BYTES = 2**20
_NAME_LETTERS = 4_096
_REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_WITHOUT_DATA = (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE)
_EXTENSIONS = (
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE,
)  # fmt: skip
_KINDS = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}


class Member(NamedTuple):
    """One member: its place among all, its name, and either its content or why it has none; None for neither."""

    number: int
    name: str
    content: bytes | None = None
    refusal: Refusal | None = None


def tar_members(stream: BinaryIO, wanted: Callable[[str], bool], limit: int) -> Iterator[Member]:
    """Yield the members but folders; the content of those whose name is wanted and that hold at most `limit` bytes.

    Links, devices, pipes, sparse files and paths that are absolute or climb out are refused. Where a header is damaged,
    or says that its member is larger than the file, one refusal stands for all up to the next header that is whole.
    Tars one behind the other are read as one. Memory: one member's content, and 1 MiB for a name.
    """
    headers = _Headers(_Blocks(stream))
    for number, (header, name) in enumerate(headers):
        if isinstance(header, Refusal):
            yield Member(number, name, refusal=header)
            continue
        try:
            member = _member(number, header, name, headers.blocks, limit if wanted(name) else None)
        except RefusedFileError as error:
            yield Member(number, name, refusal=error.refusal)
            return
        if member is not None:
            yield member


def _member(number: int, info: tarfile.TarInfo, name: str, blocks: _Blocks, limit: int | None) -> Member | None:
    """The member, and the stream moved behind it; None for a folder."""
    refusal = _refusal(info, name)
    size = _data_size(info)
    if limit is not None and size > limit:
        refusal = refusal or Refusal("too-large", f"{excerpt(name)} has {size} bytes, more than {limit}")
    if refusal is None and limit is not None:
        return Member(number, name, blocks.content(size))
    blocks.skip(size)
    return None if info.type == tarfile.DIRTYPE and refusal is None else Member(number, name, refusal=refusal)


def _data_size(info: tarfile.TarInfo) -> int:
    return 0 if info.type in _WITHOUT_DATA else info.size


def _refusal(info: tarfile.TarInfo, name: str) -> Refusal | None:
    if name.startswith("/") or ".." in name.split("/") or "\\" in name:
        return Refusal("unsafe-member", f"the path {excerpt(name)} leads out of the tar")
    if info.type in _REGULAR or info.type == tarfile.DIRTYPE:
        return None
    what = _KINDS.get(info.type, f"of the unknown kind {excerpt(info.type)}")
    return Refusal("unsafe-member", f"{excerpt(name)} is {what}")


class _Blocks:
    """A tar's bytes in blocks; knows how many are left where the stream knows it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._end = _end_of(stream) if stream.seekable() else None

    def header(self) -> bytes:
        return self._stream.read(_BLOCK)

    def hold(self, size: int) -> bool:
        return self._end is None or size <= self._end - self._stream.tell()

    def content(self, size: int) -> bytes:
        pieces: list[bytes] = []
        for piece in self._pieces(size):
            pieces.append(piece)
        self.skip_exactly(-size % _BLOCK)
        return b"".join(pieces)

    def skip(self, size: int) -> None:
        self.skip_exactly(size + -size % _BLOCK)

    def skip_exactly(self, size: int) -> None:
        if self._end is not None:
            self._stream.seek(min(size, self._end - self._stream.tell()), 1)
            return
        for _ in self._pieces(size):
            pass

    def _pieces(self, size: int) -> Iterator[bytes]:
        while size > 0:
            piece = self._stream.read(min(size, _PIECE_BYTES))
            if not piece:
                raise RefusedFileError("broken-tar", f"the tar ends {size} bytes before the end of a member")
            size -= len(piece)
            yield piece


def _end_of(stream: BinaryIO) -> int:
    end = stream.seek(0, 2)
    stream.seek(0)
    return end


class _Headers:
    """The headers of members with their full names; a refusal for a stretch in which none is whole."""

    def __init__(self, blocks: _Blocks) -> None:
        self.blocks = blocks
        self._name = ""
        self._lost = False
        self._ended = False

    def __iter__(self) -> Iterator[tuple[tarfile.TarInfo | Refusal, str]]:
        try:
            while block := self.blocks.header():
                yield from self._header(block)
        except RefusedFileError as error:
            yield error.refusal, ""
            return
        if not self._ended and not self._lost:
            yield Refusal("broken-tar", "the tar lacks its end mark; copy it again"), ""

    def _header(self, block: bytes) -> Iterator[tuple[tarfile.TarInfo | Refusal, str]]:
        """What a block says where a header should be: of a damaged stretch the first block, of an extension nothing."""
        if not any(block):
            self._ended = True
            return
        try:
            info = _parsed(block)
        except tarfile.HeaderError as error:
            if not self._lost:
                detail = f"a header is damaged ({error}); what lies before the next whole one is lost"
                yield Refusal("broken-tar", detail), ""
            self._lost, self._name = True, ""
            return
        self._lost = self._ended = False
        if info.type in _EXTENSIONS:
            self._name = self._extension(info)
            return
        name, self._name = _printable(self._name or info.name).removeprefix("./"), ""
        if len(name) > _NAME_LETTERS:
            detail = f"the path {excerpt(name)} has {len(name)} letters, more than {_NAME_LETTERS}"
            self.blocks.skip(_data_size(info))
            yield Refusal("unsafe-member", detail), ""
            return
        self._lost = not self.blocks.hold(_data_size(info))
        yield Refusal("broken-tar", f"{excerpt(name)} says that it has {info.size} bytes") if self._lost else info, name

    def _extension(self, info: tarfile.TarInfo) -> str:
        """The name that an extension gives to the next member."""
        content = self.blocks.content(info.size)
        if info.type == tarfile.GNUTYPE_LONGNAME:
            return content.rstrip(b"\0").decode("utf-8", "surrogateescape")
        return _pax_path(content) if info.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE) else self._name


def _parsed(block: bytes) -> tarfile.TarInfo:
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (ValueError, OverflowError, IndexError) as error:
        raise tarfile.HeaderError(str(error)) from error
    if info.size < 0 or (info.type in _EXTENSIONS and info.size > _EXTENSION_BYTES):
        raise tarfile.HeaderError(f"it says {info.size} bytes")
    return info


def _pax_path(content: bytes) -> str:
    """The member's path in a pax header, lines of `length key=value`; one that is broken names none."""
    while content:
        digits, space, _ = content.partition(b" ")
        if not space or not digits.isdigit() or not 0 < int(digits[:9]) <= len(content):
            return ""
        line, content = content[len(digits) + 1 : int(digits) - 1], content[int(digits) :]
        key, _, value = line.partition(b"=")
        if key == b"path":
            return value.decode("utf-8", "surrogateescape")
    return ""


def _printable(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
