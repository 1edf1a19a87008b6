"""Arrow IPC, as a file (Feather) or as a stream: read message by message, each checked before Arrow sees it."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import pyarrow as pa

from curate.store.ingestion.batches import assemble, refused_rows
from curate.store.ingestion.columnar import SAMPLED_ROWS, Columns, rows_at_once
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.shapes import RefusedFileError, excerpt
from curate.store.ingestion.source_file import SourceFile
from curate.store.ingestion.streams import unpacked

_FILE_MAGIC = b"ARROW1\0\0"
_CONTINUATION = b"\xff\xff\xff\xff"
_HEADER_BYTES = 64 * 2**20
_BATCH_BYTES = 256 * 2**20
_DICTIONARY, _RECORDS = 2, 3
_SCHEMA_KIND = 1
# Where the fields stand in the tables of Arrow's Message.fbs.
_HEADER_TYPE, _HEADER, _BODY_LENGTH = 1, 2, 3
_LENGTH, _BUFFERS, _COMPRESSION = 0, 2, 3
_DICTIONARY_DATA = 1
