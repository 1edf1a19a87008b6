"""Real lakes on a real PostgreSQL server, each with a database and a folder of its own."""

from collections.abc import Callable

import pytest

from curate.store.address import LakeAddress
from curate.store.store import Store


@pytest.fixture
def lake(make_lake: Callable[..., LakeAddress]) -> LakeAddress:
    return make_lake()


@pytest.fixture
def store(lake: LakeAddress) -> Store:
    """An empty lake; `add` and `ask` go to it."""
    return Store.open(lake, create=False, lease_timeout=60.0, command="pytest")
