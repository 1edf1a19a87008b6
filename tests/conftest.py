"""What every test relies on: no network beyond this machine, no settings from outside, the same data in every run."""

import ipaddress
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from hypothesis import settings

settings.register_profile("curate", deadline=None, derandomize=True)
settings.register_profile("quick", settings.get_profile("curate"), max_examples=25)
settings.load_profile("curate")


def pytest_configure(config: pytest.Config) -> None:
    """Draw fewer examples where slow tests are left out; `make test-all` draws all."""
    if "not slow" in config.option.markexpr:
        settings.load_profile("quick")


# The processes of the tests share the cores already, and matrices as small as theirs are many times slower with several
# threads, which wait for each other. Set before NumPy and torch are loaded; what the tests start inherits it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell lets what it runs in the background ignore Ctrl-C, and so would every command that a test starts and stops.
signal.signal(signal.SIGINT, signal.default_int_handler)

OFFLINE = {
    "DO_NOT_TRACK": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_OFFLINE": "1",
    "NO_COLOR": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}


def _refuse_the_network(event: str, arguments: tuple[Any, ...]) -> None:
    """Let sockets reach this machine only; a test that needs more is wrong."""
    if event != "socket.connect" or not isinstance(arguments[1], tuple):
        return
    host = str(arguments[1][0])
    if host != "localhost" and not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
        raise PermissionError(f"a test tried to reach {host}: tests use this machine only")


sys.addaudithook(_refuse_the_network)


@pytest.fixture(scope="session", autouse=True)
def _surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give the tests, and the processes they start, a home of their own and no settings from outside."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("CURATE_", "PREFECT_"))]:
            patch.delenv(name)
        for name, value in OFFLINE.items():
            patch.setenv(name, value)
        patch.setenv("HF_HOME", str(home / "huggingface"))
        patch.setenv("PREFECT_HOME", str(home / "prefect"))
        yield


@dataclass(frozen=True)
class Result:
    """How a call of the command ended."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[Any]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture(scope="session")
def result() -> type[Result]:
    """What says how a call ended, for those who make it in another way."""
    return Result


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Call the command in this process: a process of its own spends seconds on loading what is loaded here."""
    from curate.cli import main

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        with signals_restored(), pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(int(ended.value.code or 0), captured.out, captured.err)

    return run


@contextmanager
def signals_restored() -> Iterator[None]:
    """Give the signals back to pytest after the command has listened to them."""
    from curate.cli import failure

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    failure._signals_met.clear()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def call_once() -> Callable[..., None]:
    """Call the command in this process for what several tests share; it must succeed."""
    from curate.cli import main

    def run(*arguments: object) -> None:
        with signals_restored(), pytest.raises(SystemExit) as ended:
            main([*map(str, arguments), "--quiet"])
        assert not ended.value.code

    return run


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def postgres(repository: Path) -> Iterator[Any]:
    """A real PostgreSQL server; the environment lets in whatever the tests start."""
    if find_spec("duckdb_extension_ducklake") is None:
        pytest.skip("the packages of curate[lake] are not installed; there are none for DuckDB 2.0")
    specification = spec_from_file_location("postgres_server", repository / "tests" / "support" / "postgres_server.py")
    assert specification is not None
    assert specification.loader is not None
    module = module_from_spec(specification)
    specification.loader.exec_module(module)
    programs = module.find_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed; on Debian: apt-get install postgresql (.ci/system-packages does)")
    with module.PostgresServer(programs) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGPASSWORD", server.password)
        yield server


@pytest.fixture(scope="session")
def tiny_models(repository: Path) -> Any:
    """The functions that write base models of a few thousand weights as folders, in one thread."""
    import torch

    specification = spec_from_file_location("tiny_models", repository / "tests" / "support" / "tiny_models.py")
    assert specification is not None
    assert specification.loader is not None
    module = module_from_spec(specification)
    specification.loader.exec_module(module)
    torch.set_num_threads(1)  # networks as small as these are many times slower with more
    return module


@pytest.fixture(scope="session")
def _object_storage() -> Iterator[str]:
    """The address of a real S3 server of this machine."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def make_bucket(_object_storage: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Return a function that makes an empty bucket of this name and returns a client of the S3 server.

    The environment says where the server is and how to get in, as it would for a user. What it holds goes afterwards.
    """
    import boto3

    def make(name: str = "bucket", secret: str = "test") -> Any:
        monkeypatch.setenv("AWS_ENDPOINT_URL", _object_storage)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        client = boto3.client("s3")
        client.create_bucket(Bucket=name)
        return client

    yield make
    urlopen(Request(f"{_object_storage}/moto-api/reset", method="POST"), timeout=10).close()


@pytest.fixture(scope="session")
def _empty_lake(postgres: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The database of a lake that was made ready once, to be copied."""
    from curate.store.address import LakeAddress
    from curate.store.lake.ledger import LakeLedger

    catalog = postgres.create_database()
    ledger = LakeLedger(LakeAddress(catalog, tmp_path_factory.mktemp("lake")), lease_timeout=60.0, command="pytest")
    ledger.prepare()
    ledger.close()
    return str(catalog).partition(" ")[0].removeprefix("dbname=")


@pytest.fixture
def make_lake(postgres: Any, _empty_lake: str, tmp_path: Path) -> Callable[[str], Any]:
    """Return a function that makes a lake with its folder below the test's own, and returns its address."""
    from curate.store.address import LakeAddress

    def make(name: str = "lake") -> LakeAddress:
        address = LakeAddress(postgres.create_database(template=_empty_lake), tmp_path / name)
        address.folder.mkdir()
        statement = f"UPDATE ducklake_metadata SET value = '{address.data_path}/' WHERE key = 'data_path'"
        postgres.execute(address.catalog.partition(" ")[0].removeprefix("dbname="), statement)
        return address

    return make


@pytest.fixture(scope="session")
def random_clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that saves a small open_clip model with random weights as a local checkpoint.

    Trained weights cannot be had without a network; what such a model says about a picture means nothing.
    """
    import open_clip.model

    tower = {"width": 32, "layers": 1}
    configuration = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "patch_size": 8, "head_width": 16, **tower},
        "text_cfg": {"context_length": 32, "vocab_size": 49408, "heads": 2, **tower},
    }

    return _saving(tmp_path_factory, configuration, lambda: open_clip.model.CLIP(**configuration))


@pytest.fixture(scope="session")
def random_coca(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that saves a small CoCa model with random weights, which writes words of chance.

    What it is given as `ends` is a token in whose place it ends.
    """
    from open_clip.coca_model import CoCa

    tower = {"width": 32, "layers": 1, "output_tokens": True}
    text = {"context_length": 16, "vocab_size": 49408, "heads": 2, "width": 32, "layers": 1}
    configuration = {
        "embed_dim": 32,
        "vision_cfg": {
            "image_size": 32, "patch_size": 8, "head_width": 16, "attentional_pool": True, "attn_pooler_heads": 2,
            **tower,
        },
        "text_cfg": {**text, "embed_cls": True, "output_tokens": True},
        "multimodal_cfg": {**text, "attn_pooler_heads": 2},
        "custom_text": True,
    }  # fmt: skip

    def build() -> Any:
        import torch

        model = CoCa(**{name: value for name, value in configuration.items() if name != "custom_text"})
        torch.nn.init.normal_(model.text_decoder.text_projection)
        return model

    return _saving(tmp_path_factory, configuration, build)


def _saving(
    folders: pytest.TempPathFactory, configuration: dict[str, Any], build: Callable[[], Any]
) -> Callable[..., Path]:
    import json

    import torch
    from safetensors.torch import save_file

    def save(seed: int = 0, *, ends: int | None = None) -> Path:
        folder = folders.mktemp("clip")
        torch.manual_seed(seed)
        state = build().state_dict()
        if ends is not None:
            columns = state["text_decoder.text_projection"]
            columns[:, 49407] = 1.01 * columns[:, ends]
        save_file({name: value.contiguous() for name, value in state.items()}, folder / "open_clip_model.safetensors")
        described = {"model_cfg": configuration, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.25] * 3}}
        (folder / "open_clip_config.json").write_text(json.dumps(described), encoding="utf-8")
        return folder

    return save
