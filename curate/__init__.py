"""curate turns a stream of raw items into versioned training sets and into models that keep learning from them.

The rooms `store`, `annotate`, `select`, `learners` and `flows` are imported as `curate.store` and so on.
In a wheel they lie inside this package; in a checkout they lie beside it, and the checkout's root joins the path.
"""

from pathlib import Path as _Path
from typing import TYPE_CHECKING as _TYPE_CHECKING

if _TYPE_CHECKING:
    from curate.store.view import StoreView

__version__ = "0.1.0"

_root = _Path(__file__).resolve().parent.parent
if (_root / "pyproject.toml").is_file() and (_root / "store").is_dir():
    __path__.append(str(_root))


def open(store: str | _Path) -> "StoreView":
    """Open a store, by its folder or its address on DuckLake, to look at it; never waits for a writer, changes nothing.

    >>> import curate
    >>> with curate.open("curate-store") as store:  # doctest: +SKIP
    ...     labels = store.query("SELECT value, count(*) AS items FROM annotations GROUP BY value").read_all()

    Raises:
        ConfigurationError: there is no store at this address, or nothing has been published.
    """
    from curate.store.address import store_address
    from curate.store.view import StoreView

    return StoreView(store_address(str(store), _Path()))
