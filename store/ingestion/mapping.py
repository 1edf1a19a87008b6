"""How the files of one source become items: which columns mean what, and how large things may be."""

from dataclasses import dataclass
from typing import Literal

from curate.errors import ConfigurationError, UnknownNameError
from curate.types import FORMATS, MODALITIES, Format, Modality

FileFormat = Literal["text", "lines", "json", "jsonl", "csv", "parquet", "arrow", "images", "webdataset"]
FORMATS_OF: dict[Modality, tuple[FileFormat, ...]] = {
    "text": ("text", "lines", "json", "jsonl", "csv", "parquet", "arrow", "webdataset"),
    "image": ("images", "parquet", "arrow", "webdataset"),
    "events": ("json", "jsonl", "parquet", "arrow", "webdataset"),
}
FOLDER_LABEL = "folder"
_LIMITS = ("batch_rows", "batch_bytes", "item_bytes", "image_pixels")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """One source's mapping from files to items.

    `text`, `image` and `events` name the column that holds an item of that modality; only the one of `modality` is
    read. `label` names a column, or is "folder" for the name of the folder that a file lies in; `identifier` names the
    column that stays the same while an item's content changes; `licence_column` names the column that holds each item's
    own licence, and `licence` is that of items without one; `metadata` names columns to keep beside the item. An empty
    name means none.

    Limits: a batch holds at most `batch_rows` rows and `batch_bytes` bytes of content (one larger item makes a batch of
    its own). `item_bytes` bounds whatever holds one item as it arrives: a file, a line, a cell. `image_pixels` bounds
    width times height and is checked before decoding; decoding takes up to 23 bytes of memory a pixel (WebP; PNG 5).

    Raises:
        UnknownNameError: the modality or the format is none that can be read.
        ConfigurationError: the format cannot hold the modality, or a limit is below 1.

    >>> Mapping(source="notes", modality="text").content
    'text'
    """

    source: str
    modality: Modality
    format: Format = "auto"
    text: str = "text"
    image: str = "image"
    events: str = "events"
    label: str = ""
    identifier: str = ""
    metadata: tuple[str, ...] = ()
    licence: str = ""
    licence_column: str = ""
    time_unit: str = "days"
    batch_rows: int = 1000
    batch_bytes: int = 16 * 2**20
    item_bytes: int = 16 * 2**20
    image_pixels: int = 64_000_000

    def __post_init__(self) -> None:
        where = f"source {self.source!r}"
        if self.modality not in MODALITIES:
            raise UnknownNameError("modality", self.modality, MODALITIES, where=where)
        if self.format not in FORMATS:
            raise UnknownNameError("format", self.format, FORMATS, where=where)
        possible = FORMATS_OF[self.modality]
        if self.format != "auto" and self.format not in possible:
            raise ConfigurationError(
                f"{where}: files of format {self.format!r} hold no items of modality {self.modality!r}",
                hint=f"set format to one of {', '.join(('auto', *possible))}",
            )
        for limit in _LIMITS:
            if getattr(self, limit) < 1:
                raise ConfigurationError(
                    f"{where}: {limit} is {getattr(self, limit)}", hint=f"set {limit} to 1 or more"
                )

    @property
    def content(self) -> str:
        """The name of the column that holds the item."""
        return {"text": self.text, "image": self.image, "events": self.events}[self.modality]

    @property
    def label_column(self) -> str:
        """The name of the column that holds the label, or "" if there is none."""
        return "" if self.label == FOLDER_LABEL else self.label

    @property
    def beside_content(self) -> tuple[str, ...]:
        """The names of the columns that say something about the item, some perhaps twice."""
        single = (self.identifier, self.label_column, self.licence_column)
        return (*filter(None, single), *self.metadata)
