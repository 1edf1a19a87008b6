"""Embeddings come back as they were kept, each by its encoder, and a second copy adds nothing."""

from typing import Any

import numpy as np
import pytest

from curate.errors import StoreError
from curate.store.embeddings import embedding_rows, kept_embeddings
from curate.store.store import Store
from curate.store.write import Write

VECTORS = np.array([[0.5, -1.25, 3.0], [1 / 3, 0.0, -0.0], [1e-30, 1e30, 2.0]], np.float32)


@pytest.fixture
def filled(store: Store, make: Any) -> Store:
    ids = make.ids(*range(3))
    store.commit(Write("ingest", {"items": make.items(ids)}))
    store.commit(Write("embed", {"embeddings": embedding_rows("a/1", ids, VECTORS)}))
    store.commit(Write("embed", {"embeddings": embedding_rows("b/1", ids[:1], VECTORS[:1, :2])}))
    return store


def test_vectors_come_back_to_the_bit_in_the_order_of_their_ids(filled: Store, make: Any) -> None:
    ids = make.ids(*range(3))
    with filled.reader() as reader:
        found, features = kept_embeddings(reader, "a/1", [*reversed(ids), "nobody"])
    by_id = dict(zip(found, features, strict=True))
    assert sorted(by_id) == sorted(ids)
    assert all(by_id[item].tobytes() == vector.tobytes() for item, vector in zip(ids, VECTORS, strict=True))


def test_each_encoder_has_its_own(filled: Store, make: Any) -> None:
    with filled.reader() as reader:
        found, features = kept_embeddings(reader, "b/1", make.ids(*range(3)))
        assert kept_embeddings(reader, "c/1", make.ids(*range(3)))[0] == []
    assert found == make.ids(*range(3))[:1]
    assert features.tolist() == VECTORS[:1, :2].tolist()


def test_the_same_embedding_is_added_once(filled: Store, make: Any) -> None:
    again = embedding_rows("a/1", make.ids(*range(3)), VECTORS)
    assert filled.commit(Write("embed", {"embeddings": again})).number is None


def test_vectors_of_different_dimensions_are_refused(filled: Store, make: Any) -> None:
    ids = make.ids(*range(4))
    filled.commit(Write("embed", {"embeddings": embedding_rows("a/1", ids[3:], VECTORS[:1, :2])}))
    with filled.reader() as reader, pytest.raises(StoreError, match="different dimensions"):
        kept_embeddings(reader, "a/1", ids)


def test_no_rows_at_all(store: Store) -> None:
    assert len(embedding_rows("a/1", [], np.zeros((0, 3), np.float32))) == 0
    with store.reader() as reader:
        found, features = kept_embeddings(reader, "a/1", [])
    assert (found, len(features)) == ([], 0)
