"""Follows a frame from an output to the raw one that it is, and back, through the ledger."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

from msgspec import Struct

from vampd.errors import OperatorError, UsageError
from vampd.ledger.frame_ids import frame_id_number
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.settings.sections import Config
from vampd.views import tracing
from vampd.views.details import OutputRow
from vampd.views.history import Event
from vampd.views.tracing import Copy, FrameIdRow, RawCubeRow, Run

_Found = TypeVar("_Found")

_CLOCK = r"[0-9]{2}:[0-9]{2}:[0-9]{2}"
_ENDING = r"(?:\.fits(?:\.fz)?|\.txt)?(?::(?P<frame>[0-9]+))?"
_FRAME_ID = re.compile(rf"(?:.*/)?(?P<name>VMPA[0-9]{{8}}){_ENDING}")
_RAW = re.compile(rf"(?:.*/)?(?P<name>vcam[12]_{_CLOCK}\.[0-9]{{9}}){_ENDING}")
_OUTPUT = re.compile(
    rf"(?:.*/)?(?P<name>(?:vsync|vcam[12])_{_CLOCK}\.[0-9]{{6}}(?:\.cam[12])?(?:\.[ABD])?){_ENDING}"
)


class Frame(Struct, frozen=True, kw_only=True):
    """One exposure in one camera: a raw frame, and where it is in an output, if it is."""

    cube: RawCubeRow
    number: int  #: in the raw cube
    acquired_us: int | None  #: the camera's own time
    run: Run | None  #: None: it is in no plan
    output: OutputRow | None
    position: int | None  #: in the output


class Trace(Struct, frozen=True, kw_only=True):
    """What was found. Without a frame's number, *runs* say where all frames are."""

    night: Night
    cube: RawCubeRow | None  #: the raw cube, where one was asked for
    output: OutputRow | None  #: the output that was asked for, or to which the frame went
    frame_id: FrameIdRow | None
    frame: Frame | None
    partner: Frame | None
    runs: tuple[Run, ...]
    names: dict[int, str]  #: of what *runs* lead to: outputs, from a raw cube; else raw cubes
    copies: tuple[Copy, ...]  #: of *output*
    place: str | None  #: where copies count as safe
    moves: tuple[Event, ...]  #: of *output*, and of the raw cube


class Tracer:
    """Follows names through the ledger."""

    def __init__(self, ledger: Reader, config: Config, every: Sequence[Night]) -> None:
        self._ledger = ledger
        self._config = config
        self._nights = {night.id: night for night in every}

    def trace(self, text: str, chosen: Sequence[Night]) -> Trace:
        """UsageError: *text* is no name of a file. OperatorError: the ledger knows none such."""
        if match := _FRAME_ID.fullmatch(text):
            return self._from_frame_id(match["name"], _frame_of(match))
        if match := _RAW.fullmatch(text):
            stem = match["name"]
            cubes = tracing.cubes_named(self._ledger, chosen, f"{stem[:5]}/{stem}.fits")
            cube = self._one(text, [(cube.night, cube) for cube in cubes])
            return self._from_cube(cube, _frame_of(match))
        if match := _OUTPUT.fullmatch(text):
            outputs = tracing.outputs_named(self._ledger, chosen, match["name"])
            output = self._one(text, [(output.night, output) for output in outputs])
            return self._from_output(output, _frame_of(match), None)
        msg = (
            f"{text!r} is no name that vampd or the cameras give: write VMPA00425189,"
            " vsync_05:11:38.080947.cam1.A or vcam1_05:11:38.080947000, perhaps with :FRAME"
        )
        raise UsageError(msg)

    def _one(self, text: str, found: Sequence[tuple[int, _Found]]) -> _Found:
        """The only one found. OperatorError: there is none, or one in several nights."""
        if not found:
            msg = f"{text}: the ledger knows no such file"
            raise OperatorError(msg)
        if len(found) > 1:
            where = ", ".join(str(self._nights[night]) for night, _ in found)
            msg = f"{text} is in {where}: add its DATE, or --kind"
            raise OperatorError(msg)
        return found[0][1]

    def _from_frame_id(self, text: str, frame: int | None) -> Trace:
        number = frame_id_number(text)
        row = None if number is None else tracing.frame_id(self._ledger, number)
        if row is None:
            msg = f"{text}: this ledger never dealt that frame ID"
            raise OperatorError(msg)
        output = tracing.output_of_frame_id(self._ledger, row)
        if output is not None:
            return self._from_output(output, frame, row)
        return Trace(
            night=self._nights[row.night],
            cube=None,
            output=None,
            frame_id=row,
            frame=None,
            partner=None,
            runs=(),
            names={},
            copies=(),
            place=None,
            moves=(),
        )

    def _from_output(
        self, output: OutputRow, frame: int | None, frame_id: FrameIdRow | None
    ) -> Trace:
        raw, runs = None, tuple(tracing.runs_of_output(self._ledger, output.id))
        if frame is not None:
            run = tracing.run_of_output(self._ledger, output.id, frame)
            if run is None:
                msg = f"{output.name} has {output.frames} frames, counted from 0: none is {frame}"
                raise OperatorError(msg)
            raw = self._frame(run.raw_file, run.raw_frame(frame))
            runs = ()
        if frame_id is None and output.frame_id is not None:
            frame_id = tracing.frame_id(self._ledger, output.frame_id)
        names = {run.raw_file: tracing.cube(self._ledger, run.raw_file).path for run in runs}
        return self._whole(
            output.night, raw, output=output, frame_id=frame_id, runs=runs, names=names
        )

    def _from_cube(self, cube: RawCubeRow, frame: int | None) -> Trace:
        if frame is None:
            runs = tuple(tracing.runs_of_cube(self._ledger, cube.number))
            numbers = {run.output for run in runs if run.output is not None}
            named = [tracing.output(self._ledger, number) for number in sorted(numbers)]
            names = {output.id: output.frame_id_text or output.name for output in named}
            return self._whole(cube.night, None, cube=cube, runs=runs, names=names)
        if cube.frames is not None and frame >= cube.frames:
            msg = f"{cube.path} has {cube.frames} frames, counted from 0: none is {frame}"
            raise OperatorError(msg)
        raw = self._frame(cube.number, frame)
        frame_id = None
        if raw.output is not None and raw.output.frame_id is not None:
            frame_id = tracing.frame_id(self._ledger, raw.output.frame_id)
        return self._whole(cube.night, raw, cube=cube, output=raw.output, frame_id=frame_id)

    def _whole(
        self,
        night: int,
        frame: Frame | None,
        *,
        cube: RawCubeRow | None = None,
        output: OutputRow | None = None,
        frame_id: FrameIdRow | None = None,
        runs: tuple[Run, ...] = (),
        names: dict[int, str] | None = None,
    ) -> Trace:
        raw = cube or (frame.cube if frame is not None else None)
        moves = list(tracing.moves_of_cube(self._ledger, raw)) if raw is not None else []
        if output is not None:
            moves += tracing.moves_of_output(self._ledger, output)
        return Trace(
            night=self._nights[night],
            cube=cube,
            output=output,
            frame_id=frame_id,
            frame=frame,
            partner=None if frame is None else self._partner(frame),
            runs=runs,
            names=names or {},
            copies=tuple(tracing.copies(self._ledger, output)) if output is not None else (),
            place=self._place(self._nights[night]),
            moves=tuple(_in_time(moves)),
        )

    def _frame(self, raw_file: int, number: int) -> Frame:
        run = tracing.run_of_cube(self._ledger, raw_file, number)
        is_out = run is not None and run.output is not None
        return Frame(
            cube=tracing.cube(self._ledger, raw_file),
            number=number,
            acquired_us=tracing.acquired_us(self._ledger, raw_file, number),
            run=run,
            output=tracing.output(self._ledger, run.output) if run and run.output else None,
            position=run.output_frame(number) if run is not None and is_out else None,
        )

    def _partner(self, frame: Frame) -> Frame | None:
        run = frame.run
        number = None if run is None else run.partner_frame(frame.number)
        if run is None or run.partner_file is None or number is None:
            return None
        return self._frame(run.partner_file, number)

    def _place(self, night: Night) -> str | None:
        delivery = self._config.delivery.of(night.kind)
        return None if delivery is None else str(delivery.safe_at(night.date))


def _frame_of(match: re.Match[str]) -> int | None:
    return None if match["frame"] is None else int(match["frame"])


def _in_time(moves: Iterable[Event]) -> list[Event]:
    return sorted(moves, key=lambda event: event.id)
