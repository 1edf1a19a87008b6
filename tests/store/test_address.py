"""Addresses of stores: what is a folder, what a lake, and that no secret stands in one."""

from pathlib import Path

import pytest

from curate.errors import ConfigurationError
from curate.store.address import LakeAddress, embedded_folder, local_folder, store_address

PROJECT = Path("/project")


def test_a_folder_is_relative_to_the_project() -> None:
    assert store_address("curate-store", PROJECT) == PROJECT / "curate-store"
    assert store_address("/elsewhere", PROJECT) == Path("/elsewhere")
    assert local_folder(PROJECT) == PROJECT


def test_a_lake_has_its_own_folder_and_place() -> None:
    lake = store_address("ducklake:postgres:dbname=c host=db", PROJECT, folder="mine")
    assert lake == LakeAddress("dbname=c host=db", PROJECT / "mine")
    assert str(lake) == "ducklake:postgres:dbname=c host=db"
    assert isinstance(lake, LakeAddress)
    assert lake.data_path == "/project/mine/data"
    assert local_folder(lake) == PROJECT / "mine"


@pytest.mark.parametrize(
    ("data", "place"), [("s3://b/c", "s3://b/c"), ("rows", "/project/rows"), ("/shared", "/shared")]
)
def test_the_place_of_parquet_is_a_folder_or_an_address(data: str, place: str) -> None:
    lake = store_address("ducklake:postgres:dbname=c", PROJECT, data=data)
    assert isinstance(lake, LakeAddress)
    assert lake.data_path == place


@pytest.mark.parametrize(
    "text",
    [
        "ducklake:postgres:dbname=c password=hunter2",
        "ducklake:postgres:dbname=c PASSWORD = hunter2",
        "ducklake:postgres:dbname=c sslpassword=hunter2",
        "ducklake:postgres:postgresql://me:hunter2@db/c",
    ],
)
def test_a_password_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ConfigurationError, match="holds a password") as caught:
        store_address(text, PROJECT)
    assert "hunter2" not in f"{caught.value.message}{caught.value.hint}"
    assert "PGPASSWORD" in caught.value.hint


@pytest.mark.parametrize("text", ["ducklake:lake.duckdb", "ducklake:sqlite:lake.db", "ducklake:"])
def test_another_catalog_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="needs a PostgreSQL catalog"):
        store_address(text, PROJECT)


def test_what_a_lake_cannot_do_says_what_to_do_instead() -> None:
    lake = LakeAddress("dbname=c", PROJECT)
    with pytest.raises(ConfigurationError, match="curate erase is for the embedded store only") as caught:
        embedded_folder(lake, "curate erase", "do this")
    assert caught.value.hint == "do this"
    assert embedded_folder(PROJECT, "curate erase", "") == PROJECT
