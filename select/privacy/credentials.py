"""The rule `secrets`: keys, tokens and passwords, by the forms that detect-secrets (Yelp) knows and some newer ones.

detect-secrets can ask services whether a secret is real: here only its forms are used, and nothing leaves the machine.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import Any

from curate.errors import MissingExtraError
from curate.select.filtering import Claimed, Finding
from curate.select.privacy.allowed import Allowed
from curate.types import SECRET_KINDS, SecretKind

# detect-secrets' modules with what a text must hold, in small letters, for one of the forms to be in it: which saves
# most of the time, and is why every form here has its test. Artifactory's form is left out: it fits capitalised words.
_DETECTORS: dict[str, tuple[SecretKind, str, tuple[str, ...]]] = {
    "private_key": ("private key", "PrivateKeyDetector", ("private key", "putty-user-key-file")),
    "aws": ("access token", "AWSKeyDetector", ("a3t", "abia", "acca", "akia", "asia", "aws")),
    "azure_storage_key": ("access token", "AzureStorageKeyDetector", ("accountkey=",)),
    "cloudant": ("access token", "CloudantDetector", ("cloudant", "cl_", "cl-", "clkey", "clou")),
    "discord": ("access token", "DiscordBotTokenDetector", (".",)),
    "github_token": ("access token", "GitHubTokenDetector", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_")),
    "gitlab_token": ("access token", "GitLabTokenDetector", ("gl", "gr1348941")),
    "ibm_cloud_iam": ("access token", "IbmCloudIamDetector", ("ibm", "iam", "cloud")),
    "ibm_cos_hmac": ("access token", "IbmCosHmacDetector", ("cos",)),
    "mailchimp": ("access token", "MailchimpDetector", ("-us",)),
    "npm": ("access token", "NpmDetector", (":_authtoken=",)),
    "openai": ("access token", "OpenAIDetector", ("t3blbkfj",)),
    "pypi_token": ("access token", "PypiTokenDetector", ("pypi-age",)),
    "sendgrid": ("access token", "SendGridDetector", ("sg.",)),
    "slack": ("access token", "SlackDetector", ("xox", "hooks.slack.com")),
    "softlayer": ("access token", "SoftlayerDetector", ("softlayer",)),
    "square_oauth": ("access token", "SquareOAuthDetector", ("sq0csp-",)),
    "stripe": ("access token", "StripeDetector", ("k_live_",)),
    "telegram_token": ("access token", "TelegramBotTokenDetector", (":",)),
    "twilio": ("access token", "TwilioKeyDetector", ("ac", "sk")),
    "jwt": ("JSON web token", "JwtTokenDetector", ("eyj",)),
    "basic_auth": ("password in an address", "BasicAuthDetector", ("://",)),
}
# Forms that services document and detect-secrets 1.5 does not know.
_NEWER = (
    ("private key", ("encrypted private key", "putty-user-key"), r"BEGIN ENCRYPTED PRIVATE KEY|PuTTY-User-Key-File-3"),
    ("access token", ("github_pat_",), r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
    ("access token", ("aiza",), r"AIza[0-9A-Za-z_-]{35}"),
    ("access token", ("sk-ant-",), r"sk-ant-[a-z]{3,6}\d\d-[A-Za-z0-9_-]{80,120}"),
    ("access token", ("sk-",), r"sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{40,200}"),
    ("access token", ("hf_",), r"hf_[A-Za-z]{34}"),
    ("access token", ("npm_",), r"npm_[A-Za-z0-9]{36}"),
    ("access token", ("dop_v1_",), r"dop_v1_[a-f0-9]{64}"),
)
_ASSIGNED = re.compile(
    r"(?i:api_?key|auth_?key|access_?key|secret_?key|client_?secret|secret|auth_?token|access_?token|password|passwd|"
    r"passphrase|pwd)[\"']?\]?\s{0,4}(?:=>|:=|=|:)\s{0,4}([\"']?)([^\s\"'`,;<>(){}\[\]$%]{8,200})(?=\1)(?![\w(\[.{])"
)
_ASSIGNMENT_WORDS = ("key", "secret", "token", "pass", "pwd")
_NAME = re.compile(r"[\w-]+(?:\.[\w-]+)+(?::\d+)?|[./~]?(?:[\w.-]+/)+[\w.-]*|[a-z]+[-_]?\d{1,4}", re.IGNORECASE)
_DIGIT, _LETTER = re.compile(r"\d"), re.compile(r"[^\W\d_]")
_LONG = 24
"""From so many characters on, capital and small letters with digits are no name."""
_WINDOW, _OVERLAP = 16_384, 4_096
_LEAST_ENTROPY = 3.0
"""Bits a character that an assigned value must have: words and repetitions have fewer."""


@dataclass(frozen=True, slots=True)
class _Form:
    kind: SecretKind
    triggers: tuple[str, ...]
    pattern: re.Pattern[str]
    is_valid: Callable[[str], bool] | None = None


class Secrets:
    """Finds private keys, services' access tokens, JSON web tokens, passwords in addresses and assigned secrets.

    An assigned secret is a value that looks random and follows a name such as `api_key =`. `allow` are patterns of
    values that are no findings.

    Raises:
        MissingExtraError: detect-secrets is not installed.
    """

    name = "secrets"

    def __init__(self, kinds: Sequence[SecretKind] = SECRET_KINDS, *, allow: Sequence[str] = ()) -> None:
        self._allowed = Allowed(allow)
        self._assigned = "assigned secret" in kinds
        self._forms = [form for form in (*_detect_secrets_forms(), *_newer_forms()) if form.kind in kinds]
        libraries = f"detect-secrets={version('detect-secrets')}"
        self.version = f"1 {libraries} kinds={','.join(sorted(kinds))} allow={self._allowed.version}"

    def findings(self, texts: Sequence[str]) -> list[list[Finding]]:
        """Return the findings of each text."""
        return [self._look(text) for text in texts]

    def _look(self, text: str) -> list[Finding]:
        claimed = Claimed()
        lowered = text.lower()
        for form in self._forms:
            if any(trigger in lowered for trigger in form.triggers):
                for start, end in _matches(form, text):
                    if not self._allowed.holds(text[start:end]):
                        claimed.take(start, end, form.kind)
        if self._assigned and any(word in lowered for word in _ASSIGNMENT_WORDS):
            for start, end in _assigned(text):
                if not self._allowed.holds(text[start:end]):
                    claimed.take(start, end, "assigned secret")
        return claimed.in_order()


def _matches(form: _Form, text: str) -> Iterator[tuple[int, int]]:
    """Matches that stand by themselves: inside a longer run of letters and digits they are a piece of it."""
    for match in _in_windows(form.pattern, text):
        start, end = match.span()
        joined = text[start - 1 : start].isalnum() and text[start].isalnum()
        if joined or (text[end : end + 1].isalnum() and text[end - 1].isalnum()):
            continue
        if form.is_valid is None or form.is_valid(match[0]):
            yield start, end


def _in_windows(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Search piece by piece: some forms cost the square of what they search, and a text may be of any length."""
    for start in range(0, max(len(text) - _OVERLAP, 1), _WINDOW - _OVERLAP):
        yield from pattern.finditer(text, start, start + _WINDOW)


def _assigned(text: str) -> Iterator[tuple[int, int]]:
    for match in _in_windows(_ASSIGNED, text):
        if _looks_random(match[2]):
            yield match.span(2)


def _looks_random(value: str) -> bool:
    """Whether a value has letters, digits and enough entropy, and is not written as names and paths are."""
    if not (_DIGIT.search(value) and _LETTER.search(value)) or _entropy(value) < _LEAST_ENTROPY:
        return False
    long_and_mixed = len(value) >= _LONG and value.lower() != value != value.upper()
    return long_and_mixed or not _NAME.fullmatch(value)


def _entropy(value: str) -> float:
    """Shannon's entropy in bits a character.

    >>> _entropy("aaaa"), _entropy("abcd")
    (0.0, 2.0)
    """
    return abs(-sum(count / len(value) * math.log2(count / len(value)) for count in Counter(value).values()))


def _detect_secrets_forms() -> Iterator[_Form]:
    for module, (kind, name, triggers) in _DETECTORS.items():
        detector = _detector(module, name)
        is_valid = getattr(detector, "is_formally_valid", None) or (_is_password if module == "basic_auth" else None)
        for pattern in detector.denylist:
            yield _Form(kind, triggers, pattern, is_valid)


def _newer_forms() -> Iterator[_Form]:
    for kind, triggers, pattern in _NEWER:
        yield _Form(kind, triggers, re.compile(pattern))  # type: ignore[arg-type]


def _is_password(written: str) -> bool:
    """Whether the password of `://user:password@` is one, and no placeholder."""
    password = written.rpartition(":")[2].removesuffix("@")
    return not re.fullmatch(r"[<{$%].*|\*+|x+|\.+|pass(word|wd)?|pwd|secret|token", password, re.IGNORECASE)


def _detector(module: str, name: str) -> Any:
    try:
        import detect_secrets
    except ImportError as error:
        raise MissingExtraError("the filter for secrets", "privacy") from error
    return getattr(import_module(f"{detect_secrets.__name__}.plugins.{module}"), name)()
