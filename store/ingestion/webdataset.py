"""WebDataset tars: consecutive members that differ in their extension only are one sample, and one item."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa

from curate.store.ingestion.batches import assemble, chunked
from curate.store.ingestion.documents import documents_chunk, json_document
from curate.store.ingestion.formats import is_leftover
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.shapes import Refusal, RefusedFileError, excerpt
from curate.store.ingestion.source_file import SourceFile
from curate.store.ingestion.streams import unpacked
from curate.store.ingestion.tar import Member, tar_members
from curate.types import Modality

_CONTENT: dict[Modality, tuple[str, ...]] = {
    "text": ("txt",),
    "image": ("png", "jpg", "jpeg", "webp", "gif"),
    "events": (),
}


class _Sample(NamedTuple):
    """One sample by its first member's place and its key; its parts by extension, or why there are none."""

    number: int
    key: str
    parts: dict[str, bytes]
    refusal: Refusal | None = None

    @property
    def size(self) -> int:
        return sum(map(len, self.parts.values()))


def read_webdataset(file: SourceFile, mapping: Mapping, start_row: int) -> Iterator[pa.Table]:
    """Yield tables of rows, one for each sample; a row's number is that of the sample's first member in the tar.

    A sample's key is its members' path up to the first dot of the name, and the rest is the extension. The item is the
    member whose extension is the mapping's column, else the first image, or `txt`, else a value of the `json` member.
    Label, identifier, licence and metadata are members too (`label = "cls"`) or values of the `json` member. The tar
    may be packed with gzip or zstd. Every bad member is one reject, and a sample that has one is no item.

    Raises:
        RefusedFileError: the tar is packed, and does not begin like that.
        OSError: the file cannot be read.
    """
    extensions = {mapping.content, *_CONTENT[mapping.modality], "json"}
    extensions.update(mapping.beside_content)
    with file.open() as packed:
        stream = unpacked(packed, file.locator)
        members = tar_members(stream, lambda name: _split(name)[1] in extensions, mapping.item_bytes)
        wanted = (sample for sample in _samples(members) if sample.number >= start_row)
        for chunk in chunked(wanted, lambda sample: sample.size):
            locators = pa.array([f"{file.locator}#{sample.key}" for sample in chunk])
            numbers = [sample.number for sample in chunk]
            yield assemble(
                documents_chunk(numbers, locators, chunk, partial(_document, mapping), mapping), file, mapping
            )


def _split(name: str) -> tuple[str, str]:
    """The key and the extension of a member.

    >>> _split("a.b/0001.seg.PNG")
    ('a.b/0001', 'seg.png')
    """
    folder, slash, base = name.rpartition("/")
    stem, _, extension = base.partition(".")
    return folder + slash + stem, extension.lower()


def _samples(members: Iterator[Member]) -> Iterator[_Sample]:
    """Samples and refused members; a refused one takes the parts of its sample with it, as far as its name is known."""
    current: _Sample | None = None
    spoilt = ""
    for member in members:
        key, extension = _split(member.name)
        if member.refusal is not None:
            if current is not None and current.key != key:
                yield current
            current, spoilt = None, key
            yield _Sample(member.number, member.name or str(member.number + 1), {}, member.refusal)
        elif current is not None and current.key == key:
            current.parts.update(_part(extension, member))
        elif key != spoilt and not any(map(is_leftover, member.name.split("/"))):
            if current is not None:
                yield current
            current, spoilt = _Sample(member.number, key, _part(extension, member)), ""
    if current is not None:
        yield current


def _part(extension: str, member: Member) -> dict[str, bytes]:
    return {} if member.content is None else {extension: member.content}


def _document(mapping: Mapping, sample: _Sample) -> dict[str, Any]:
    if sample.refusal is not None:
        raise RefusedFileError(*sample.refusal)
    parts = sample.parts
    document = json_document(parts["json"]) if "json" in parts else {}
    document.update({name: _text(name, parts[name]) for name in mapping.beside_content if name in parts})
    content = next((parts[name] for name in (mapping.content, *_CONTENT[mapping.modality]) if name in parts), None)
    return document if content is None else {**document, mapping.content: content}


def _text(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        near = excerpt(content[max(0, error.start - 20) : error.start + 20])
        raise RefusedFileError("not-utf-8", f"{name!r} is no UTF-8 at byte {error.start}, near {near}") from error
