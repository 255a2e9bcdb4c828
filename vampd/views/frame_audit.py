"""The proof that every raw frame of a night is in exactly one place, from the ledger's ranges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vampd.ledger import given_up
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.states import STAGES_OF, FileState, FlcState, Stage
from vampd.views.details import OutputRow, outputs
from vampd.views.frame_id_audit import incomplete, numbering_of


class Account(Struct, frozen=True, kw_only=True):
    """Where the frames of a night are, and what is wrong with that.

    Proved: *frames* = *in_outputs* + *rejected*, each frame once, and no *problems*.
    """

    cubes: int  #: whole ones
    frames: int  #: of whole cubes
    in_outputs: int
    rejected: int
    reasons: Mapping[str, int]  #: why frames were rejected: how many
    quarantined: int  #: cubes
    quarantined_frames: int  #: of those quarantined cubes whose frames are known
    quarantined_uncounted: int  #: quarantined cubes that nobody could count
    late: int
    late_frames: int
    arriving: int
    outputs: int
    problems: tuple[str, ...]


class _Cube(Struct, frozen=True, kw_only=True):
    """A raw cube that was ever seen; *frames* is None where it could not be counted."""

    number: int
    path: str
    state: FileState
    frames: int | None
    is_given_up: bool  #: after its night was planned: its frames are rejected for that


class _Range(Struct, frozen=True, kw_only=True):
    """Frames *first*, *first* + *step*, ... (*count* of them) of one raw cube."""

    output: int | None
    position: int | None
    raw_file: int
    first: int
    step: int
    count: int
    reason: str | None


def account(ledger: Reader, night: Night) -> Account:
    """Count every frame of a night where the ledger says it is."""
    cubes = _cubes(ledger, night)
    ranges = _ranges(ledger, night)
    made = outputs(ledger, night)
    whole = [cube for cube in cubes if _is_planned_for(cube, ranges)]
    by_state: dict[FileState, list[_Cube]] = defaultdict(list)
    for cube in cubes:
        if not _is_planned_for(cube, ranges):
            by_state[cube.state].append(cube)
    quarantined, late = by_state[FileState.QUARANTINED], by_state[FileState.LATE]
    reasons: dict[str, int] = defaultdict(int)
    every = [each for of_cube in ranges.values() for each in of_cube]
    for each in every:
        if each.reason is not None:
            reasons[each.reason] += each.count
    return Account(
        cubes=len(whole),
        frames=_frames(whole),
        in_outputs=sum(each.count for each in every if each.output is not None),
        rejected=sum(reasons.values()),
        reasons=dict(reasons),
        quarantined=len(quarantined),
        quarantined_frames=_frames(quarantined),
        quarantined_uncounted=sum(cube.frames is None for cube in quarantined),
        late=len(late),
        late_frames=_frames(late),
        arriving=len(by_state[FileState.ARRIVING]),
        outputs=len(made),
        problems=(
            *_uncovered(whole, ranges),
            *_strangers(cubes, ranges),
            *_unsettled(by_state[FileState.ARRIVING], night),
            *_badly_filled(made, every),
            *_unequal_states(made),
            *_numbering(ledger, night, made),
        ),
    )


def _cubes(ledger: Reader, night: Night) -> list[_Cube]:
    query = (
        "select raw_file.id, path, state, frames from raw_file "
        "left join cube on cube.raw_file = raw_file.id where night = ? and role = 'cube'"
    )
    lost = given_up.numbers(ledger, night.id)
    return [
        _Cube(
            number=number,
            path=path,
            state=FileState(state),
            frames=frames,
            is_given_up=number in lost,
        )
        for number, path, state, frames in ledger.execute(query, (night.id,))
    ]


def _ranges(ledger: Reader, night: Night) -> dict[int, list[_Range]]:
    """Every range of the night, by raw cube; partners are counted in their own outputs."""
    query = (
        "select output, position, raw_file, first, step, count, reason from segment where night = ?"
    )
    found: dict[int, list[_Range]] = defaultdict(list)
    for output, position, raw_file, first, step, count, reason in ledger.execute(
        query, (night.id,)
    ):
        found[raw_file].append(
            _Range(
                output=output,
                position=position,
                raw_file=raw_file,
                first=first,
                step=step,
                count=count,
                reason=reason,
            )
        )
    return found


def _is_planned_for(cube: _Cube, ranges: Mapping[int, list[_Range]]) -> bool:
    """Whether each frame must be somewhere: a whole cube, or one that a plan has used."""
    return cube.state is FileState.WHOLE or (
        cube.number in ranges and (cube.is_given_up or cube.state is not FileState.QUARANTINED)
    )


def _frames(cubes: Iterable[_Cube]) -> int:
    return sum(cube.frames or 0 for cube in cubes)


def _uncovered(cubes: list[_Cube], ranges: Mapping[int, list[_Range]]) -> Iterable[str]:
    if cubes and not ranges:
        yield f"there is no plan yet for the {_frames(cubes)} frames of whole cubes"
        return
    for cube in cubes:
        if cube.frames is None:
            yield f"{cube.path}: its frames were never counted"
            continue
        times = _times_used(cube.frames, ranges.get(cube.number, []))
        if times is None:
            yield f"{cube.path}: has {cube.frames} frames, but later ones were dealt out"
            continue
        missing, repeated = np.flatnonzero(times == 0), np.flatnonzero(times > 1)
        if missing.size == cube.frames:
            yield f"{cube.path}: none of its {cube.frames} frames is anywhere"
        elif missing.size:
            yield f"{cube.path}: {missing.size} frames are nowhere, {missing[0]} first"
        if repeated.size:
            yield f"{cube.path}: {repeated.size} frames are in two places, {repeated[0]} first"


def _times_used(frames: int, ranges: Iterable[_Range]) -> NDArray[np.uint16] | None:
    """How often each frame of a cube is used (frames,); None where one does not exist."""
    times = np.zeros(frames, dtype=np.uint16)
    for each in ranges:
        last = each.first + each.step * (each.count - 1)
        if each.first < 0 or last >= frames:
            return None
        times[each.first : last + 1 : each.step] += 1
    return times


def _strangers(cubes: list[_Cube], ranges: Mapping[int, list[_Range]]) -> Iterable[str]:
    """Ranges of files that are no cube of this night, or of quarantined ones."""
    of_number = {cube.number: cube for cube in cubes}
    for number, of_cube in ranges.items():
        cube = of_number.get(number)
        count = sum(each.count for each in of_cube)
        if cube is None:
            yield f"raw file {number}: is no cube of the night, but {count} frames were dealt out"
        elif cube.state is FileState.QUARANTINED and not cube.is_given_up:
            yield f"{cube.path}: quarantined, but {count} of its frames were dealt out"


def _unsettled(cubes: list[_Cube], night: Night) -> Iterable[str]:
    if night.closed_us is not None:
        for cube in cubes:
            yield f"{cube.path}: not settled, though the night is closed"


def _badly_filled(made: list[OutputRow], every: Iterable[_Range]) -> Iterable[str]:
    """Outputs whose ranges do not fill the positions 0 to *frames*, one after the other."""
    of_output: dict[int, list[_Range]] = defaultdict(list)
    for each in every:
        if each.output is not None:
            of_output[each.output].append(each)
    for output in made:
        expected = 0
        for each in sorted(of_output[output.id], key=lambda each: each.position or 0):
            if each.position != expected:
                yield f"{output.name}: frames from {expected} on are not where they should be"
                break
            expected += each.count
        else:
            if expected != output.frames:
                yield f"{output.name}: has {output.frames} frames, but {expected} were dealt to it"


def _unequal_states(made: list[OutputRow]) -> Iterable[str]:
    """Cubes whose A and B have not the same number of frames: states come in pairs."""
    frames: dict[tuple[int, int, int], dict[FlcState, int]] = defaultdict(dict)
    names: dict[tuple[int, int, int], str] = {}
    for output in made:
        if output.flc_state in {FlcState.A, FlcState.B}:
            key = (output.batch, output.cube, output.camera)
            frames[key][output.flc_state] = output.frames
            names[key] = output.name
    for key, states in frames.items():
        in_a, in_b = states.get(FlcState.A, 0), states.get(FlcState.B, 0)
        if in_a != in_b:
            yield f"{names[key]}: {in_a} frames in A and {in_b} in B, but states come in pairs"


def _numbering(ledger: Reader, night: Night, made: list[OutputRow]) -> Iterable[str]:
    """What is wrong with a night's frame IDs, by the rules that `vampd archive ids audit` has."""
    if Stage.FRAME_IDS in STAGES_OF[night.kind]:
        yield from incomplete(numbering_of(ledger, night))
    else:
        yield from (f"{row.name}: has a frame ID" for row in made if row.frame_id is not None)
