"""Personal data are found by their forms and check digits, and what only resembles them is not."""

import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import MissingExtraError
from curate.select.filtering import Finding
from curate.select.privacy.personal_data import PersonalData
from curate.types import PERSONAL_DATA_KINDS

FOUND = {
    "email address": [
        "jane.roe+news@mail.example-shop.de",
        "o'neil_99@sub.domain.co.uk",
        "jürgen@münchen.de",
        "info@xn--mnchen-3ya.de",
    ],
    "telephone number": ["+44 20 8366 1177", "+1 (510) 748-8230", "+493012345678", "+33 1 70 18 99 00"],
    "IP address": ["81.2.69.142", "2a02:8108:9c0:1f00::1234"],
    "IBAN": ["DE89370400440532013000", "GB29 NWBK 6016 1331 9268 19", "FR14 2004 1010 0505 0001 3M02 606"],
    "payment card number": ["4532 0151 1283 0366", "5425233430109903", "3782-822463-10005"],
    "national identity number": [
        "536-90-4399",
        "RSSMRA85T10A562S",
        "12345678Z",
        "X1234567L",
        "131052-308T",
        "811228-9874",
        "390.533.447-05",
        "11010519491231002X",
        "756.9217.0769.85",
        "85.07.30-033.28",
        "BSN 111222333",
        "PESEL 44051401359",
        "NHS number 943 476 5870",
        "Aadhaar: 2345 6789 0124",
    ],
}
SENTENCES = ("{}", "see {}.", "({})", "x={}", "a,{},b", '"{}"', "first line\n{}\nlast line", "<{}>", "contact:{};")
NOTHING = [
    "mail user@example.com, me@sub.example.org or root@localhost.localdomain",
    "git clone git@github.com:owner/repository.git",
    "https://user@host.org/path",
    "icon@2x.png and logo@3x.webp",
    "y = a@b.mean() + c@d.T",
    "@decorator.name and @property",
    "10.1.2.3 192.168.0.1 127.0.0.1 169.254.1.1 0.0.0.0 203.0.113.7 2001:db8::1 fe80::1",
    "version 12.1.2.3, v12.1.2.3, package==12.1.2.3 and 12.1.2.3.4",
    "http://81.2.69.142/index.html",
    "4532015112830367",
    "0.4532015112830366 4532015112830366.5 a4532015112830366",
    "DE89370400440532013001 XX89370400440532013000",
    "666-12-3456 000-12-3456 123-45-67890",
    "12345678A X1234567A",
    "111222333 and 44051401359 and 2147483647",
    "2026-11-25 12:34:56 1764110096 1764110096123",
    "550e8400-e29b-41d4-a716-446655440000",
    "4242 4242 4242 4242 4111111111111111 5555 5555 5555 4444",
    "9780306406157 978-0-306-40615-7",
    "+1 -1 x+12345678",
    "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17",
    "aa:bb:cc:dd:ee:ff std::vector::push_back 12:34:56",
]


def kinds(text: str, rule: PersonalData | None = None) -> set[str]:
    [found] = (rule or PersonalData()).findings([text])
    return {finding.kind for finding in found}


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in FOUND.items() for value in values])
def test_each_form_is_found_whatever_stands_around_it(kind: str, value: str) -> None:
    rule = PersonalData()
    for sentence in SENTENCES:
        assert kinds(sentence.format(value), rule) == {kind}, sentence


@pytest.mark.parametrize("text", NOTHING)
def test_what_only_resembles_them_is_not_found(text: str) -> None:
    assert kinds(text) == set()


def test_findings_say_where_and_not_what() -> None:
    text = "IBAN DE89 3704 0044 0532 0130 00, IS IT? mail jane@mailbox.org or joe@mailbox.org"
    [found] = PersonalData().findings([text])
    assert [(text[one.start : one.end], one.kind) for one in found] == [
        ("DE89 3704 0044 0532 0130 00", "IBAN"),
        ("jane@mailbox.org", "email address"),
        ("joe@mailbox.org", "email address"),
    ]
    assert not any("jane" in str(one) for one in found)


def test_only_the_kinds_asked_for() -> None:
    rule = PersonalData(["IBAN"])
    assert kinds("DE89370400440532013000 jane@mailbox.org", rule) == {"IBAN"}


def test_what_is_allowed_is_no_finding() -> None:
    rule = PersonalData(allow=["*@MailBox.org", "+44*"])
    assert kinds("Jane@mailbox.org +44 20 8366 1177", rule) == set()
    assert kinds("jane@mailbox.org.uk", rule) == {"email address"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("call 510-748-8230", True),
        ("(650) 253-2222", True),
        ("phone 5107488230", True),
        ("id 5107488230", False),
        ("510-748", False),
        ("closes #1695) (#1696)", False),
    ],
)
def test_national_telephone_numbers_need_a_region(text: str, found: bool) -> None:
    assert kinds(text) == set()
    assert (kinds(text, PersonalData(regions=["US"])) == {"telephone number"}) is found


def test_the_version_tells_parameters_and_libraries_apart_and_holds_no_value() -> None:
    rules = [
        PersonalData(),
        PersonalData(["IBAN"]),
        PersonalData(regions=["US"]),
        PersonalData(allow=["jane@mailbox.org"]),
    ]
    assert len({rule.version for rule in rules}) == len(rules)
    assert not any("jane" in rule.version for rule in rules)
    assert "phonenumbers=" in rules[0].version
    assert PersonalData(["IBAN", "email address"]).version == PersonalData(["email address", "IBAN"]).version


@given(st.text(alphabet="aA1@.:+- ()/\n_é=", max_size=200))
def test_findings_are_in_order_and_never_overlap(text: str) -> None:
    [found] = PersonalData(regions=["US"]).findings([text])
    assert found == sorted(found)
    assert all(before.end <= after.start for before, after in pairwise(found))
    assert all(0 <= one.start < one.end <= len(text) and one.kind in PERSONAL_DATA_KINDS for one in found)


def test_digits_belong_to_the_surest_kind() -> None:
    [found] = PersonalData(regions=["US"]).findings(["card 4532015112830366"])
    assert found == [Finding(5, 21, "payment card number")]


@pytest.mark.parametrize(("package", "text"), [("stdnum", "4532015112830366"), ("phonenumbers", "+44 20 8366 1177")])
def test_without_the_extra_the_error_names_it(package: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError) as caught:
        PersonalData().findings([text])
    assert caught.value.hint == "pip install 'curate[privacy]'"
