"""Names in the settings: that those which are meant exist, and that no two are equal."""

from collections.abc import Iterable

from curate.errors import ConfigurationError, UnknownNameError


def refuse_unknown(what: str, names: Iterable[str], known: Iterable[str], where: str) -> None:
    listed = list(known)
    for name in names:
        if name not in listed:
            raise UnknownNameError(what, name, listed, where=where)


def refuse_twins(what: str, entries: Iterable[object], place: str) -> None:
    seen: set[str] = set()
    for entry in entries:
        name = str(getattr(entry, "name"))  # noqa: B009 (every entry of these lists has one)
        if name in seen:
            raise ConfigurationError(f"{place}: two {what}s are named {name!r}", hint="rename one of them")
        seen.add(name)
