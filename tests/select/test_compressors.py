import gzip
from collections.abc import Callable
from functools import partial

import lz4.block
import lz4.frame
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import ConfigurationError, UnknownNameError
from curate.select.compressors import Compressor, compressor, known_names

Reference = Callable[[bytes], bytes]
REFERENCES: dict[str, Reference] = {
    "lz4-block": lambda data: lz4.block.compress(data, store_size=False),
    "lz4-frame": lz4.frame.compress,
    **{f"lz4-frame:{level}": partial(lz4.frame.compress, compression_level=level) for level in range(13)},
    "gzip": partial(gzip.compress, compresslevel=6),
    **{f"gzip:{level}": partial(gzip.compress, compresslevel=level) for level in range(1, 10)},
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
    **{f"zstd:{level}": zstandard.ZstdCompressor(level=level).compress for level in range(1, 23)},
}
repetitive = st.lists(st.sampled_from([b"def ", b"return x\n", b"    ", b"\xff\x00", b"q"]), max_size=300).map(b"".join)


@pytest.mark.parametrize("name", REFERENCES)
@settings(max_examples=settings().max_examples // 2)
@given(data=st.binary(max_size=2_000) | repetitive)
def test_sizes_equal_the_reference_library(name: str, data: bytes) -> None:
    assert compressor(name).size(data) == len(REFERENCES[name](data))


def test_every_level_that_there_is_has_a_reference() -> None:
    assert known_names() == ["lz4-block", "lz4-frame[:0-12]", "gzip[:1-9]", "zstd[:1-22]"]
    assert {name.partition(":")[0] for name in REFERENCES} == {form.partition("[")[0] for form in known_names()}
    assert len({compressor(name).name for name in REFERENCES}) == 1 + 13 + 9 + 22


@pytest.mark.parametrize("name", ["lz4-block", "lz4-frame", "gzip", "zstd:1"])
def test_the_window_is_seen_to_its_end(name: str) -> None:
    chosen = compressor(name)
    far_apart = b"needle in a haystack, found again" + bytes(chosen.window - 400)
    lonely = chosen.size(far_apart)
    assert chosen.size(far_apart + far_apart[:33]) - lonely < 33


def test_version_names_compressor_level_and_library() -> None:
    assert compressor("lz4-block").version == f"lz4-block lz4-{lz4.library_version_string()}"
    assert compressor("gzip").version.startswith("gzip:6 zlib-")
    assert compressor("gzip:9").version != compressor("gzip:6").version


def test_gzip_zero_is_refused_because_it_stores() -> None:
    with pytest.raises(ConfigurationError, match="stores and does not compress") as caught:
        compressor("gzip:0")
    assert "1 to 9" in caught.value.hint


def test_what_cannot_see_the_target_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="nothing of the target"):
        Compressor("length", "length 1", 1_000, len)


@pytest.mark.parametrize("name", ["brotli", "", "lz4", "gzip-6"])
def test_unknown_names_list_the_known(name: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        compressor(name)
    assert caught.value.known == sorted(known_names())


@pytest.mark.parametrize("name", ["gzip:10", "gzip:", "gzip:-1", "gzip:six", "zstd:0", "zstd:²", "lz4-block:1"])
def test_levels_that_do_not_exist_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="level"):
        compressor(name)
