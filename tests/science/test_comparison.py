"""Two results of one night are matched frame by frame, and every difference has its name."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from numpy.typing import NDArray

from vampd.legacy.comparison import (
    LABEL_A,
    LABEL_B,
    LABEL_DUBIOUS,
    NO_LABEL,
    Difference,
    Frames,
    compare,
    per_cube,
)

_PERIOD_US = 5_000
_OFFSET_US = 200


def _result(count: int, *, flc: bool = False) -> Frames:
    """Both cameras, *count* pairs, the second camera's own times later by the offset."""
    own = np.arange(count, dtype=np.int64) * _PERIOD_US
    both = np.concatenate([own, own + _OFFSET_US])
    camera = np.repeat(np.array([1, 2], dtype=np.int64), count)
    labels = np.tile(np.array([LABEL_A, LABEL_B], dtype=np.int64), count)[: 2 * count]
    return Frames(
        camera=camera,
        time_us=np.concatenate([own, own]) + _OFFSET_US // 2,
        own_us=both,
        synchronised=np.ones(2 * count, dtype=bool),
        label=labels if flc else np.full(2 * count, NO_LABEL, dtype=np.int64),
        cube=camera.copy(),
        source=camera.copy(),
    )


def _without(frames: Frames, *gone: int) -> Frames:
    keep = np.setdiff1d(np.arange(len(frames)), gone)
    return Frames(
        camera=frames.camera[keep],
        time_us=frames.time_us[keep],
        own_us=frames.own_us[keep],
        synchronised=frames.synchronised[keep],
        label=frames.label[keep],
        cube=frames.cube[keep],
        source=frames.source[keep],
    )


def _with(values: NDArray[np.int64], place: int, value: int) -> NDArray[np.int64]:
    changed = values.copy()
    changed[place] = value
    return changed


@given(st.integers(2, 60), st.booleans())
def test_a_result_does_not_differ_from_itself(count: int, flc: bool) -> None:
    ours = _result(count, flc=flc)

    found = compare(ours, ours)

    assert found.counts() == {}
    assert found.same == len(ours)


@given(st.data())
def test_every_frame_of_ours_is_alike_or_named(data: st.DataObject) -> None:
    ours = _result(60, flc=True)  # with 30 frames gone, no cube is short yet
    gone = data.draw(st.sets(st.integers(0, len(ours) - 1), max_size=30))
    flipped = data.draw(st.integers(0, len(ours) - 1))
    swapped = {LABEL_A: LABEL_B, LABEL_B: LABEL_A}[int(ours.label[flipped])]
    theirs = _without(replace(ours, label=_with(ours.label, flipped, swapped)), *gone)

    found = compare(ours, theirs)

    lost = sum(count for kind, count in found.counts().items() if kind.name.startswith("LOST"))
    assert lost == len(gone)
    opposite = (Difference.OPPOSITE, Difference.OPPOSITE_GAP)
    assert sum(found.counts()[kind] for kind in opposite) == (flipped not in gone)
    assert found.same == len(ours) - len(gone | {flipped})


def test_a_printed_mean_may_be_rounded_either_way() -> None:
    ours = _result(10)
    theirs = replace(ours, time_us=ours.time_us + 1)

    assert compare(ours, theirs).counts() == {}


def test_its_own_time_in_a_synchronised_frame_is_told_from_another_partner() -> None:
    ours = _result(10)
    own = replace(ours, time_us=ours.own_us)
    other = replace(ours, time_us=_with(ours.time_us, 3, int(ours.time_us[3]) + 37))

    assert compare(ours, own).counts() == {Difference.OWN_TIME: 20}
    assert compare(ours, other).counts() == {Difference.OTHER_PARTNER: 1}


def test_a_time_more_than_half_way_to_the_next_frame_is_no_frame_of_ours() -> None:
    ours = _result(10)
    beyond = int(ours.own_us[-1]) + 1_000_001
    theirs = replace(ours, time_us=_with(ours.time_us, 19, beyond))

    counts = compare(ours, theirs).counts()

    assert counts == {Difference.UNKNOWN: 1, Difference.LOST: 1}


def test_a_frame_that_is_there_twice_is_named_once() -> None:
    ours = _result(10)
    twice = replace(
        ours,
        camera=np.append(ours.camera, 1),
        time_us=np.append(ours.time_us, ours.time_us[4]),
        own_us=np.append(ours.own_us, ours.own_us[4]),
        synchronised=np.append(ours.synchronised, ours.synchronised[4]),
        label=np.append(ours.label, ours.label[4]),
        cube=np.append(ours.cube, 9),
        source=np.append(ours.source, 9),
    )

    assert compare(ours, twice).counts() == {Difference.TWICE: 1}


def test_the_sign_of_short_cubes_is_told_from_that_of_long_ones() -> None:
    for count, kind in ((25, Difference.OPPOSITE_SHORT), (26, Difference.OPPOSITE)):
        ours = _result(count, flc=True)
        theirs = replace(ours, label=np.where(ours.label == LABEL_A, LABEL_B, LABEL_A))

        assert compare(ours, theirs).counts() == {kind: 2 * count}


def test_doubts_are_told_apart_and_so_is_sorting_at_all() -> None:
    ours = _result(30, flc=True)
    doubted = replace(ours, label=_with(ours.label, 7, LABEL_DUBIOUS))
    unsorted = replace(ours, label=_with(ours.label, 7, NO_LABEL))

    assert compare(ours, doubted).counts() == {Difference.DOUBTED_THERE: 1}
    assert compare(doubted, ours).counts() == {Difference.DOUBTED_HERE: 1}
    assert compare(ours, unsorted).counts() == {Difference.UNSORTED: 1}


def test_lost_frames_are_told_by_why_they_were_lost() -> None:
    """Camera 1 loses little of a raw cube that matched otherwise; camera 2 loses more."""
    solo = np.zeros(200, dtype=bool)
    solo[[10, 11, 12]] = True
    ours = _result(100)
    ours = replace(
        ours,
        synchronised=~solo,
        time_us=np.where(solo, ours.own_us, ours.time_us),
        source=np.where((ours.camera == 2) & (np.arange(200) >= 190), 3, ours.source),
    )
    theirs = _without(ours, 10, 11, 12, 50, *range(120, 127), *range(190, 200))

    counts = compare(ours, theirs).counts()

    assert counts == {
        Difference.LOST_UNMATCHED: 4,
        Difference.LOST: 7,
        Difference.LOST_CUBE: 10,
    }


def test_the_rest_of_a_cube_is_lost_for_the_same_reason_where_its_partners_were_lost_too() -> None:
    """The first frames of one camera's cube are the last of the other's, and both are left over."""
    ours = _result(100)
    theirs = _without(ours, 0, 1, 2, 100, 101, 102)

    assert compare(ours, theirs).counts() == {Difference.LOST_UNMATCHED: 6}


def _solo(frames: Frames) -> Frames:
    return replace(
        frames,
        synchronised=np.zeros(len(frames), dtype=bool),
        time_us=frames.own_us,
    )


@given(st.integers(26, 80), st.sampled_from([LABEL_A, LABEL_B, LABEL_DUBIOUS]), st.data())
def test_the_only_frame_of_its_label_is_lost_alone(
    count: int, label: int, data: st.DataObject
) -> None:
    """Of a synchronised cube both cameras lose it; a solo cube loses its own."""
    place = data.draw(st.integers(0, count - 1))
    others = [each for each in (LABEL_A, LABEL_B, LABEL_DUBIOUS) if each != label]
    labels = np.array([others[number % 2] for number in range(count)] * 2, dtype=np.int64)
    labels[[place, count + place]] = label
    pairs = replace(_result(count), label=labels)
    solo = _solo(pairs)

    assert compare(pairs, _without(pairs, place, count + place)).counts() == {
        Difference.LOST_ALONE: 2
    }
    assert compare(solo, _without(solo, place)).counts() == {Difference.LOST_ALONE: 1}


def test_a_frame_without_partner_is_not_lost_for_its_label_in_a_synchronised_cube() -> None:
    labels = np.tile(np.array([LABEL_A, LABEL_B], dtype=np.int64), 100)
    labels[10] = LABEL_DUBIOUS
    ours = replace(_result(100), label=labels)
    alone = np.arange(200) == 10
    ours = replace(
        ours,
        synchronised=~alone,
        time_us=np.where(alone, ours.own_us, ours.time_us),
    )

    assert compare(ours, _without(ours, 10)).counts() == {Difference.LOST_UNMATCHED: 1}


def test_a_cube_of_one_frame_that_was_sorted_is_lost_for_that() -> None:
    ours = _solo(_result(1, flc=True))

    assert compare(ours, _without(ours, 0)).counts() == {Difference.LOST_ALONE: 1}
    unsorted = _solo(_result(1))
    assert compare(unsorted, _without(unsorted, 0)).counts() == {Difference.LOST_CUBE: 1}


@given(st.integers(0, 59), st.integers(1, 40))
def test_a_wrong_sign_within_six_frames_of_a_gap_is_told_apart(place: int, gap: int) -> None:
    """Of 60 frames the 30th is followed by a gap of *gap* more periods."""
    ours = _solo(_result(60, flc=True))
    moved = np.where(np.arange(120) % 60 >= 30, gap * _PERIOD_US, 0)
    ours = replace(ours, own_us=ours.own_us + moved, time_us=ours.time_us + moved)
    swapped = {LABEL_A: LABEL_B, LABEL_B: LABEL_A}[int(ours.label[place])]

    counts = compare(ours, replace(ours, label=_with(ours.label, place, swapped))).counts()

    near = 24 <= place < 36
    assert counts == {Difference.OPPOSITE_GAP if near else Difference.OPPOSITE: 1}


def test_a_gap_near_the_end_of_a_cube_bends_the_labels_to_its_end() -> None:
    """There the rule has no frames to look at, and copies the labels of those beside."""
    ours = _solo(_result(60, flc=True))
    moved = np.where(np.arange(120) % 60 >= 7, _PERIOD_US, 0)
    ours = replace(ours, own_us=ours.own_us + moved, time_us=ours.time_us + moved)
    theirs = replace(ours, label=_with(ours.label, 0, LABEL_B))

    assert compare(ours, theirs).counts() == {Difference.OPPOSITE_GAP: 1}


def test_what_vampd_doubts_in_an_inverted_short_cube_has_the_wrong_sign_there_too() -> None:
    short = _result(7, flc=True)
    inverted = replace(short, label=np.where(short.label == LABEL_A, LABEL_B, LABEL_A))
    ours = replace(short, label=_with(short.label, 6, LABEL_DUBIOUS))
    right = replace(short, label=short.label.copy())

    assert compare(ours, inverted).counts() == {Difference.OPPOSITE_SHORT: 14}
    assert compare(ours, right).counts() == {Difference.DOUBTED_HERE: 1}


def test_pairs_of_cubes_that_were_moved_whole_are_told_from_those_that_were_not_found() -> None:
    ours = replace(_result(10), cube=np.repeat(np.array([0, 1], dtype=np.int64), 10))
    theirs = replace(ours, synchronised=np.zeros(20, dtype=bool))

    assert compare(ours, theirs, [0, 1]).counts() == {Difference.MOVED_WHOLE: 20}
    assert compare(ours, theirs, [1]).counts() == {
        Difference.MOVED_WHOLE: 10,
        Difference.SOLO_THERE: 10,
    }


def test_solo_and_synchronised_are_told_in_both_directions() -> None:
    ours = _result(10)
    solo = replace(ours, synchronised=np.zeros(20, dtype=bool), time_us=ours.own_us)

    assert compare(ours, solo).counts() == {Difference.SOLO_THERE: 20}
    assert compare(solo, ours).counts() == {Difference.SOLO_HERE: 20}


def test_differences_are_counted_in_the_cubes_that_they_concern() -> None:
    ours = _result(10, flc=True)
    swapped = _with(ours.label, 12, LABEL_DUBIOUS)
    far = _with(ours.time_us, 3, 10**12)
    theirs = replace(ours, label=swapped, time_us=far, cube=ours.camera - 1)

    counts = per_cube(compare(ours, theirs), theirs)

    assert {kind: found.tolist() for kind, found in counts.items()} == {
        Difference.LOST_ALONE: [0, 0],
        Difference.UNKNOWN: [1, 0],
        Difference.DOUBTED_THERE: [0, 1],
    }


def test_an_empty_result_has_lost_everything() -> None:
    ours = _result(10)

    found = compare(ours, _without(ours, *range(20)))

    assert found.counts() == {Difference.LOST_CUBE: 20}
    assert found.same == 0
    assert compare(_without(ours, *range(20)), ours).counts() == {Difference.UNKNOWN: 20}
