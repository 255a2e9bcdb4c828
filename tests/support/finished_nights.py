"""Nights that went through the real daemon, with all that came out: carried once for all tests."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from astropy.io import fits
from msgspec import Struct
from numpy.typing import NDArray

from tests.support.daemon_site import DaemonSite, add_night, make_site, raw_digests
from tests.support.trees import identities_of_tree
from vampd.records import FileIdentity
from vampd.simulation.pixels import read_stamps
from vampd.simulation.truth import Truth

Frame = tuple[int, int, int]  #: camera, scene, trigger

KINDS = ("archive", "engineering")
_TIME_CARDS = ("UT-STR", "UT-END", "UT", "HST-STR", "HST-END", "HST", "MJD-STR", "MJD-END", "MJD")


class Output(Struct, frozen=True, kw_only=True):
    """One compressed output of a night, read back by astropy."""

    path: Path
    name: str  #: before frame IDs
    header: Mapping[str, object]
    cards: dict[str, str]  #: the time cards as they stand in the file
    frames: NDArray[np.uint16]

    @property
    def is_synchronised(self) -> bool:
        return self.name.startswith("vsync_")

    @property
    def camera(self) -> int:
        found = re.match(r"vsync_[\d:.]+\.cam([12])|vcam([12])_", self.name)
        assert found is not None
        return int(found[1] or found[2])

    @property
    def cube(self) -> str:
        """What the files of one cube share in their names: the time of its first frame."""
        found = re.search(r"\d\d:\d\d:\d\d\.\d{6}", self.name)
        assert found is not None
        return found[0]

    @property
    def who(self) -> list[Frame]:
        stamps = read_stamps(self.frames)
        return list(
            zip(
                stamps.cameras.tolist(),
                stamps.scenes.tolist(),
                stamps.triggers.tolist(),
                strict=True,
            )
        )


class Carried(Struct, frozen=True, kw_only=True):
    """A site whose nights have gone through, and what was there before."""

    site: DaemonSite
    kind: str
    truth: Truth
    raw_digests: dict[str, str]
    raw_identities: dict[str, FileIdentity]
    outputs: list[Output]


def raw_identities(site: DaemonSite, kind: str) -> dict[str, FileIdentity]:
    return {
        f"{camera}/{name}": identity
        for camera in ("vcam1", "vcam2")
        for name, identity in identities_of_tree(site.night(kind) / camera).items()
    }


def _names_before_ids(folder: Path) -> dict[str, str]:
    changes = folder / "name_changes.txt"
    if not changes.exists():
        return {path.name: path.name for path in folder.glob("*.fits.fz")}
    pairs = [line.split("\t") for line in changes.read_text().splitlines()]
    return {f"{new}.fz": f"{old}.fz" for old, new in pairs}


def _read(path: Path, name: str) -> Output:
    with fits.open(path, checksum=True) as units:
        header = dict(units[1].header)
        frames = np.asarray(units[1].data, dtype=np.uint16)
        cards = {key: units[1].header.cards[key].image for key in _TIME_CARDS}
    return Output(path=path, name=name, header=header, cards=cards, frames=frames)


def outputs_of(site: DaemonSite, kind: str) -> list[Output]:
    folder = site.night(kind) / "vgen2"
    names = _names_before_ids(folder)
    return [_read(folder / name, names[name]) for name in sorted(names)]


def carry(source: str, folder: Path) -> dict[str, Carried]:
    """Let a night of each kind go through, from the "reference" one or its "simulated" twin."""
    site = make_site(folder)
    truths = {kind: add_night(site, source, kind) for kind in KINDS}
    digests = {kind: raw_digests(site, kind) for kind in KINDS}
    identities = {kind: raw_identities(site, kind) for kind in KINDS}
    site.run()
    return {
        kind: Carried(
            site=site,
            kind=kind,
            truth=truths[kind],
            raw_digests=digests[kind],
            raw_identities=identities[kind],
            outputs=outputs_of(site, kind),
        )
        for kind in KINDS
    }
