"""The outputs of a night as exposures: when, of what, with which settings, how good, and where."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any

from msgspec import Struct, field

from vampd.ledger.frame_ids import frame_id_text
from vampd.ledger.reading import Reader
from vampd.ledger.rows import fetch_each, fetch_one
from vampd.states import FlcState, OutputState


class Where(StrEnum):
    """How far on its way an output is."""

    PLANNED = "planned"
    BUILT = "built"
    SENT = "sent"
    VERIFIED = "verified"


class Settings(Struct, frozen=True, kw_only=True):
    """What a header says; None where it says nothing, or nothing that makes sense."""

    target: str = ""
    data_type: str = ""
    filters: tuple[str, ...] = ()
    plate_degrees: float | None = None  #: of the half-wave plate
    exposure_s: float | None = None


class Exposure(Struct, frozen=True, kw_only=True):
    """One output. Measures as in `vampd.science.quick_look.Measures`; None: not looked at."""

    output: int
    night: int
    batch: int
    cube: int
    name: str
    frame_id: int | None
    camera: int
    synchronised: bool
    flc_state: FlcState
    first_us: int
    last_us: int
    frames: int
    state: OutputState
    sent_us: int | None
    cards: str
    median_adu: float | None
    peak_adu: float | None
    saturated_pixels: int | None
    flux_adu: float | None
    fwhm_pixels: float | None
    made_us: int | None

    @property
    def file_name(self) -> str:
        """The output's file, without ending."""
        return self.name if self.frame_id is None else frame_id_text(self.frame_id)

    @property
    def where(self) -> Where:
        """How far on its way it is."""
        if self.state is OutputState.BUILT and self.sent_us is not None:
            return Where.SENT
        return Where(self.state.value)

    @property
    def lag_us(self) -> int | None:
        """From its last frame until it was built; None: not known."""
        return None if self.made_us is None else max(0, self.made_us - self.last_us)


class Shot(Struct, frozen=True, kw_only=True):
    """An exposure, with what its header says."""

    exposure: Exposure
    settings: Settings = field(default_factory=Settings)


_EXPOSURES = (
    "select output.id as output, output.night, output.batch, output.cube, output.name,"
    " output.frame_id, output.camera, output.synchronised, output.flc_state, output.first_us,"
    " output.last_us, output.frames, output.state, deliverable.sent_us,"
    " coalesce(cube.cards, '{}') as cards, look.median_adu, look.peak_adu, look.saturated_pixels,"
    " look.flux_adu, look.fwhm_pixels, look.made_us"
    " from output left join cube on cube.raw_file = output.header_file"
    " left join quick_look as look on look.output = output.id"
    " left join deliverable on deliverable.night = output.night and deliverable.path ="
    " 'vgen2/' || coalesce('VMPA' || printf('%08d', output.frame_id), output.name) || '.fits.fz'"
)


def exposures(ledger: Reader, night: int) -> list[Shot]:
    """All exposures of a night, in the order of time."""
    query = f"{_EXPOSURES} where output.night = ? order by output.first_us, output.id"
    return [
        Shot(exposure=each, settings=settings(each.cards))
        for each in fetch_each(Exposure, ledger, query, (night,))
    ]


def exposure(ledger: Reader, night: int, name: str) -> Shot | None:
    """The exposure of that name, or with that frame ID; of several batches the last one's."""
    query = (
        f"{_EXPOSURES} where output.night = :night and (output.name = :name or output.frame_id ="
        " case when :name glob 'VMPA[0-9]*' then cast(substr(:name, 5) as integer) end)"
        " order by output.batch desc limit 1"
    )
    found = fetch_one(Exposure, ledger, query, {"night": night, "name": name})
    return None if found is None else Shot(exposure=found, settings=settings(found.cards))


def of_target(ledger: Reader, target: str) -> list[Shot]:
    """All exposures of that target, in the order of time."""
    # SQLite looks for it anywhere in the headers, as JSON writes it, of raw cubes, which are fewer
    # than outputs; then at the outputs of those nights alone; and few are left to be understood.
    query = (
        f"{_EXPOSURES} where output.night in (select raw_file.night from cube join raw_file"  # noqa: S608
        " on raw_file.id = cube.raw_file where instr(cube.cards, :part))"
        " and instr(cube.cards, :part) order by output.first_us, output.id"
    )
    shots = (
        Shot(exposure=each, settings=settings(each.cards))
        for each in fetch_each(Exposure, ledger, query, {"part": json.dumps(target)[1:-1]})
    )
    return [shot for shot in shots if shot.settings.target == target]


def targets(ledger: Reader) -> dict[str, dict[int, int]]:
    """How many whole raw cubes there are of each target, by the number of their night."""
    found: dict[str, dict[int, int]] = {}
    for cards, night, count in ledger.execute(
        "select cube.cards, raw_file.night, count(*) from cube join raw_file"
        " on raw_file.id = cube.raw_file where raw_file.state = 'whole' group by 1, 2"
    ):
        if target := settings(cards).target:
            nights = found.setdefault(target, {})
            nights[night] = nights.get(night, 0) + count
    return found


def siblings(ledger: Reader, shot: Exposure) -> list[str]:
    """The names of the outputs of the same cube: other cameras, other states of the crystal."""
    rows = ledger.execute(
        "select name from output where night = ? and batch = ? and cube = ? and id != ?"
        " order by camera, synchronised desc, flc_state",
        (shot.night, shot.batch, shot.cube, shot.output),
    )
    return [name for (name,) in rows]


def neighbours(ledger: Reader, shot: Exposure) -> tuple[str | None, str | None]:
    """The names of the outputs before and after it, of the same camera and state."""
    found: list[str | None] = []
    for sign, order in (("<", "desc"), (">", "asc")):
        row = ledger.execute(
            "select name from output where night = ? and camera = ? and flc_state = ?"  # noqa: S608
            f" and (first_us, id) {sign} (?, ?) order by first_us {order}, id {order} limit 1",
            (shot.night, shot.camera, shot.flc_state, shot.first_us, shot.output),
        ).fetchone()
        found.append(None if row is None else row[0])
    return found[0], found[1]


@lru_cache(maxsize=4096)
def settings(cards: str) -> Settings:
    """What the deciding *cards* of a header, as JSON, say."""
    values: Mapping[str, Any] = json.loads(cards)
    filters = (_text(values.get(name)) for name in ("FILTER01", "FILTER02"))
    return Settings(
        target=_text(values.get("OBJECT")),
        data_type=_text(values.get("DATA-TYP")),
        filters=tuple(name for name in filters if name),
        plate_degrees=_number(values.get("RET-ANG1")),
        exposure_s=_number(values.get("EXPTIME")),
    )


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
