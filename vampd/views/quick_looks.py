"""Outputs with what a glance at their frames said, and where its pictures lie."""

from __future__ import annotations

from itertools import groupby

from msgspec import Struct

from vampd.layout import quick_look_name
from vampd.ledger.frame_ids import frame_id_text
from vampd.ledger.reading import Reader
from vampd.ledger.rows import fetch_all
from vampd.states import FlcState

#: What there are pictures of.
PICTURES = ("mean", "highest", "a-b")


class LookedAt(Struct, frozen=True, kw_only=True):
    """An output and its quick look. Measures as in `vampd.science.quick_look.Measures`."""

    output: int
    folder: str  #: the night's
    name: str
    frame_id: int | None
    batch: int
    cube: int  #: the cube before deinterleaving, within the night
    camera: int
    synchronised: bool
    flc_state: FlcState
    first_us: int
    last_us: int
    cards: str  #: JSON: the deciding cards of its header
    frames: int
    median_adu: float
    noise_adu: float
    peak_adu: float
    saturated_pixels: int
    flux_adu: float
    fwhm_pixels: float | None
    made_us: int
    partner_flux_adu: float | None  #: of the same exposures in the other camera

    @property
    def file_name(self) -> str:
        """The output's file, without ending."""
        return self.name if self.frame_id is None else frame_id_text(self.frame_id)

    @property
    def flux_ratio(self) -> float | None:
        """The flux of camera 2 over that of camera 1; None where either has none."""
        if self.partner_flux_adu is None or self.flux_adu <= 0 or self.partner_flux_adu <= 0:
            return None
        ratio = self.partner_flux_adu / self.flux_adu
        return ratio if self.camera == 1 else 1 / ratio

    def picture(self, what: str, size_pixels: int) -> str:
        """Where a picture lies in the night's folder, if it could be made: one of `PICTURES`."""
        return quick_look_name(self.file_name, what, size_pixels)


_LOOKED_AT = (
    "select output.id as output, night.folder, output.name, output.frame_id, output.batch,"
    " output.cube, output.camera, output.synchronised, output.flc_state, output.first_us,"
    " output.last_us, coalesce(header.cards, '{}') as cards, look.frames, look.median_adu,"
    " look.noise_adu, look.peak_adu, look.saturated_pixels, look.flux_adu, look.fwhm_pixels,"
    " look.made_us, of_partner.flux_adu as partner_flux_adu"
    " from quick_look as look join output on output.id = look.output"
    " join night on night.id = output.night"
    " left join cube as header on header.raw_file = output.header_file"
    " left join output as partner on output.synchronised and partner.night = output.night"
    " and partner.cube = output.cube and partner.camera = 3 - output.camera"
    " and partner.flc_state = output.flc_state and partner.batch = output.batch"
    " left join quick_look as of_partner on of_partner.output = partner.id"
)

_CUBES = (
    "select output.batch, output.cube, min(output.first_us) as taken_us"
    " from quick_look as look join output on output.id = look.output where look.night = :night"
    " group by output.batch, output.cube"
)


def looked_at(ledger: Reader, output: int) -> LookedAt | None:
    """An output's quick look; None: there is none."""
    query = f"{_LOOKED_AT} where output.id = ?"
    return next(iter(fetch_all(LookedAt, ledger, query, (output,))), None)


def of_cubes(
    ledger: Reader, night: int, *, count: int, offset: int = 0
) -> tuple[list[list[LookedAt]], int]:
    """The quick looks of *count* cubes, a list for each, and how many cubes have some.

    A cube is that of both cameras, before it is deinterleaved; those taken last come first, and
    the first *offset* of them are left out.
    """
    query = (
        f"{_LOOKED_AT} join (select * from ({_CUBES}) order by taken_us desc, cube desc"  # noqa: S608
        " limit :count offset :offset) as chosen on chosen.batch = output.batch"
        " and chosen.cube = output.cube where look.night = :night"
        " order by chosen.taken_us desc, output.cube desc, output.batch, output.camera,"
        " output.synchronised desc, output.flc_state"
    )
    values = {"night": night, "count": count, "offset": offset}
    looks = fetch_all(LookedAt, ledger, query, values)
    (total,) = ledger.execute(f"select count(*) from ({_CUBES})", values).fetchone()  # noqa: S608
    grouped = groupby(looks, key=lambda look: (look.batch, look.cube))
    return [list(group) for _, group in grouped], total
