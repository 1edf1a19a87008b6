import pytest

from curate.annotate.llm.service import Service
from curate.errors import ConfigurationError


@pytest.mark.parametrize(
    "address", ["", "localhost:8080/v1", "ftp://host/v1", "http://", "http://host:port", "http://[", "/v1"]
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="not an http or https address"):
        Service(address, "model")


def test_a_function_that_returns_no_address_is_refused_when_it_is_called() -> None:
    with pytest.raises(ConfigurationError):
        Service(lambda: "nowhere", "model").resolve()


def test_the_final_slash_does_not_matter() -> None:
    assert Service("http://host/v1/", "model").resolve() == Service("http://host/v1", "model").resolve()


def test_an_address_is_shown_without_its_secrets() -> None:
    service = Service("https://user:password@host:8443/v1/?api-key=password", "model")
    assert service.shown_address == "https://host:8443/v1"


@pytest.mark.parametrize(
    "change", [{"timeout": 0}, {"attempts": 0}, {"concurrency": 0}, {"first_wait": -1}, {"model": ""}]
)
def test_numbers_that_cannot_be_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        Service(**({"address": "http://host/v1", "model": "model"} | change))  # type: ignore[arg-type]


def test_the_key_comes_from_the_environment_and_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service("http://host/v1", "model", api_key_variable="CURATE_TEST_KEY")
    assert service.api_key == ""
    monkeypatch.setenv("CURATE_TEST_KEY", " secret\n")
    assert service.api_key == "secret"
    assert "secret" not in repr(service)
    assert service.hide_secrets("the key secret is wrong") == "the key *** is wrong"


@pytest.mark.parametrize("key", ["schlüssel", "two\nlines"])
def test_a_key_that_no_header_can_carry_is_refused_by_its_variable(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("CURATE_LLM_KEY", key)
    with pytest.raises(ConfigurationError, match="environment variable CURATE_LLM_KEY") as caught:
        _ = Service("http://host/v1", "model").api_key
    assert key not in str(caught.value)
