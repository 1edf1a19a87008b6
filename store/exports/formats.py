"""Shards in further formats, each a function of the Parquet shard: JSON Lines, WebDataset and Label Studio."""

import base64
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow.parquet as pq

from curate.store.exports.label_studio import tasks
from curate.store.exports.manifest import Shard, ShardFile, shard_file
from curate.store.exports.plan import ExportPlan
from curate.store.reader import Reader

_BATCH_ROWS = 1_000
_ENDINGS = {"jsonl": ".jsonl", "webdataset": ".tar", "label-studio": ".json"}
_IMAGE_MAGIC = ((b"\x89PNG", "png"), (b"\xff\xd8\xff", "jpg"), (b"GIF8", "gif"), (b"RIFF", "webp"))
Row = Mapping[str, Any]


def derive(
    reader: Reader, plan: ExportPlan, shard: Shard, formats: Sequence[str], folder: Path
) -> dict[str, ShardFile]:
    """Write a shard of `folder` in each of `formats`, flushed to disk; return the files by format.

    Memory: 1,000 rows; for Label Studio also the annotations of the shard.
    """
    writers: dict[str, Callable[[BinaryIO], None]] = {
        "jsonl": lambda stream: _write_lines(stream, map(json_row, _rows(plan, shard, folder))),
        "webdataset": lambda stream: _write_tar(stream, _rows(plan, shard, folder)),
        "label-studio": lambda stream: _write_array(
            stream, tasks(reader, plan, shard, _rows(plan, shard, folder), folder)
        ),
    }
    files = {}
    for name in formats:
        path = f"{name}/{shard.name}{_ENDINGS[name]}"
        (folder / path).parent.mkdir(exist_ok=True)
        with (folder / path).open("wb") as stream:
            writers[name](stream)
            stream.flush()
            os.fsync(stream.fileno())
        files[name] = shard_file(folder, path)
    return files


def json_row(row: Row) -> dict[str, Any]:
    """Return a row with its image, if it has one, as base64 text."""
    image = row.get("image")
    return {**row, "image": base64.b64encode(image).decode()} if image is not None else dict(row)


def image_ending(image: bytes) -> str:
    """Return the ending that the bytes of an image ask for, `bin` where they say nothing.

    >>> image_ending(b"GIF89a")
    'gif'
    """
    return next((ending for magic, ending in _IMAGE_MAGIC if image.startswith(magic)), "bin")


def _rows(plan: ExportPlan, shard: Shard, folder: Path) -> Iterator[Row]:
    """The shard's rows with label names for codes, and an image as its bytes."""
    file = pq.ParquetFile(folder / shard.files["parquet"].path)
    for batch in file.iter_batches(_BATCH_ROWS):
        for row in batch.to_pylist():
            if row.get("label") is not None:
                row["label"] = plan.class_names[row["label"]]
            if row.get("image") is not None:
                row["image"] = row["image"]["bytes"]
            yield row


def _write_lines(stream: BinaryIO, rows: Iterable[Row]) -> None:
    for row in rows:
        stream.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")


def _write_array(stream: BinaryIO, rows: Iterable[Row]) -> None:
    """A JSON array, an element a line, without ever holding it whole."""
    separator = b"[\n"
    for row in rows:
        stream.write(separator + json.dumps(row, ensure_ascii=False).encode())
        separator = b",\n"
    stream.write(b"\n]\n" if separator == b",\n" else b"[]\n")


def _write_tar(stream: BinaryIO, rows: Iterable[Row]) -> None:
    """Per item its content and, as `.json`, all else; the key is the item id. No clock and no owner."""
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for row in rows:
            described = {name: value for name, value in row.items() if name not in ("text", "image")}
            for ending, content in _content(row):
                _add(tar, f"{row['item_id']}.{ending}", content)
            _add(tar, f"{row['item_id']}.json", json.dumps(described, ensure_ascii=False).encode())


def _content(row: Row) -> Iterator[tuple[str, bytes]]:
    if row.get("text") is not None:
        yield "txt", row["text"].encode()
    if row.get("image") is not None:
        yield image_ending(row["image"]), row["image"]


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    tar.addfile(entry, io.BytesIO(content))
