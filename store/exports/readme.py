"""The export's README: the YAML head that `datasets` and hubs read, the card, and what the folder's numbers hold."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from curate.store.card import markdown_table
from curate.store.exports.manifest import REMOVED_FILE, ExportManifest
from curate.store.exports.plan import ExportPlan
from curate.store.exports.shards import PARQUET_FOLDER

README_FILE = "README.md"
Origins = Mapping[tuple[str, str], int]
# The identifiers of licences that hubs know, by which the others are told apart.
_KNOWN_LICENCES = {
    "apache-2.0", "bsd-2-clause", "bsd-3-clause", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-nd-4.0",
    "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0", "gpl-2.0", "gpl-3.0", "isc", "lgpl-3.0", "mit", "mpl-2.0", "odbl",
    "odc-by", "pddl", "unlicense",
}  # fmt: skip


def count_origins(folder: Path, manifest: ExportManifest) -> Origins:
    """Count the newest number's items by the source and the licence that they first came with, from its shards."""
    names = ["source", "licence"]
    files = [folder / shard.files["parquet"].path for shard in manifest.listed]
    counts: Counter[tuple[str, str]] = Counter()
    for file in files:
        table = pq.ParquetFile(file, read_dictionary=names).read(columns=names).unify_dictionaries()
        for row in table.group_by(names).aggregate([([], "count_all")]).to_pylist():
            counts[row["source"] or "", row["licence"] or ""] += row["count_all"]
    return counts


def readme(plan: ExportPlan, manifest: ExportManifest, card: str, origins: Origins, licences: Sequence[str]) -> str:
    """Return the file's text, a function of the snapshot and of what the folder held before: no clock, no paths.

    `licences` are those of every origin of the items ("" where one declares none), not only of the first of each.
    """
    sections = (
        *_front_matter(plan, manifest, licences),
        card,
        *_origins(origins),
        *_history(manifest),
    )
    return "\n".join(sections)


def _front_matter(plan: ExportPlan, manifest: ExportManifest, licences: Sequence[str]) -> Iterator[str]:
    """The head lists each file by name: a pattern would also find shards that the newest number no longer holds."""
    yield "---"
    yield from _licences(licences)
    yield from ("configs:", "- config_name: default", "  data_files:")
    for split in manifest.splits:
        yield from (f"  - split: {split}", "    path:")
        yield from (f"    - {PARQUET_FOLDER}/{shard.name}.parquet" for shard in manifest.listed if shard.split == split)
    yield from ("dataset_info:", "  features:")
    for name in plan.columns:
        yield from _feature(plan, name)
    yield "---"


def _licences(licences: Sequence[str]) -> Iterator[str]:
    """What hubs show; an item without a licence must not hide behind those that have one."""
    known = {name: name.lower() if name.lower() in _KNOWN_LICENCES else "other" for name in licences if name}
    names = sorted({known.get(name, "unknown") for name in licences})
    yield from ("license:", *(f"- {name}" for name in names or ["unknown"]))


def _feature(plan: ExportPlan, name: str) -> Iterator[str]:
    yield f"  - name: {name}"
    if name == "label":
        yield from ("    dtype:", "      class_label:", "        names:")
        yield from (f"          '{code}': {_yaml_text(label)}" for code, label in enumerate(plan.class_names))
    elif name == "events":
        yield from ("    list:", "    - name: time", "      dtype: float64", "    - name: type", "      dtype: int32")
    else:
        yield f"    dtype: {'image' if name == 'image' else 'float64' if name == 'score' else 'string'}"


def _origins(origins: Origins) -> Iterator[str]:
    yield "## Where the items come from, and under which licence\n"
    yield "An item that came more than once counts where it came from first.\n"
    lines = ((source, licence or "not declared", items) for (source, licence), items in sorted(origins.items()))
    yield markdown_table(("source", "licence", "items"), lines)


def _history(manifest: ExportManifest) -> Iterator[str]:
    yield "## Numbers in this folder\n"
    yield (
        "Loading gives the newest number. Shards never change: what a number added lies in shards of its own, and"
        f" `manifest.json` lists the shards of each number. Items that a number lost stand in `{REMOVED_FILE}`.\n"
    )
    rows = {shard.name: shard.rows for shard in manifest.shards}
    lines = (
        (entry.number, sum(rows[name] for name in entry.shards), _written(manifest, entry.number), entry.removed)
        for entry in manifest.numbers
    )
    yield markdown_table(("number", "items", "rows written", "items lost"), lines)


def _written(manifest: ExportManifest, number: int) -> int:
    return sum(shard.rows for shard in manifest.shards if shard.number == number)


def _yaml_text(text: str) -> str:
    """A double-quoted YAML scalar; JSON's would do but for its pairs of surrogates and the characters YAML refuses."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in quoted)
