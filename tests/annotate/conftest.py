"""What the tests of the room share: a protocol, a few texts, a cache in memory and a fake language model."""

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest

from curate.annotate.protocol import Protocol
from curate.types import Request, Response

TEXTS = (
    "def area(radius):\n    return 3.14159 * radius**2\n",
    "#include <stdio.h>\nint main(void) { return 0; }\n",
    None,
    "It was a bright cold day in April, and the clocks were striking thirteen.",
    "  \n",
    "Grüße, 世界 \N{GRINNING FACE} \x00 \u2028 end",
)


class MemoryCache:
    """A request cache in memory that notes what happened to it, in order."""

    def __init__(self) -> None:
        self.kept: dict[str, Response] = {}
        self.requests: list[Request] = []
        self.asked = 0
        self.looked_up: list[list[str]] = []

    def look_up(self, keys: Sequence[str]) -> None:
        self.looked_up.append(list(keys))

    def get(self, key: str) -> Response | None:
        self.asked += 1
        return self.kept.get(key)

    def put(self, key: str, request: Request, response: Response) -> None:
        self.requests.append(request)
        self.kept[key] = response


@pytest.fixture
def cache() -> MemoryCache:
    return MemoryCache()


@pytest.fixture(scope="session")
def fake_module(repository: Path) -> ModuleType:
    """The fake language model, loaded by its path: `tests/` holds no packages."""
    file = repository / "tests" / "support" / "fake_language_model.py"
    specification = importlib.util.spec_from_file_location("fake_language_model", file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def protocol_data() -> Mapping[str, Any]:
    return {
        "name": "demo",
        "version": "1",
        "attribute": [
            {
                "name": "kind",
                "question": "What kind of text is this?",
                "values": ["python", "c", "english"],
                "descriptions": {"python": "source code in Python", "english": "plain English"},
            },
            {"name": "tone", "question": "How does it sound?", "values": ["dry", "lively"]},
        ],
    }


@pytest.fixture(scope="session")
def protocol(protocol_data: Mapping[str, Any]) -> Protocol:
    return Protocol.from_mapping(protocol_data)


@pytest.fixture(scope="session")
def items() -> pa.Table:
    """Six items; one has no text, one nothing but white space, one a text that is hard to write down."""
    names = [f"item-{place}" for place in range(len(TEXTS))]
    return pa.table({"item_id": names, "text": pa.array(TEXTS, pa.string())})
