"""Email and IP addresses that can be a person's: what is reserved, private or no address is left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address, IPv6Address, IPv6Network

Span = tuple[int, int]
_DOMAIN = r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}(?:[^\W\d_]{2,24}|xn--[a-z0-9-]{2,59})"
_EMAIL = re.compile(rf"(?<![\w.+%/-])[^\W_][\w.+%'-]{{0,63}}@({_DOMAIN})(?![\w(\[]|-\w|\.\w)", re.IGNORECASE)
_USER_OF_AN_ADDRESS = re.compile(r"://[^\s/@]{0,64}$")
_REMOTE_PATH = re.compile(r":[\w~/][\w./~-]*/")
_RESERVED = re.compile(r"(^|\.)(example\.(com|net|org|edu)|example|test|invalid|localhost|local|localdomain|internal)$")
_FILE_ENDINGS = ("png", "jpg", "jpeg", "gif", "svg", "webp", "ico", "css", "js", "json", "html", "xml", "pdf", "txt")
_IPV4 = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![\w+]|[.-]\w)")
_GOES_ON = re.compile(r"[\w./+-]")
_IPV6 = re.compile(r"[23][0-9A-Fa-f]{3}:(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f]{0,4}(?![\w:])")
_VERSION = re.compile(
    r"(?:\b(?:versions?|ver|release|rev|v|oid|section|chapter)\b[\s.:=\"'(]*|[=<>~^!]=\s*)$", re.IGNORECASE
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")


def email_addresses(text: str) -> Iterator[Span]:
    """Yield where email addresses stand.

    Domains that are reserved (RFC 2606, RFC 6762) belong to nobody; `git@host:path/` and `user@host` within an address
    of the web name machines. Cost: linear; nothing where there is no `@`.
    """
    if "@" not in text:
        return
    for match in _EMAIL.finditer(text):
        start, end = match.span()
        domain = match[1].lower()
        if _RESERVED.search(domain) or (domain.endswith(_FILE_ENDINGS) and domain.rpartition(".")[2] in _FILE_ENDINGS):
            continue
        if _REMOTE_PATH.match(text, end) or _USER_OF_AN_ADDRESS.search(text, max(0, start - 72), start):
            continue
        yield start, end


def ip_addresses(text: str) -> Iterator[Span]:
    """Yield where IP addresses stand that are reachable from everywhere.

    Four numbers after a word for a version are none, and within an address of the web they are a server's.
    """
    for pattern, is_reachable in ((_IPV4, _is_global), (_IPV6, _is_global_unicast)):
        for match in pattern.finditer(text):
            start = match.start()
            whole = not (start and _GOES_ON.match(text, start - 1))
            if whole and is_reachable(match[0]) and not _VERSION.search(text, max(0, start - 24), start):
                yield match.span()


def _is_global(written: str) -> bool:
    try:
        return IPv4Address(written).is_global
    except AddressValueError:
        return False


def _is_global_unicast(written: str) -> bool:
    try:
        address = IPv6Address(written)
    except AddressValueError:
        return False
    return address.is_global and address in _GLOBAL_UNICAST
