"""The parse of a source and a target together, from where the source's parse stopped: see `pairs` for the idea.

The record of the target's own parse (`skeleton`) is followed from hazard to hazard: positions where the source, or an
earlier deviation, may make a difference. Where one does, the target is parsed until a match ends where one of the
record's ends. From there on everything is as recorded, except what later finds the positions that were entered
otherwise: they become hazards.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from curate.select.lz4_kernel.bits import (
    bit,
    clear_bits,
    next_bit,
    set_bit,
    set_bits,
)
from curate.select.lz4_kernel.instructions import (
    compiled,
    inlined,
    load_32,
    load_64,
    load_position,
    load_signed_16,
    load_signed_32,
    ones,
    store_16,
    trailing_zeros,
)
from curate.select.lz4_kernel.parse import (
    SHORTEST_MATCH,
    STRAIGHT,
    State,
    equal_after,
    equal_before,
    exchange,
    literals,
    overflow,
    slot_of,
)

_ONE = np.uint64(1)


class Record(NamedTuple):
    """A target's parts of `skeleton.Skeleton`; the last four are its row of `firsts`."""

    entered: int
    probed: int
    forced: int
    ends: int
    leads: int
    next: int
    found: int
    anchors: int
    sizes: int
    begin: int
    cost: int
    position: int
    rest: int


class Joint(NamedTuple):
    """What a source and a target are measured with: addresses, unless said otherwise.

    `text` is both, the target from position `border` on. `slots`, `previous`, `present`, `ranks` and `lasts` are the
    target's parts of `Targets`, `maybe` the bitmap of its positions that may match, `entered` of those that LZ4 has put
    into its table. `undo` keeps the slots of `table` that were changed, and what they held.
    """

    text: int
    border: int
    limit: int
    match_limit: int
    table: int
    undo: int
    slots: int
    previous: int
    present: int
    ranks: int
    lasts: int
    open: int
    maybe: int
    hazards: int
    entered: int
    record: Record


@compiled
def _enter(joint: Joint, changes: int, position: int) -> Any:
    """Put a position of the source's end into its table, and mark the target's positions that may match it."""
    slot = slot_of(joint.text + position)
    held = exchange(joint.table, slot, position)
    store_16(joint.undo + (changes << 2), slot)
    store_16(joint.undo + (changes << 2) + 2, held)
    present = load_64(joint.present + (slot >> 6 << 3))
    mask = _ONE << np.uint64(slot & 63)
    if present & mask != 0:
        rank = load_signed_16(joint.ranks + (slot >> 6 << 1)) + ones(present & (mask - _ONE))
        place = load_signed_16(joint.lasts + (rank << 1))
        while place >= 0:
            set_bit(joint.maybe, place)
            if bit(joint.open, place):
                set_bit(joint.hazards, place)
            place = load_signed_16(joint.previous + (place << 1))
    return held


@inlined
def _held(joint: Joint, position: int) -> Any:
    """Return what LZ4's table holds in the slot of a position of the target."""
    place = load_signed_16(joint.previous + (position - joint.border << 1))
    while place >= 0:
        if bit(joint.entered, place):
            return joint.border + place
        place = load_signed_16(joint.previous + (place << 1))
    return load_position(joint.table + (load_position(joint.slots + (position - joint.border << 1)) << 1))


@inlined
def _matches(joint: Joint, position: int, candidate: int) -> Any:
    return load_32(joint.text + candidate) == load_32(joint.text + position)


@inlined
def through_the_border(joint: Joint, state: State) -> Any:
    """Parse on from the source's last positions until the next is the target's; return the state and the changes.

    In the state a match has its full length.
    """
    position, step, attempts, anchor, size, match, begin = state
    changes = 0
    while position < joint.border:
        if match < 0:
            if position + step > joint.limit:
                break
            candidate = _enter(joint, changes, position)
            changes += 1
            if not _matches(joint, position, candidate):
                position, step, attempts = position + step, attempts >> 6, attempts + 1
                continue
            begin = position - equal_before(joint.text, position, candidate, anchor)
            size += literals(begin - anchor) + 2
            position, match = position + SHORTEST_MATCH, candidate + SHORTEST_MATCH
        equal = equal_after(joint.text, position, match, joint.match_limit)
        position, match = position + equal, match + equal
        if position >= joint.border:
            break
        size, anchor = size + overflow(position - begin - SHORTEST_MATCH), position
        _enter(joint, changes, position - 2)
        candidate = _enter(joint, changes + 1, position)
        changes += 2
        if _matches(joint, position, candidate):
            size += literals(0) + 2
            begin, position, match = position, position + SHORTEST_MATCH, candidate + SHORTEST_MATCH
        else:
            position, step, attempts, match = position + 1, 1, 64, -1
    return State(position, step, attempts, anchor, size, match, begin), changes


@inlined
def _search(joint: Joint, position: int, step: int, attempts: int) -> Any:
    """Return the next position of the target whose 4 bytes were met before, and where (-1: there is none)."""
    border = joint.border
    if step == 1:
        last, first = min(position - attempts + 64 + STRAIGHT, joint.limit - 1), position
        while True:
            found = next_bit(joint.maybe, first - border) + border
            if found > last:
                break
            set_bits(joint.entered, first - border, found - border)
            candidate = _held(joint, found)
            if _matches(joint, found, candidate):
                return candidate, found
            first = found + 1
        set_bits(joint.entered, first - border, last - border)
        if last == joint.limit - 1:
            return -1, last
        attempts += last + 1 - position
        position, step = last + 1, 2
    while position + step <= joint.limit:
        set_bit(joint.entered, position - border)
        if bit(joint.maybe, position - border):
            candidate = _held(joint, position)
            if _matches(joint, position, candidate):
                return candidate, position
        clear_bits(joint.entered, position + 1 - border, position + step - 1 - border)
        position, step, attempts = position + step, attempts >> 6, attempts + 1
    return -1, position


@inlined
def _astray(joint: Joint, state: State, changes: int, end: int) -> Any:
    """Parse the target until a match ends where one of the record ends.

    Return where, the size up to there, and the number of changes; -1 for where if it is the size of the whole.
    """
    position, step, attempts, anchor, size, match, begin = state
    border, searched = joint.border, position - SHORTEST_MATCH
    while True:
        if match < 0:
            match, position = _search(joint, position, step, attempts)
            if match < 0:
                return -1, size + literals(end - anchor), changes
            searched, begin = position, position - equal_before(joint.text, position, match, anchor)
            size += literals(begin - anchor) + 2
            position, match = position + SHORTEST_MATCH, match + SHORTEST_MATCH
        position += equal_after(joint.text, position, match, joint.match_limit)
        size += overflow(position - begin - SHORTEST_MATCH)
        if position >= joint.limit:
            return -1, size + literals(end - position), changes
        clear_bits(joint.entered, max(searched + 1 - border, 0), position - 1 - border)
        if position - 2 < border:
            _enter(joint, changes, position - 2)
            changes += 1
        else:
            set_bit(joint.entered, position - 2 - border)
        if bit(joint.record.ends, position - border):
            return position, size, changes
        set_bit(joint.entered, position - border)
        anchor, match = position, -1
        if bit(joint.maybe, position - border):
            candidate = _held(joint, position)
            if _matches(joint, position, candidate):
                searched, begin, match, position = (
                    position,
                    position,
                    candidate + SHORTEST_MATCH,
                    position + SHORTEST_MATCH,
                )
                size += 3
        if match < 0:
            position, step, attempts = position + 1, 1, 64


@inlined
def _mark_differences(joint: Joint, first: int, last: int) -> None:
    """Make hazards of the positions that the record looks up and whose slot was last entered otherwise than recorded.

    `first` and `last` bound the positions of the target (both from its start) where that can be.
    """
    for word in range(first >> 6, (last >> 6) + 1):
        differing = load_64(joint.entered + (word << 3)) ^ load_64(joint.record.entered + (word << 3))
        differing &= load_64(joint.record.leads + (word << 3))
        while differing != 0:
            place = load_signed_16(joint.record.next + ((word << 6) + trailing_zeros(differing) << 1))
            while place >= 0 and not bit(joint.entered, place):
                place = load_signed_16(joint.record.next + 2 * place)
            if place > last and bit(joint.record.probed, place):
                set_bit(joint.hazards, place)
            differing &= differing - _ONE


@inlined
def _follow(joint: Joint, state: State, base: int, position: int, end: int) -> Any:
    """Follow the record from a position until the source makes a difference.

    Return the size of the whole if it never does, else -1, the state there, and how far into the target that is.

    A match found before the record's first has its literals from `state`; later sizes count from `base`.
    """
    border, record = joint.border, joint.record
    place = position - border
    while True:
        place = next_bit(joint.hazards, place)
        if border + place == joint.limit:
            return base + record.rest, state, place
        candidate, held = -1, _held(joint, border + place)
        if _matches(joint, border + place, held):
            candidate = held
        recorded = load_signed_16(record.found + 2 * place)
        same = candidate == border + recorded if recorded >= 0 else candidate < 0
        if not same or bit(record.forced, place):
            break
        place += 1
    anchor, origin, size = state.anchor, state.position - state.attempts + 64, state.size
    before = load_signed_16(record.anchors + 2 * place)
    if before >= 0:
        anchor, origin, size = border + before, border + before + 1, base + load_signed_32(record.sizes + 4 * before)
    position = border + place
    if candidate < 0:
        return -1, State(position + 1, 1, 64 + position + 1 - origin, anchor, size, -1, 0), place
    begin = position - equal_before(joint.text, position, candidate, anchor)
    size += literals(begin - anchor) + 2
    return -1, State(position + SHORTEST_MATCH, 1, 64, anchor, size, candidate + SHORTEST_MATCH, begin), place


@inlined
def joint_size(joint: Joint, state: State, changes: int, end: int) -> Any:
    """Return the size of source and target together, and the number of changes to the table."""
    record = joint.record
    position, base, place = state.position, 0, 0
    holds = state.match < 0 and state.step == 1 and state.attempts - 64 + record.position <= STRAIGHT
    if holds:
        base = state.size + literals(joint.border + record.begin - state.anchor) + record.cost
    else:
        clear_bits(joint.entered, 0, position - joint.border - 1)
    while True:
        if holds:
            whole, state, place = _follow(joint, state, base, position, end)
            if whole >= 0:
                return whole, changes
        position, size, changes = _astray(joint, state, changes, end)
        if position < 0:
            return size, changes
        reached = position - joint.border
        base, holds = size - load_signed_32(record.sizes + 4 * reached), True
        _mark_differences(joint, place, reached - 1)
