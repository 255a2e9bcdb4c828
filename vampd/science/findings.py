"""What operators are told about the states of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vampd.records import RawCube, Report
from vampd.science.flc import Finding


def finding_reports(
    findings: Iterable[Finding], cube: RawCube, *, header_us: int | None
) -> Iterator[Report]:
    """Report estimated jitters, headers that are wrong, and frames without a state.

    *cube* is the first one of the run, *header_us* its J, if it says one.
    """
    for finding in findings:
        shown = f"the intervals of {finding.frames} frames show J = {finding.jitter_us:.1f} us"
        noise = f"noise {finding.noise_us:.1f} us"
        if header_us is None:
            yield Report(raw_file=cube.raw_file, text=f"U_TRIGJT is missing; {shown}, {noise}")
        elif finding.contradicts_header:
            yield Report(
                raw_file=cube.raw_file, text=f"U_TRIGJT is {header_us} us but {shown}, {noise}"
            )
        if finding.dubious:
            yield Report(
                raw_file=cube.raw_file,
                text=f"the state of {finding.dubious} of {finding.frames} frames "
                f"cannot be told (J {finding.jitter_us:.1f} us, {noise})",
            )
