"""Secrets are found by the forms of services, and placeholders are not. All values are made here, out of nothing."""

import base64
import json
import random
import re
import string
import sys
from typing import Any

import pytest

from curate.errors import MissingExtraError
from curate.select.privacy import credentials
from curate.select.privacy.credentials import Secrets

DETECTORS = credentials._DETECTORS
LETTERS, ALPHANUMERIC, HEXADECIMAL = string.ascii_letters, string.ascii_letters + string.digits, "0123456789abcdef"


def drawn(count: int, alphabet: str = ALPHANUMERIC) -> str:
    """Characters that look random and are the same in every run; one of them is a digit, if the alphabet has any."""
    chance = random.Random(count)
    drawn = "".join([chance.choice(alphabet) for _ in range(count)])
    return drawn[:1] + "7" + drawn[2:] if "7" in alphabet else drawn


def token(**content: Any) -> str:
    """A piece of a JSON web token."""
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


FORMS = {
    "aws": "AKIA" + drawn(16, string.ascii_uppercase + string.digits),
    "aws secret": f"aws_secret_key = '{drawn(40)}'",
    "azure": "AccountKey=" + drawn(86) + "==",
    "cloudant": "cloudant_password = " + drawn(64, HEXADECIMAL),
    "discord": "M" + drawn(23) + "." + drawn(6) + "." + drawn(27),
    "github": "ghp_" + drawn(36),
    "github, fine-grained": "github_pat_" + drawn(22) + "_" + drawn(59),
    "gitlab": "glpat-" + drawn(20),
    "ibm": "ibm_cloud_api_key = " + drawn(44),
    "ibm cos": "cos_hmac_secret_access_key = " + drawn(48, HEXADECIMAL),
    "mailchimp": drawn(32, HEXADECIMAL) + "-us12",
    "npm": "npm_" + drawn(36),
    "npm file": "//packages.example/:_authToken=npm_" + drawn(36),
    "openai": "sk-" + drawn(20) + "T3Blbk" + "FJ" + drawn(20),
    "openai, project": "sk-proj-" + drawn(100),
    "anthropic": "sk-ant-api03-" + drawn(95),
    "pypi": "pypi-" + "AgEIcHlwaS5vcmc" + drawn(80),
    "sendgrid": "SG." + drawn(22) + "." + drawn(43),
    "slack": "xoxb-" + "123456789012-" + drawn(24),
    "slack hook": "https://hooks.slack.com/services/T" + drawn(8) + "/B" + drawn(8) + "/" + drawn(24),
    "softlayer": "softlayer_api_key = " + drawn(64, HEXADECIMAL),
    "square": "sq0csp-" + drawn(43),
    "stripe": "sk_live_" + drawn(24),
    "telegram": "123456789:" + drawn(35),
    "twilio": "SK" + drawn(32, HEXADECIMAL),
    "google": "AIza" + drawn(35),
    "hugging face": "hf_" + drawn(34, LETTERS),
    "digitalocean": "dop_v1_" + drawn(64, HEXADECIMAL),
}
OTHERS = {
    "private key": [
        "-----BEGIN RSA PRIVATE KEY-----",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----",
        "PuTTY-User-Key-File-3: ",
    ],
    "JSON web token": [f"{token(alg='HS256')}.{token(sub='1')}.{drawn(43)}"],
    "password in an address": ["postgresql://curate:" + drawn(12) + "@database:5432/curate"],
    "assigned secret": [
        f'api_key = "{drawn(32)}"',
        f"PASSWORD={drawn(12)}!",
        f'"client_secret": "{drawn(40)}"',
        f"secret_key: {drawn(20)}/{drawn(19)}",
    ],
}
NOTHING = [
    "password = os.environ['PASSWORD1']",
    "password = getpass.getpass()",
    'api_key = "${API_KEY_2026}"',
    'secret = "<your-secret-1>"',
    "password: correct horse battery staple",
    "token = tokenizer.encode(text)",
    "secret_key = settings.SECRET_KEY_2",
    "password = /etc/curate/password-file-1.txt",
    "key = 'aaaaaaaaaaaaaaaa1111'",
    "https://user:password@host/",
    "https://user:$TOKEN1@host/",
    "ssh-rsa public keys and BEGIN PUBLIC KEY",
    "sha256:" + drawn(64, HEXADECIMAL),
    "commit " + drawn(40, HEXADECIMAL),
    "550e8400-e29b-41d4-a716-446655440000",
    "eyJ" + drawn(20) + "." + drawn(20),
]


def kinds(text: str, rule: Secrets | None = None) -> list[str]:
    [found] = (rule or Secrets()).findings([text])
    return [finding.kind for finding in found]


@pytest.mark.parametrize("form", FORMS)
def test_services_tokens_are_found(form: str) -> None:
    rule = Secrets(["access token"])
    for sentence in ("{}", "see {} there", "first\n{}\nlast", '{{"value": "{}"}}', "({})"):
        assert "access token" in kinds(sentence.format(FORMS[form]), rule), sentence


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in OTHERS.items() for text in texts])
def test_other_secrets_are_found(kind: str, text: str) -> None:
    assert kinds(f"some words\n{text}\nand more") == [kind]


@pytest.mark.parametrize("text", NOTHING)
def test_what_only_resembles_secrets_is_not_found(text: str) -> None:
    assert kinds(text) == []


def test_no_trigger_hides_what_its_form_would_find() -> None:
    texts = [*FORMS.values(), *(text for texts in OTHERS.values() for text in texts)]
    asked = {name: credentials._detector(name, cls).denylist for name, (_, cls, _) in DETECTORS.items()}
    for name, patterns in asked.items():
        held = [text for text in texts if any(pattern.search(text) for pattern in patterns)]
        assert held, name
        assert all(any(trigger in text.lower() for trigger in DETECTORS[name][2]) for text in held), name


def test_a_piece_of_something_longer_is_no_token() -> None:
    assert kinds("x" + FORMS["aws"]) == []
    assert kinds(FORMS["aws"] + "x") == []


def test_a_secret_across_the_border_of_two_windows_is_found_once() -> None:
    for before in (16_380, 12_280, 16_384 - 20):
        assert kinds("." * before + " " + FORMS["github"] + " " + "." * 20_000) == ["access token"]


def test_kinds_allowed_values_and_version() -> None:
    assert kinds(FORMS["github"], Secrets(["private key"])) == []
    assert kinds(FORMS["github"], Secrets(allow=["ghp_*"])) == []
    rules = [Secrets(), Secrets(["private key"]), Secrets(allow=[FORMS["github"]])]
    assert len({rule.version for rule in rules}) == 3
    assert not any("ghp_" in rule.version for rule in rules)
    assert re.search(r"detect-secrets=\d", rules[0].version)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "detect_secrets", None)
    with pytest.raises(MissingExtraError) as caught:
        Secrets()
    assert caught.value.hint == "pip install 'curate[privacy]'"
