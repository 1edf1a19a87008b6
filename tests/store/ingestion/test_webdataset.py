"""WebDataset tars: samples, what of a tar is refused, and that damage costs its own sample."""

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from curate.store.ingestion.canonical import events_id, image_id

Read = Callable[..., Any]
SAME_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def _image(shade: int, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.new("L", (3, 2), shade).save(stream, kind)
    return stream.getvalue()


def _member(name: str, kind: bytes = tarfile.REGTYPE, size: int | None = None) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = "/etc/passwd"
    member.size = size or 0
    return member


def _tar(*members: tuple[str | tarfile.TarInfo, bytes], form: int = tarfile.USTAR_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for named, content in members:
            member = _member(named) if isinstance(named, str) else named
            member.size = member.size or len(content)
            stream.write(member.tobuf(form))
            stream.write(content + bytes(-len(content) % 512))
            archive.offset = stream.tell()
    return stream.getvalue()


def _write(folder: Path, content: bytes, name: str = "a.tar") -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def _digits(count: int) -> list[tuple[str, bytes]]:
    return [part for n in range(count) for part in ((f"{n:03}.png", _image(n)), (f"{n:03}.cls", b"%d\n" % (n % 3)))]


def _rejects(reading: Any) -> list[tuple[str, str]]:
    return [(reject["locator"], reject["reason"]) for reject in reading.rejects]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tgz"])
def test_a_sample_is_an_item(tmp_path: Path, read: Read, form: int, name: str) -> None:
    folder = "a folder with a long name é/" * 8
    content = _tar(
        (f"./{folder}0.json", b'{"url": "u", "lang": "fr", "more": [1]}'),
        (f"./{folder}0.jpg", _image(7, "JPEG")),
        (f"./{folder}0.cls", b"3\n"),
        (_member("readme", tarfile.DIRTYPE), b""),
        ("1.webp", _image(8, "WEBP")),
        form=form,
    )
    path = _write(tmp_path, content if name == "a.tar" else gzip.compress(content), name)
    options = {"modality": "image", "label": "cls", "identifier": "url", "metadata": ("lang", "more")}
    first, second = read(path, **options).records
    assert first["image"] == _image(7, "JPEG")
    assert first["locator"] == f"{name}#{folder}0"
    assert (first["label"], first["entity"], first["metadata"]) == ("3", "s:u", '{"lang":"fr","more":[1]}')
    assert (second["locator"], second["label"], second["metadata"]) == (f"{name}#1", None, "{}")


def test_texts_and_events(tmp_path: Path, read: Read) -> None:
    path = _write(
        tmp_path, _tar(("0.txt", b"one\r\n"), ("0.cls", b"x"), ("1.json", b'{"body": "two"}'), ("2.bin", b"?"))
    )
    assert read(path, label="cls").column("text") == ["one\n"]
    reading = read(path, text="body")
    assert reading.column("text") == ["one\n", "two"]
    assert _rejects(reading) == [("a.tar#2", "missing-text")]
    path = _write(tmp_path, _tar(("0.json", b'{"events": [[1, 2]]}'), ("1.json", b"{")))
    reading = read(path, modality="events")
    assert reading.column("item_id") == [events_id([(1.0, 2)], "days")]
    assert _rejects(reading) == [("a.tar#1", "broken-json")]


def test_the_mapped_extension_is_preferred(tmp_path: Path, read: Read) -> None:
    path = _write(tmp_path, _tar(("0.png", _image(1)), ("0.seg.PNG", _image(2)), ("1.jpg", _image(3, "JPEG"))))
    first, _ = read(path, modality="image", image="seg.png").column("item_id")
    assert first == image_id(Image.new("L", (3, 2), 2))


@pytest.mark.parametrize(
    "bad",
    [
        ("../1.png", _image(9)),
        ("/1.png", _image(9)),
        ("a/../../1.png", _image(9)),
        ("a\\1.png", _image(9)),
        (_member("1.png", tarfile.SYMTYPE), b""),
        (_member("1.png", tarfile.LNKTYPE), b""),
        (_member("1.png", tarfile.CHRTYPE), b""),
        (_member("1.png", tarfile.BLKTYPE), b""),
        (_member("1.png", tarfile.FIFOTYPE), b""),
        (_member("1.png", tarfile.GNUTYPE_SPARSE), _image(9)),
        (_member("1.png", b"?"), _image(9)),
    ],
    ids=lambda bad: bad[0] if isinstance(bad[0], str) else f"{bad[0].name}-{bad[0].type.decode()}",
)
@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_an_unsafe_member_is_one_reject(tmp_path: Path, read: Read, name: str, bad: tuple[Any, bytes]) -> None:
    content = _tar(("0.png", _image(0)), ("0.cls", b"0"), bad, ("2.png", _image(2)), ("2.cls", b"2"))
    path = _write(tmp_path, content if name == "a.tar" else gzip.compress(content), name)
    reading = read(path, modality="image", label="cls")
    assert reading.column("label") == ["0", "2"]
    member = bad[0] if isinstance(bad[0], str) else bad[0].name
    assert _rejects(reading) == [(f"{name}#{member}", "unsafe-member")]
    assert list(tmp_path.iterdir()) == [path]


def test_a_bad_member_takes_its_sample_with_it(tmp_path: Path, read: Read) -> None:
    link = _member("1.cls", tarfile.SYMTYPE)
    path = _write(tmp_path, _tar(*_digits(1), ("1.png", _image(1)), (link, b""), ("1.txt", b"x"), ("2.png", _image(2))))
    reading = read(path, modality="image", label="cls")
    assert reading.column("locator") == ["a.tar#000", "a.tar#2"]
    assert _rejects(reading) == [("a.tar#1.cls", "unsafe-member")]


@pytest.mark.parametrize("size", [2**20, 2**33 - 1, 2**60])
@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_an_absurd_size_is_refused(tmp_path: Path, read: Read, name: str, size: int) -> None:
    liar = _member("000.png", size=size)
    content = _tar((liar, _image(1)), *_digits(3)[2:], form=tarfile.GNU_FORMAT)
    path = _write(tmp_path, content if name == "a.tar" else gzip.compress(content), name)
    reading = read(path, modality="image", label="cls", item_bytes=2**16)
    assert _rejects(reading)[0][0] == f"{name}#000.png"
    assert set(reading.reasons) <= {"broken-tar", "too-large"}
    if name == "a.tar":  # a pipe cannot go back to look for the next member
        assert reading.column("label") == ["1", "2"]


def test_a_member_above_the_limit_is_skipped(tmp_path: Path, read: Read) -> None:
    path = _write(
        tmp_path, _tar(("0.png", bytes(2**20)), ("0.cls", b"0"), ("1.npy", bytes(2**20)), ("1.png", _image(1)))
    )
    reading = read(path, modality="image", item_bytes=1000)
    assert reading.column("locator") == ["a.tar#1"]
    assert _rejects(reading) == [("a.tar#0.png", "too-large")]


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_a_header_that_asks_for_gigabytes_gets_none(tmp_path: Path, read: Read, name: str) -> None:
    for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE):
        content = _tar(*_digits(1), (_member("x", kind, size=2**33 - 1), b""), *_digits(1))
        reading = read(_write(tmp_path, content if name == "a.tar" else gzip.compress(content), name), modality="image")
        assert len(reading.records) == 2
        assert reading.reasons == ["broken-tar"]


def test_a_damaged_header_costs_its_member(tmp_path: Path, read: Read) -> None:
    content = bytearray(_tar(*_digits(4)))
    content[content.index(b"001.png")] ^= 1
    reading = read(_write(tmp_path, content), modality="image", label="cls")
    assert reading.column("label") == ["0", "2", "0"]
    assert reading.reasons == ["broken-tar", "missing-image"]


@pytest.mark.parametrize("blocks", [0, 1, 3, 5, 8])
def test_a_truncated_tar_says_so(tmp_path: Path, read: Read, blocks: int) -> None:
    content = _tar(*_digits(4))[: blocks * 512 + 100]
    reading = read(_write(tmp_path, content), modality="image", label="cls")
    assert len(reading.records) == (blocks + 3) // 4
    assert reading.reasons == ["broken-tar"]


def test_starting_again_behind_a_sample(tmp_path: Path, read: Read) -> None:
    link = _member("x.png", tarfile.SYMTYPE)
    path = _write(tmp_path, _tar(*_digits(3), (link, b""), *_digits(6)[6:]))
    whole = read(path, modality="image", batch_rows=1)
    for number, batch in enumerate(whole.batches[:-1]):
        later = read(path, start_row=batch.next_row, modality="image", batch_rows=1)
        assert later.records + later.rejects == [
            row for each in whole.batches[number + 1 :] for row in each.records.to_pylist()
        ] + [row for each in whole.batches[number + 1 :] for row in each.rejects.to_pylist()]


@SAME_FOLDER
@given(content=st.binary() | st.binary().map(lambda body: _tar(*_digits(1))[:700] + body))
def test_any_bytes_never_raise(tmp_path: Path, read: Read, content: bytes) -> None:
    reading = read(_write(tmp_path, content), modality="image")
    assert reading.rejects or not content
