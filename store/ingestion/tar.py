"""The members of a tar, read as a stream, nothing of it written anywhere: unsafe ones refused, damage stepped over."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from curate.store.ingestion.shapes import Refusal, RefusedFileError, excerpt

_BLOCK = tarfile.BLOCKSIZE
_HEADER_BYTES = 2**20
_PIECE_BYTES = 2**20
_REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_WITHOUT_DATA = (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE)
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

    Raises:
        RefusedFileError: the tar is packed, and its packing is damaged between two members.
    """
    headers = _Headers(_Blocks(stream))
    for number, (info, name) in enumerate(headers):
        if info is None:
            yield Member(number, "", refusal=Refusal("broken-tar", name))
        elif not headers.holds(info):
            yield Member(number, name, refusal=Refusal("broken-tar", f"{excerpt(name)} says that it has {info.size} bytes"))
        elif (member := _member(number, info, name, headers.blocks, limit if wanted(name) else None)) is not None:
            yield member


def _member(
    number: int, info: tarfile.TarInfo, name: str, blocks: _Blocks, limit: int | None
) -> Member | None:
    """The member, and the stream moved behind it; None for a folder."""
    refusal = _refusal(info, name)
    size = 0 if info.type in _WITHOUT_DATA else info.size
    if limit is not None and size > limit:
        refusal = refusal or Refusal("too-large", f"{excerpt(name)} has {size} bytes, more than {limit}")
    try:
        if refusal is None and limit is not None:
            return Member(number, name, blocks.content(size))
        blocks.skip(size)
    except RefusedFileError as error:
        refusal = error.refusal
    return None if info.type == tarfile.DIRTYPE and refusal is None else Member(number, name, refusal=refusal)


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

    def holds(self, size: int) -> bool:
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
    """The headers of members with their full names; None with a sentence for a stretch in which none is whole."""

    def __init__(self, blocks: _Blocks) -> None:
        self.blocks = blocks
        self._name = ""
        self._lost = False

    def __iter__(self) -> Iterator[tuple[tarfile.TarInfo | None, str]]:
        while block := self.blocks.header():
            try:
                info = _parsed(block)
            except tarfile.EOFHeaderError:
                continue
            except tarfile.HeaderError as error:
                if not self._lost:
                    yield None, f"a member's header is damaged ({error}); all up to the next whole one is lost"
                self._lost, self._name = True, ""
                continue
            self._lost = False
            if info.type in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
                self._name = self._long_name(info)
            elif info.type in (tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE):
                self.blocks.skip(info.size)
            else:
                yield info, _printable(self._name or info.name).removeprefix("./")
                self._name = ""

    def holds(self, info: tarfile.TarInfo) -> bool:
        """Whether the member fits into the tar; if not, the next header is looked for right behind this one."""
        self._lost = info.type not in _WITHOUT_DATA and not self.blocks.holds(info.size)
        return not self._lost

    def _long_name(self, info: tarfile.TarInfo) -> str:
        if info.size > _HEADER_BYTES:
            self.blocks.skip(info.size)
            return ""
        content = self.blocks.content(info.size)
        if info.type == tarfile.GNUTYPE_LONGNAME:
            return content.rstrip(b"\0").decode("utf-8", "surrogateescape")
        return _pax_path(content)


def _parsed(block: bytes) -> tarfile.TarInfo:
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.EOFHeaderError, tarfile.InvalidHeaderError):
        raise
    except (tarfile.HeaderError, ValueError, OverflowError, IndexError) as error:
        raise tarfile.InvalidHeaderError(str(error)) from error
    if info.size < 0:
        raise tarfile.InvalidHeaderError(f"it says {info.size} bytes")
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
