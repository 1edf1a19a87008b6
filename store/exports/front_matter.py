"""Reading the YAML head of an export's README as `datasets` does: which files each split has, and the features."""

from collections.abc import Mapping
from typing import Any

_FENCE = "---\n"


def declared_files(readme: str) -> dict[str, list[str]]:
    """Return the paths of the files of each split, in the order that the head gives."""
    [configuration] = _head(readme)["configs"]
    return {entry["split"]: list(entry["path"]) for entry in configuration["data_files"]}


def declared_features(readme: str) -> dict[str, Any]:
    r"""Return the features that the head declares, in the form in which `datasets` writes them to JSON.

    >>> declared_features("---\ndataset_info:\n  features:\n  - name: score\n    dtype: float64\n---\n")
    {'score': {'dtype': 'float64', '_type': 'Value'}}
    """
    return {entry["name"]: _feature(entry) for entry in _head(readme)["dataset_info"]["features"]}


def _head(readme: str) -> Mapping[str, Any]:
    import yaml

    fast = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    head: Mapping[str, Any] = yaml.load(readme.split(_FENCE, 2)[1], Loader=fast)
    return head


def _feature(entry: Mapping[str, Any]) -> dict[str, Any]:
    if "list" in entry:
        return {"feature": {part["name"]: _feature(part) for part in entry["list"]}, "_type": "List"}
    kind = entry["dtype"]
    if isinstance(kind, Mapping):
        names: Mapping[str, str] = kind["class_label"]["names"]
        return {"names": [names[str(code)] for code in range(len(names))], "_type": "ClassLabel"}
    return {"_type": "Image"} if kind == "image" else {"dtype": kind, "_type": "Value"}
