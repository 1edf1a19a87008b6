"""Numbers that name a person's account, card or file: IBANs, payment cards, national identity numbers, telephones.

Everything with check digits is checked, by python-stdnum; telephone numbers by phonenumbers (Google's tables).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any, Literal

from curate.errors import MissingExtraError

Span = tuple[int, int]
_IBAN = re.compile(r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}")
_CARD = re.compile(r"\d{4}(?:\d{10,12}|([ -])\d{4}\1\d{4}\1\d{4}|([ -])\d{6}\2\d{4,5})(?!\w|[./+-]\w)")
_GOES_ON = re.compile(r"[\w./+-]")
"""Before a number one of these makes it a piece of a longer number, a word, a path or a difference."""
_ISSUERS = re.compile(
    r"4\d{15}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}"
    r"|3(?:0[0-5]|[68]\d)\d{11}|(?:6011|64[4-9]\d|65\d\d|62\d\d|35(?:2[89]|[3-8]\d))\d{12}"
)
_FEWEST_DIGITS = 3
"""So many different digits a card number has. 4111 1111 1111 1111, 4242 4242 4242 4242 and their like are made up, for
shops' tests and as placeholders, and stand in much code; of 3,000 million random numbers one has two digits only."""
_TELEPHONE = re.compile(
    r"\b(?:tele?(?:fon|phone)?s?|t[eé]l|phone|call|mobile?|cell|fax|whatsapp|sms|handy)\b", re.IGNORECASE
)
_LISTED = re.compile(r"[\n,]")
"""Between two numbers and not inside one."""
_NEAR = 60
"""Within how many characters before a number a word must stand that says what it is."""


@dataclass(frozen=True)
class NationalNumber:
    """A national identity number: the module of python-stdnum that checks it, and how it is written.

    Where digits alone would fit too much else, one of `words` must stand shortly before. `asked` is what of the module.
    """

    module: str
    written: str
    words: str = ""
    asked: Literal["is_valid", "get_birth_date"] = "is_valid"

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Where such a number ends, nothing goes on."""
        return re.compile(rf"(?:{self.written})(?!\w|[./+-]\w)")

    @cached_property
    def context(self) -> re.Pattern[str] | None:
        """What must stand before."""
        return re.compile(rf"\b(?:{self.words})\b", re.IGNORECASE) if self.words else None

    def check(self, number: str) -> bool:
        """Whether length, dates and check digits are right."""
        checked = getattr(_stdnum(self.module), self.asked)
        try:
            return bool(checked(number))
        except _stdnum("exceptions").ValidationError:
            return False


NATIONAL_NUMBERS = (
    NationalNumber("us.ssn", r"\d{3}-\d{2}-\d{4}"),
    NationalNumber("fr.nir", r"[1278] ?\d\d ?(?:0\d|1[0-2]|[2-9]\d) ?(?:\d\d|2[AB]) ?\d{3} ?\d{3} ?\d\d"),
    NationalNumber("it.codicefiscale", r"[A-Z]{6}\d{2}[A-EHLMPR-T]\d{2}[A-Z]\d{3}[A-Z]"),
    NationalNumber("es.dni", r"\d{8}-?[A-HJ-NP-TV-Z]"),
    NationalNumber("es.nie", r"[XYZ]-?\d{7}-?[A-HJ-NP-TV-Z]"),
    NationalNumber("fi.hetu", r"[0-3]\d[01]\d\d\d[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]"),
    NationalNumber("se.personnummer", r"(?:19|20)?\d\d[01]\d[0-3]\d[-+]\d{4}"),
    NationalNumber("no.fodselsnummer", r"[0-7]\d[0-9]\d\d\d ?\d{5}", r"f.dselsnummer|personnummer|fnr|national id\w*"),
    NationalNumber("dk.cpr", r"[0-3]\d[01]\d\d\d-?\d{4}", r"cpr|personnummer|cpr-nummer"),
    NationalNumber("br.cpf", r"\d{3}\.\d{3}\.\d{3}-\d{2}"),
    NationalNumber("br.cpf", r"\d{11}", r"cpf"),
    NationalNumber("mx.curp", r"[A-Z]{4}\d{6}[HMX][A-Z]{5}[0-9A-Z]\d"),
    NationalNumber("cn.ric", r"[1-9]\d{5}(?:19|20)\d\d[01]\d[0-3]\d\d{3}[0-9X]"),
    # Since 2020 new ones have no check digit.
    NationalNumber("kr.rrn", r"\d\d[01]\d[0-3]\d-[1-8]\d{6}", asked="get_birth_date"),
    NationalNumber("be.nn", r"\d\d\.[01]\d\.[0-3]\d-\d{3}\.\d\d"),
    NationalNumber("ch.ssn", r"756\.?\d{4}\.?\d{4}\.?\d\d"),
    NationalNumber("nl.bsn", r"\d{9}|\d{4}\.\d{2}\.\d{3}", r"bsn|burgerservicenummer|sofinummer"),
    NationalNumber("pl.pesel", r"\d{11}", r"pesel"),
    NationalNumber("de.idnr", r"\d{11}|\d\d \d{3} \d{3} \d{3}", r"steuer-?id\w*|identifikationsnummer|idnr|tax id\w*"),
    NationalNumber("gb.nhs", r"\d{3}[ -]?\d{3}[ -]?\d{4}", r"nhs"),
    NationalNumber("in_.aadhaar", r"\d{4}[ -]?\d{4}[ -]?\d{4}", r"aadhaar|aadhar|uidai"),
    NationalNumber("ca.sin", r"\d{3}[ -]?\d{3}[ -]?\d{3}", r"sin|social insurance|nas"),
    NationalNumber("au.tfn", r"\d{3} ?\d{3} ?\d{2,3}", r"tfn|tax file"),
    NationalNumber("za.idnr", r"\d{13}", r"id (?:number|no)|identity (?:number|no)"),
    NationalNumber("tr.tckimlik", r"\d{11}", r"t\.?c\.?|tckn|kimlik"),
    NationalNumber("ro.cnp", r"\d{13}", r"cnp"),
    NationalNumber("us.ssn", r"\d{9}", r"ssn|social security"),
)


def ibans(text: str) -> Iterator[Span]:
    """Yield where IBANs stand: known country, right length and structure, right check digits."""
    for match in _IBAN.finditer(text):
        if text[match.start() - 1 : match.start()].isalnum():
            continue
        for end in range(match.end(), match.start() + 14, -1):
            inside = text[end : end + 1].isalnum() or not text[end - 1].isalnum()
            if not inside and _stdnum("iban").is_valid(text[match.start() : end]):
                yield match.start(), end
                break


def payment_cards(text: str) -> Iterator[Span]:
    """Yield where payment card numbers stand: an issuer's range and length, and a right check digit (Luhn).

    Numbers of one or two different digits are what shops' tests are written with, and no cards.
    """
    for match in _CARD.finditer(text):
        digits = re.sub("[ -]", "", match[0])
        if match.start() and _GOES_ON.match(text, match.start() - 1):
            continue
        if _ISSUERS.fullmatch(digits) and len(set(digits)) >= _FEWEST_DIGITS and _stdnum("luhn").is_valid(digits):
            yield match.span()


def national_numbers(text: str) -> Iterator[Span]:
    """Yield where national identity numbers stand."""
    for kind in NATIONAL_NUMBERS:
        for match in kind.pattern.finditer(text):
            if match.start() and _GOES_ON.match(text, match.start() - 1):
                continue
            near = text[max(0, match.start() - _NEAR) : match.start()]
            if (kind.context is None or kind.context.search(near)) and kind.check(match[0]):
                yield match.span()


def telephone_numbers(text: str, regions: Sequence[str] = ()) -> Iterator[Span]:
    """Yield where valid telephone numbers stand: with a `+`, and in the ways of these regions also without.

    A region is a country's two capital letters. Without a `+` a number must be grouped as is usual there, or a word
    for a telephone must stand shortly before. Cost: the slowest of all kinds, about a millisecond a number.
    """
    library = _phonenumbers()
    for match in library.PhoneNumberMatcher(text, None):
        yield match.start, match.end
    for region in regions:
        for match in library.PhoneNumberMatcher(text, region, leniency=library.Leniency.STRICT_GROUPING):
            written, near = match.raw_string, text[max(0, match.start - _NEAR) : match.start]
            if _TELEPHONE.search(near) or not (written.isdigit() or _LISTED.search(written)):
                yield match.start, match.end


def _stdnum(module: str) -> Any:
    try:
        import stdnum
    except ImportError as error:
        raise MissingExtraError("the filter for personal data", "privacy") from error
    return import_module(f"{stdnum.__name__}.{module}")


def _phonenumbers() -> Any:
    try:
        import phonenumbers
    except ImportError as error:
        raise MissingExtraError("the filter for personal data", "privacy") from error
    return phonenumbers
