"""Reading a part of a segment: some columns, some row groups, some rows."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import StoreError
from curate.store.segments import read_columns, read_where, uniform_groups


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    """Twelve rows in row groups of three: two snapshots that meet inside a group, and two numbers."""
    names, numbers = ["a"] * 7 + ["b"] * 5, [1] * 3 + [2] * 9
    table = pa.table({"snapshot": names, "number": numbers, "row": range(12)})
    pq.write_table(table, tmp_path / "segment.parquet", row_group_size=3, write_page_checksum=True)
    return tmp_path / "segment.parquet"


@pytest.mark.parametrize(
    ("name", "number", "expected"),
    [("a", 1, [0, 1, 2]), ("a", 2, [3, 4, 5, 6]), ("b", 2, [7, 8, 9, 10, 11]), ("b", 1, []), ("c", 2, [])],
)
def test_rows_with_certain_values(segment: Path, name: str, number: int, expected: list[int]) -> None:
    batches = list(read_where(segment, ["row"], {"snapshot": name, "number": number}))
    assert [row for batch in batches for row in batch["row"].to_pylist()] == expected
    assert all(batch.schema.names == ["row"] for batch in batches)


def test_row_groups_without_wanted_rows_are_not_read(segment: Path) -> None:
    wanted = np.zeros(12, np.bool_)
    wanted[[4, 7, 11]] = True
    found = [(first, batch["row"].to_pylist()) for first, batch in read_columns(segment, ["row"], rows=wanted)]
    assert [row for _, rows in found for row in rows] == list(range(3, 12))
    assert all(rows[0] == first for first, rows in found)


def test_columns_of_one_value_are_what_a_reading_of_all_gives(tmp_path: Path) -> None:
    columns = {"same": ["a"] * 9, "one": [7] * 9, "absent": pa.nulls(9, pa.string()), "some": ["b", None, "b"] * 3}
    table = pa.table(columns | {"groups": ["x"] * 3 + ["y"] * 6, "row": range(9)})
    pq.write_table(table, tmp_path / "segment.parquet", row_group_size=3, write_page_checksum=True)
    for wanted, repeating in ((table.column_names, []), (["same", "row"], ["same", "groups"]), (["one", "same"], [])):
        batches = [batch for _, batch in read_columns(tmp_path / "segment.parquet", wanted, repeating)]
        assert pa.Table.from_batches(batches).to_pylist() == table.select(wanted).to_pylist()
        coded = [batch[name].type for batch in batches for name in repeating if name in wanted]
        assert all(map(pa.types.is_dictionary, coded))


def test_what_row_groups_have_in_common(segment: Path) -> None:
    expected: list[tuple[int, dict[str, object] | None]] = [
        (3, {"snapshot": "a", "number": 1}),
        (3, {"snapshot": "a", "number": 2}),
        (3, None),
        (3, {"snapshot": "b", "number": 2}),
    ]
    assert uniform_groups(segment, ["snapshot", "number"]) == expected
    assert [values for _, values in uniform_groups(segment, ["number", "younger"])] == [None] * 4


def test_a_column_that_came_later_is_null(segment: Path) -> None:
    [(_, batch)] = read_columns(segment, ["row", "younger"])
    assert batch["younger"].null_count == 12


def test_damage_is_explained(segment: Path) -> None:
    content = bytearray(segment.read_bytes())
    content[40] ^= 0xFF
    segment.write_bytes(content)
    with pytest.raises(StoreError, match="cannot be read"):
        list(read_columns(segment, ["snapshot"]))
