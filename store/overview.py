"""What `curate status` shows of a store: its newest commit, its counts, and who writes to it now."""

from dataclasses import replace

from curate.store.address import Address, LakeAddress
from curate.store.lease import Holder, holder
from curate.store.manifest import Manifest, read_manifest


def overview(address: Address) -> Manifest:
    """Return the newest commit of a store and the rows of its tables; an empty one where there is nothing yet.

    An embedded store's manifest is read and nothing else, neither DuckDB nor PyArrow. A lake's tables are counted.

    Raises:
        StoreError: the manifest is damaged.
        ServiceError: a lake's catalog does not answer.
    """
    if not isinstance(address, LakeAddress):
        return read_manifest(address)
    from curate.store.reader import Reader

    with Reader(address) as reader:
        shown = reader.manifest
        return replace(shown, figures=dict(shown.figures), counted=dict(shown.counted))


def newest_commit(address: Address) -> int:
    """Return the number of the newest commit, 0 where there is none; counts nothing.

    Raises:
        StoreError: the manifest is damaged.
        ServiceError: a lake's catalog does not answer.
    """
    if not isinstance(address, LakeAddress):
        return read_manifest(address).commit_number
    from curate.store.reader import Reader

    with Reader(address) as reader:
        return reader.commit_number


def writer(address: Address) -> Holder | str | None:
    """Return who writes to a store now, which reads as a sentence, or None; never waits."""
    if not isinstance(address, LakeAddress):
        return holder(address)
    from curate.store.lake.turns import turn_holder

    return turn_holder(address)
