"""curate turns a stream of raw items into versioned training sets and into models that keep learning from them.

The rooms `store`, `annotate`, `select`, `learners` and `flows` are imported as `curate.store` and so on.
In a wheel they lie inside this package; in a checkout they lie beside it, and the checkout's root joins the path.
"""

from pathlib import Path as _Path

__version__ = "0.1.0"

_root = _Path(__file__).resolve().parent.parent
if (_root / "pyproject.toml").is_file() and (_root / "store").is_dir():
    __path__.append(str(_root))
