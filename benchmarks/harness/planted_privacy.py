"""Texts with planted personal data and secrets, each with its place and kind, and with what only resembles them.

The values come from Faker and from the formats that services document, not from what is measured; telephone numbers
from phonenumbers' examples with other last digits. Faker's JCB cards and Chinese numbers are left out: they lie in
ranges that were never given out. Development and test have other sentences and other seeds: whoever changes a rule
looks at development only.
"""

from __future__ import annotations

import base64
import json
import random
import string
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Literal

from curate.errors import MissingExtraError

Split = Literal["development", "test"]
_ALPHANUMERIC, _HEXADECIMAL = string.ascii_letters + string.digits, "0123456789abcdef"
_UPPER = string.ascii_uppercase + string.digits
# What introduces a planted value of any kind, by split.
_SENTENCES: dict[Split, tuple[str, ...]] = {
    "development": ("Please use {} from now on.", "{}", "(see {})", "value;{};next", "It was {}, as agreed."),
    "test": ("Kindly note {} in your records.", "- {}", "[{}]", "first,{},last", "We were given {}. Nothing else."),
}
_CONTEXT: dict[str, dict[Split, tuple[str, ...]]] = {
    "telephone number": {"development": ("call {}", "Tel. {}"), "test": ("phone: {}", "ring me, my mobile is {}")},
    "pl_PL": {"development": ("PESEL: {}",), "test": ("numer PESEL {}",)},
    "nl_NL": {"development": ("BSN {}",), "test": ("burgerservicenummer: {}",)},
}
# Countries whose numbers Presidio knows too: the only ones by which the two are compared.
_SHARED = {"en_US", "it_IT", "es_ES", "fi_FI", "sv_SE", "pl_PL", "ko_KR"}
_NUMBERS = {
    "en_US": "ssn", "fr_FR": "ssn", "it_IT": "ssn", "es_ES": "nif", "fi_FI": "ssn", "sv_SE": "ssn", "pl_PL": "pesel",
    "pt_BR": "cpf", "nl_NL": "ssn", "ko_KR": "ssn", "de_CH": "ssn",
}  # fmt: skip
_CARDS = ("visa16", "mastercard", "amex", "discover", "diners")
NATIONAL_REGIONS = ("DE", "FR", "GB", "US")


@dataclass(frozen=True, slots=True)
class Planted:
    """Where a text holds what; `shared` says whether the peers claim to know such a thing."""

    start: int
    end: int
    kind: str
    shared: bool = True


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text with all that was planted in it."""

    text: str
    planted: tuple[Planted, ...]


class Planter:
    """Makes labelled texts, the same for the same seed; half of them hold nothing that is to be found."""

    def __init__(self, seed: int, split: Split, kinds: Literal["personal", "secrets"]) -> None:
        self._chance = random.Random(f"{split}:{seed}")
        self._split: Split = split
        self._fakers = {locale: _faker(locale, seed) for locale in (*_NUMBERS, "en_GB", "de_DE")}
        self._makers: Sequence[Callable[[], tuple[str, str, bool]]] = (
            self._personal_makers() if kinds == "personal" else self._secret_makers()
        )

    def texts(self, count: int) -> list[Labelled]:
        """Return so many texts of a few sentences each."""
        return [self._text(number % 2 == 0) for number in range(count)]

    def _text(self, planted: bool) -> Labelled:
        parts: list[tuple[str, str, str, bool]] = [
            (self._filler(), "", "", True) for _ in range(self._chance.randint(2, 4))
        ]
        parts += [(self._near_miss(), "", "", True) for _ in range(self._chance.randint(1, 2))]
        for _ in range(self._chance.randint(1, 2) if planted else 0):
            value, kind, shared = self._chance.choice(self._makers)()
            parts.append((self._sentence(kind), value, kind.partition("/")[0], shared))
        self._chance.shuffle(parts)
        text, places = "", []
        for sentence, value, kind, shared in parts:
            before, hole, after = sentence.partition("{}") if kind else (sentence, "", "")
            start = len(text) + len(before)
            text += before + (value if hole else "") + after + self._chance.choice((" ", "\n"))
            if kind:
                places.append(Planted(start, start + len(value), kind, shared))
        return Labelled(text, tuple(places))

    def _sentence(self, kind: str) -> str:
        own = _CONTEXT.get(kind.rpartition("/")[2], {}).get(self._split, ())
        return (
            self._chance.choice(own)
            if own and self._chance.random() < 0.9
            else self._chance.choice(_SENTENCES[self._split])
        )

    def _filler(self) -> str:
        return str(self._fakers[self._chance.choice(("en_US", "de_DE", "fr_FR"))].sentence())

    def _near_miss(self) -> str:
        return self._chance.choice(_NEAR_MISSES)(self._chance)

    def _personal_makers(self) -> Sequence[Callable[[], tuple[str, str, bool]]]:
        return (self._email, self._telephone, self._ip, self._iban, self._card, self._national)

    def _email(self) -> tuple[str, str, bool]:
        faker = self._fakers[self._chance.choice(("en_US", "de_DE", "en_GB"))]
        return str(self._chance.choice((faker.ascii_free_email, faker.ascii_company_email))()), "email address", True

    def _telephone(self) -> tuple[str, str, bool]:
        import phonenumbers

        kinds = (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE)
        styles = phonenumbers.PhoneNumberFormat
        national = self._chance.random() < 0.4
        region = self._chance.choice(
            NATIONAL_REGIONS if national else (*NATIONAL_REGIONS, "IN", "BR", "JP", "PL", "NG")
        )
        while True:
            number: Any = phonenumbers.example_number_for_type(region, self._chance.choice(kinds))
            number.national_number = number.national_number // 10_000 * 10_000 + self._chance.randrange(10_000)
            if phonenumbers.is_valid_number(number):
                style = styles.NATIONAL if national else self._chance.choice((styles.INTERNATIONAL, styles.E164))
                return phonenumbers.format_number(number, style), "telephone number", True

    def _ip(self) -> tuple[str, str, bool]:
        if self._chance.random() < 0.7:
            return str(self._fakers["en_US"].ipv4_public()), "IP address", True
        tail = ":".join(f"{self._chance.randrange(65_536):x}" for _ in range(self._chance.randint(2, 5)))
        return f"2a02:{self._chance.randrange(65_536):x}::{tail}", "IP address", True

    def _iban(self) -> tuple[str, str, bool]:
        written = str(self._fakers[self._chance.choice(("en_GB", "de_DE", "fr_FR", "it_IT", "es_ES", "nl_NL"))].iban())
        grouped = " ".join(written[start : start + 4] for start in range(0, len(written), 4))
        return self._chance.choice((written, grouped)), "IBAN", True

    def _card(self) -> tuple[str, str, bool]:
        written = str(self._fakers["en_US"].credit_card_number(self._chance.choice(_CARDS)))
        mark = self._chance.choice(("", " ", "-"))
        borders = (0, 4, 8, 12, 16) if len(written) == 16 else (0, 4, 10, 16)
        return mark.join(written[a:b] for a, b in pairwise(borders)), "payment card number", True

    def _national(self) -> tuple[str, str, bool]:
        locale = self._chance.choice(list(_NUMBERS))
        value = str(getattr(self._fakers[locale], _NUMBERS[locale])())
        return value, f"national identity number/{locale}", locale in _SHARED

    def _secret_makers(self) -> Sequence[Callable[[], tuple[str, str, bool]]]:
        return [partial(self._secret, form) for form in _SECRETS]

    def _secret(self, form: Callable[[random.Random], tuple[str, str]]) -> tuple[str, str, bool]:
        return (*form(self._chance), True)


def _draw(chance: random.Random, count: int, alphabet: str = _ALPHANUMERIC) -> str:
    return "".join(chance.choices(alphabet, k=count))


def _piece(**content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


_SECRETS: tuple[Callable[[random.Random], tuple[str, str]], ...] = (
    lambda c: (f"-----BEGIN {c.choice(('RSA ', 'EC ', 'OPENSSH ', '', 'ENCRYPTED '))}PRIVATE KEY-----", "private key"),
    lambda c: (f"AKIA{_draw(c, 16, _UPPER)}", "access token"),
    lambda c: (f"aws_secret_access_key = '{_draw(c, 40)}'", "access token"),
    lambda c: (f"gh{c.choice('pousr')}_{_draw(c, 36)}", "access token"),
    lambda c: (f"github_pat_{_draw(c, 22)}_{_draw(c, 59)}", "access token"),
    lambda c: (f"glpat-{_draw(c, 20)}", "access token"),
    lambda c: (f"xoxb-{c.randrange(10**11, 10**12)}-{c.randrange(10**11, 10**12)}-{_draw(c, 24)}", "access token"),
    lambda c: (f"sk_live_{_draw(c, 24)}", "access token"),
    lambda c: (f"SG.{_draw(c, 22)}.{_draw(c, 43)}", "access token"),
    lambda c: (f"AIza{_draw(c, 35)}", "access token"),
    lambda c: (f"hf_{_draw(c, 34, string.ascii_letters)}", "access token"),
    lambda c: (f"npm_{_draw(c, 36)}", "access token"),
    lambda c: (f"sk-proj-{_draw(c, 74)}{'T3Blbk' + 'FJ'}{_draw(c, 74)}", "access token"),
    lambda c: (f"sk-ant-api03-{_draw(c, 93)}AA", "access token"),
    lambda c: (f"{c.randrange(10**8, 10**10)}:{_draw(c, 35)}", "access token"),
    lambda c: (f"{_piece(alg='HS256')}.{_piece(sub=str(c.randrange(10**9)))}.{_draw(c, 43)}", "JSON web token"),
    lambda c: (f"postgres://{_draw(c, 6)}:{_draw(c, c.randint(8, 20))}@db.internal:5432/app", "password in an address"),
    lambda c: (f'{c.choice(("api_key", "secret_key"))} = "{_draw(c, c.choice((24, 32, 40)))}"', "assigned secret"),
    lambda c: (f"{c.choice(('PASSWORD', 'DB_PASSWORD'))}={_draw(c, c.randint(10, 16))}!7x", "assigned secret"),
    lambda c: (f'"client_secret": "{_draw(c, 40)}"', "assigned secret"),
)  # fmt: skip
_NEAR_MISSES: tuple[Callable[[random.Random], str], ...] = (
    lambda c: f"version {c.randint(1, 30)}.{c.randint(0, 30)}.{c.randint(0, 30)}.{c.randint(0, 99)} is out",
    lambda c: f"on {c.randint(1990, 2030)}-{c.randint(1, 12):02}-{c.randint(1, 28):02} 12:{c.randint(10, 59)}:07",
    lambda c: f"timestamp {c.randrange(10**9, 2 * 10**9)}.{c.randrange(10**6)}",
    lambda c: f"id {uuid.UUID(int=c.getrandbits(128))}",
    lambda c: f"commit {_draw(c, 40, _HEXADECIMAL)}",
    lambda c: f"sha256:{_draw(c, 64, _HEXADECIMAL)}",
    lambda c: f"order {c.randrange(10**8, 10**12)}",
    lambda c: f"ISBN 978-3-{c.randrange(10**5, 10**6)}-{c.randrange(10, 100)}-{c.randrange(10)}",
    lambda c: f"host 192.168.{c.randrange(256)}.{c.randrange(256)} answers",
    lambda c: f"write to user{c.randrange(100)}@example.com for a test",
    lambda c: f"y = weights{c.randrange(10)}@inputs.mean() + bias",
    lambda c: f"git clone git@host{c.randrange(10)}.org:team/project.git",
    lambda c: f"at {c.uniform(-90, 90):.6f}, {c.uniform(-180, 180):.6f}",
    lambda c: f"it costs {c.randrange(10, 10**6):,}.{c.randrange(100):02} in total",
    lambda c: f"mac {':'.join(_draw(c, 2, _HEXADECIMAL) for _ in range(6))}",
    lambda c: f"password = os.environ['APP_PASSWORD_{c.randrange(10)}']",
    lambda c: f'api_key: "${{API_KEY_{c.randrange(10)}}}"',
    lambda c: "secret = getpass.getpass('the secret: ')",
    lambda c: f"https://user:password@host{c.randrange(10)}.org/path",
    lambda c: f"image {base64.b64encode(c.randbytes(45)).decode()}",
    lambda c: f"{c.randrange(10**3)} of {c.randrange(10**3, 10**4)} rows, {c.randrange(10**6, 10**7)} bytes",
)  # fmt: skip


def _faker(locale: str, seed: int) -> Any:
    try:
        from faker import Faker
    except ImportError as error:
        raise MissingExtraError(f"the benchmark of privacy (it lacks {error.name})", "benchmarks") from error
    faker = Faker(locale)
    faker.seed_instance(seed)
    return faker
