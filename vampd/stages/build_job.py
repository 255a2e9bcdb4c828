"""What a worker must know to build the outputs of one cube of one camera, and what it tells."""

from __future__ import annotations

import errno
from collections.abc import Collection, Mapping
from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vampd.io.fits import Tiles
from vampd.records import BuiltOutput, RawInput
from vampd.science.quick_look import Measures
from vampd.states import FlcState

#: Errors of the system that say that this machine is short of something.
SHORTAGES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class OutputJob(Struct, frozen=True, kw_only=True, eq=False):
    """An output to be built."""

    output: int  #: the ledger's number
    file_name: str  #: without ending
    synchronised: bool
    flc_state: FlcState
    frame_id: str | None
    first_us: int
    last_us: int
    header_file: int  #: raw file whose cards begin the header
    segments: tuple[tuple[int, int, int, int], ...]  #: raw file, first, step, count
    acquired_us: NDArray[np.int64]  #: (frames,)
    sha256: str | None = None  #: as recorded, where it is built already


class BuildJob(Struct, frozen=True, kw_only=True, eq=False):
    """The outputs of one cube of one camera."""

    attempt: int
    night: str  #: the night's folder, absolute
    unit: str  #: of the stage: cube and camera
    scratch: str  #: folder in the night
    place: str | None = None  #: its own folder in there, made for it: see `attempt_folder`
    tiles: Tiles
    verify: Literal["all", "sample"]  #: which frames are decoded again as they are written
    tried: Collection[str] = ()  #: digests of headers that others were seen to read
    read_whole: Collection[int] | None = None  #: outputs that funpack must read whole; None: all
    quick_look: bool = False  #: whether frames are added up for pictures and measures
    raw: Mapping[int, RawInput]  #: by number
    outputs: tuple[OutputJob, ...]


class Looks(Struct, frozen=True, kw_only=True):
    """What is kept of a quick look."""

    measures: tuple[tuple[int, Measures], ...] = ()  #: by output
    trouble: str | None = None  #: why there are fewer pictures than there could be


class BuildResult(Struct, frozen=True, kw_only=True):
    """What was published."""

    outputs: tuple[BuiltOutput, ...]  #: in the job's order
    #: Cards that were not kept as they were: what, the same for all of a kind, and "file: card"
    reports: tuple[tuple[str, str], ...]
    tried: tuple[str, ...]  #: digests of headers that others were seen to read now
    looks: Looks = Looks()
