"""The rule `personal data`: what names, reaches or charges a person, as far as a form or check digits tell."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version

from curate.errors import MissingExtraError
from curate.select.filtering import Claimed, Finding
from curate.select.privacy.addresses import Span, email_addresses, ip_addresses
from curate.select.privacy.allowed import Allowed
from curate.select.privacy.numbers import ibans, national_numbers, payment_cards, telephone_numbers
from curate.types import PERSONAL_DATA_KINDS, PersonalDataKind

_PACKAGES = ("phonenumbers", "python-stdnum")
_NUMBER = re.compile(r"\d(?:[^\w\n]{0,3}\d){6}|\d{6}[-+A-Z]\d|[A-Z]{4}[A-Z\d]{2}\d\d")
"""What a text must hold for a card, a national number or a telephone number to be in it; most texts do not."""
_NUMBERS = ("payment card number", "national identity number", "telephone number")
_INTERNATIONAL = re.compile(r"[+\uff0b][\s(]{0,2}\d(?:[^\w\n]{0,3}\d){6}")


class PersonalData:
    """Finds email and IP addresses, telephone numbers, IBANs, payment cards and national identity numbers.

    Names, postal addresses and whatever has no form of its own are not found. `regions` are countries (two capital
    letters) whose telephone numbers are found without a `+` too; `allow` are patterns of values that are no findings.

    >>> PersonalData().findings(["write to jane.roe@mailbox.org"])
    [[Finding(start=9, end=29, kind='email address')]]

    Raises:
        MissingExtraError: phonenumbers or python-stdnum is not installed.
    """

    name = "personal data"

    def __init__(
        self,
        kinds: Sequence[PersonalDataKind] = PERSONAL_DATA_KINDS,
        *,
        regions: Sequence[str] = (),
        allow: Sequence[str] = (),
    ) -> None:
        self._regions = tuple(sorted(regions))
        self._allowed = Allowed(allow)
        self._finders = [(kind, find) for kind, find in self._all_finders() if kind in kinds]
        self.version = " ".join(
            [
                "1",
                *(f"{package}={_version(package)}" for package in _PACKAGES),
                f"kinds={','.join(sorted(kinds))}",
                f"regions={','.join(self._regions)}",
                f"allow={self._allowed.version}",
            ]
        )

    def findings(self, texts: Sequence[str]) -> list[list[Finding]]:
        """Return the findings of each text."""
        return [self._look(text) for text in texts]

    def _look(self, text: str) -> list[Finding]:
        claimed = Claimed()
        numbers = _NUMBER.search(text) is not None
        for kind, find in self._finders:
            for start, end in find(text) if numbers or kind not in _NUMBERS else ():
                if not self._allowed.holds(text[start:end]):
                    claimed.take(start, end, kind)
        return claimed.in_order()

    def _all_finders(self) -> Iterator[tuple[PersonalDataKind, Callable[[str], Iterator[Span]]]]:
        """The surest first: digits that one has claimed are no other's."""
        yield "email address", email_addresses
        yield "IBAN", ibans
        yield "payment card number", payment_cards
        yield "national identity number", national_numbers
        yield "IP address", ip_addresses
        yield "telephone number", self._telephone_numbers

    def _telephone_numbers(self, text: str) -> Iterator[Span]:
        possible = self._regions or _INTERNATIONAL.search(text)
        return telephone_numbers(text, self._regions) if possible else iter(())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError as error:
        raise MissingExtraError("the filter for personal data", "privacy") from error
