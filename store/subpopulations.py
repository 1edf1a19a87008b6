"""What discovery reads from the store: texts with their classes, the newest structure, and who belongs where."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from curate.store.reader import Reader
from curate.store.write import rows

# What people say goes before what sources say, and that before others; of each the newest.
_SAID = """
    SELECT item_id, arg_min(value, (CASE annotator_kind WHEN 'human' THEN 0 WHEN 'source' THEN 1 ELSE 2 END,
        -commit_number, -confidence, annotator, value)) AS value
    FROM annotations WHERE attribute = {name} AND item_id IN (SELECT item_id FROM wanted_items) GROUP BY item_id"""
_CAPTIONS = f"""
    WITH classes AS ({_SAID.format(name="$of_class")}), captions AS ({_SAID.format(name="$caption")})
    SELECT i.item_id, coalesce(i.text, c.value) AS text, coalesce(k.value, '') AS of_class
    FROM items i LEFT JOIN captions c USING (item_id) LEFT JOIN classes k USING (item_id)
    WHERE i.item_id IN (SELECT item_id FROM wanted_items) AND coalesce(i.text, c.value) IS NOT NULL
        AND trim(coalesce(i.text, c.value)) <> '' ORDER BY i.item_id"""
_SAMPLE = """
    SELECT i.item_id FROM items i
    ANTI JOIN (SELECT item_id FROM latest_decisions WHERE action = 'drop') USING (item_id)
    WHERE list_contains($modalities::VARCHAR[], i.modality) AND (i.modality = 'text' OR i.item_id IN (
        SELECT item_id FROM annotations WHERE attribute = $caption))
    ORDER BY sha256('discover:' || i.item_id) LIMIT $count"""
_STRUCTURE = """
    SELECT version, of_class, definition FROM dimensions
    WHERE structure = $structure AND commit_number = (
        SELECT max(commit_number) FROM dimensions WHERE structure = $structure)
    ORDER BY place"""
_OF_VERSION = "structure = $structure AND version = $version"
_SIZES = """
    SELECT a.value AS subpopulation, count(*) AS items,
        list_slice(list(a.item_id ORDER BY sha256(a.item_id)), 1, $examples) AS examples
    FROM annotations a WHERE protocol = $structure AND protocol_version = $version AND attribute = $structure
    GROUP BY a.value ORDER BY items DESC, a.value"""
_COVERED = f"""
    SELECT dimension, attribute, count(*) AS items, count(*) FILTER (method = 'classifier') AS classified,
        count(*) FILTER (quote <> '') AS quoted, any_value(quote ORDER BY sha256(item_id)) FILTER (quote <> '') AS quote
    FROM memberships WHERE {_OF_VERSION} GROUP BY dimension, attribute ORDER BY dimension, items DESC, attribute"""
# A subpopulation's name begins with its class, where there are several.
_CELLS = f"""
    WITH kept AS (
        SELECT item_id, CASE WHEN $classed THEN split_part(value, ' · ', 1) ELSE '' END AS of_class FROM annotations
        WHERE protocol = $structure AND protocol_version = $version AND attribute = $structure AND item_id NOT IN (
            SELECT item_id FROM latest_decisions WHERE action = 'drop'))
    SELECT of_class, dimension, attribute, count(*) AS items,
        coalesce(list_slice(list(DISTINCT quote ORDER BY quote) FILTER (quote <> ''), 1, $quotes), []) AS quotes
    FROM memberships JOIN kept USING (item_id) WHERE {_OF_VERSION} GROUP BY ALL ORDER BY ALL"""


def captions_of(reader: Reader, ids: Sequence[str], of_class: str, caption: str) -> pa.Table:
    """Return item_id, text and of_class of items, in the order of their ids; what has no text has a claimed caption.

    Items with neither are left out. The class is "" where nobody has said it.
    """
    _want(reader, ids)
    return reader.query(_CAPTIONS, {"of_class": of_class, "caption": caption})


def sample_items(reader: Reader, modalities: Sequence[str], caption: str, count: int) -> list[str]:
    """Return the ids of at most `count` items that can be read, in the order of a hash; dropped ones are left out."""
    found = reader.query(_SAMPLE, {"modalities": list(modalities), "caption": caption, "count": count})
    return [str(item_id) for item_id in found["item_id"].to_pylist()]


def structure_rows(structure: Mapping[str, Any], version: str) -> pa.Table:
    """Return a structure, as plain data, as rows of the table `dimensions`."""
    dimensions = structure["dimensions"]
    columns = {
        "structure": structure["name"],
        "version": version,
        "of_class": structure["of_class"],
        "place": list(range(len(dimensions))),
        "dimension": [one["name"] for one in dimensions],
        "attributes": [list(one["attributes"]) for one in dimensions],
        "definition": [json.dumps(one, sort_keys=True, ensure_ascii=False) for one in dimensions],
    }
    return rows("dimensions", columns, len(dimensions))


def newest_structure(reader: Reader, name: str) -> dict[str, Any] | None:
    """Return the newest structure of this name as plain data; None where there is none."""
    found = reader.query(_STRUCTURE, {"structure": name}).to_pylist()
    if not found:
        return None
    dimensions = [json.loads(row["definition"]) for row in found]
    return {"name": name, "of_class": found[0]["of_class"], "dimensions": dimensions}


def structure_names(reader: Reader) -> list[str]:
    """Return the names of all structures."""
    found = reader.query("SELECT DISTINCT structure FROM dimensions ORDER BY structure")
    return [str(name) for name in found["structure"].to_pylist()]


def memberships(reader: Reader, structure: str, version: str, methods: Sequence[str] = ()) -> pa.Table:
    """Return the memberships of one version, in the order of item and dimension; of these methods, or all."""
    query = f"""
        SELECT item_id, dimension, attribute, quote, confidence, method FROM memberships
        WHERE {_OF_VERSION} AND (len($methods::VARCHAR[]) = 0 OR list_contains($methods::VARCHAR[], method))
        ORDER BY item_id, dimension"""
    return reader.query(query, {"structure": structure, "version": version, "methods": list(methods)})


def subpopulations_of(reader: Reader, structure: str, version: str, ids: Sequence[str]) -> dict[str, str]:
    """Return the subpopulation of each of these items that has one."""
    _want(reader, ids)
    query = """
        SELECT item_id, value FROM annotations SEMI JOIN wanted_items USING (item_id)
        WHERE protocol = $structure AND protocol_version = $version AND attribute = $structure"""
    found = reader.query(query, {"structure": structure, "version": version}).to_pylist()
    return {row["item_id"]: row["value"] for row in found}


def subpopulation_sizes(reader: Reader, structure: str, version: str, examples: int = 3) -> list[dict[str, Any]]:
    """Return every subpopulation that has items: its name, how many, and the ids of a few of them."""
    parameters = {"structure": structure, "version": version, "examples": examples}
    return list(reader.query(_SIZES, parameters).to_pylist())


def attribute_sizes(reader: Reader, structure: str, version: str) -> list[dict[str, Any]]:
    """Return how many items have each attribute of each dimension, or none ("unknown"), by how it was found out."""
    return list(reader.query(_COVERED, {"structure": structure, "version": version}).to_pylist())


def cell_sizes(reader: Reader, structure: str, version: str, *, classed: bool, quotes: int = 3) -> list[dict[str, Any]]:
    """Return how many items that no step dropped have an attribute, class by class, with a few words that show it.

    `classed` says that the structure knows several classes; else `of_class` is "". Cost: one pass over memberships.
    """
    parameters = {"structure": structure, "version": version, "classed": classed, "quotes": quotes}
    return list(reader.query(_CELLS, parameters).to_pylist())


def _want(reader: Reader, ids: Sequence[str]) -> None:
    reader.register("wanted_items", pa.table({"item_id": pa.array(ids, pa.string())}))
