"""Read and write the timing files that lie beside the cubes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """What one raw timing file says, frame by frame."""

    comments: tuple[str, ...]  #: the lines that begin with '#', without their newline
    rows: tuple[bytes, ...]  #: the data lines as they are, without their newline
    acquired_us: NDArray[np.int64]  #: (rows,); 0 where the row is rejected
    rejected: dict[int, str]  #: row -> why its frame cannot be used
    has_acquisition: bool  #: False: the times are the logger's
    reports: tuple[str, ...]  #: what an operator should know


def parse_timing(content: bytes) -> Timing:
    """Read a raw timing file."""
    raise NotImplementedError


def output_timing(
    timing_rows: Sequence[bytes], acquired_us: NDArray[np.int64], comments: Sequence[str]
) -> bytes:
    """The timing file of an output cube."""
    raise NotImplementedError
