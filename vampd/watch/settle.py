"""Is it whole? The judgement of what the looks saw. Pure: no disk, no clock, no ledger.

The logger writes a cube under a temporary name and renames it when it is whole; it writes
the timing file afterwards or before, straight under its final name, up to minutes apart, and
may write either anew. Nothing tells the end of either. So a cube is whole when it has its final
name and no file under its temporary name is there, its size is what its header says, its timing
file ends in a newline and has as many rows as the cube has frames, its header's times are those
of the rows, and neither file changed over two looks and the settle time.

While the night is open, everything that falls short of this is *arriving*: it may still
come. When the night closes, what is still arriving is quarantined with its reason, so that
a file that never becomes whole does not keep its night open. A row that is there but cannot
be read, such as a torn last one, then costs only its frame. A file that changes after its
judgement is a new file and is judged afresh.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from vampd.causes import Cause
from vampd.records import FileIdentity
from vampd.states import FileCode, FileState, WaitCode
from vampd.time_units import MINUTE_US, SECOND_NS, date_ends_us
from vampd.watch.naming import Role
from vampd.watch.scan import TOP, FolderSnapshot

if TYPE_CHECKING:  # this module judges, and needs nothing that opens files
    from vampd.watch.inspect import Inspection


#: Looks in succession that must agree, however short the settle time is.
SETTLING_LOOKS = 2


class TrackedFile(Struct, frozen=True, kw_only=True):
    """One file over successive looks."""

    identity: FileIdentity
    since_ns: int  #: when a look first saw this identity
    looks: int  #: looks in succession that saw it


class Differences(Struct, frozen=True, kw_only=True):
    """What one look found other than it was known. Paths relative to the night, sorted."""

    appeared: tuple[str, ...]
    changed: tuple[str, ...]
    gone: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.appeared or self.changed or self.gone)


class Verdict(Struct, frozen=True, kw_only=True):
    """What a file is. WHOLE has no cause; ARRIVING and QUARANTINED say what is amiss."""

    state: FileState
    cause: Cause | None = None
    alarm: bool = False  #: frames are lost already: say so now, not when the night closes

    @property
    def reason(self) -> str:
        """What is amiss, in words."""
        return "" if self.cause is None else str(self.cause)


class NightEnd(Struct, frozen=True, kw_only=True):
    """Whether a night is over, and if not, what for and until when it waits."""

    over: bool
    waits_for: Cause | None  #: None when over
    due_us: int  #: earliest time at which it can be over, if nothing more changes


_WHOLE = Verdict(state=FileState.WHOLE)
_TO_BE_READ = Verdict(state=FileState.ARRIVING, cause=Cause(FileCode.TO_BE_READ))
_UNFINISHED_ROW = Verdict(state=FileState.ARRIVING, cause=Cause(FileCode.UNFINISHED_ROW))
_REWRITTEN = Verdict(state=FileState.ARRIVING, cause=Cause(FileCode.WRITTEN_ANEW))


def find_differences(known: Mapping[str, FileIdentity], look: FolderSnapshot) -> Differences:
    """Compare a look with the identities *known* before.

    A file that the look could not see, because its folder or the file itself could not be
    read, is not gone.
    """
    return Differences(
        appeared=tuple(sorted(look.files.keys() - known.keys())),
        changed=tuple(
            sorted(
                path
                for path, seen in look.files.items()
                if path in known and known[path] != seen.identity
            )
        ),
        gone=tuple(
            sorted(path for path in known.keys() - look.files.keys() if not is_hidden(path, look))
        ),
    )


def is_hidden(path: str, look: FolderSnapshot) -> bool:
    """Whether a look could not tell if there is a file at *path*."""
    folder = path.partition("/")[0] if "/" in path else TOP
    return not look.unread.isdisjoint({TOP, folder, path})


def counts_as_change(differences: Differences, roles: Mapping[str, Role]) -> bool:
    """Whether the cameras' files are among the differences; others keep no night open.

    *roles* gives each path's role, by the look or, for what is gone, as it was known.
    """
    paths = (*differences.appeared, *differences.changed, *differences.gone)
    return any(roles.get(path, Role.OTHER) is not Role.OTHER for path in paths)


def follow(
    watched: Mapping[str, TrackedFile], look: FolderSnapshot, *, now_ns: int
) -> dict[str, TrackedFile]:
    """Carry what is known of every file over one more look, taken at *now_ns* (monotonic).

    A file that the look could not see begins anew when it is seen again.
    """
    return {
        path: _follow_file(watched.get(path), seen.identity, now_ns)
        for path, seen in look.files.items()
    }


def is_stable(watched: TrackedFile, *, now_ns: int, settle_seconds: float) -> bool:
    """Whether the file is unchanged over two looks and for *settle_seconds*."""
    unchanged_ns = now_ns - watched.since_ns
    return watched.looks >= SETTLING_LOOKS and unchanged_ns >= settle_seconds * SECOND_NS


def needs_inspection(
    cube: TrackedFile | None,
    timing: TrackedFile,
    inspection: Inspection | None,
    *,
    is_settled: bool,
) -> bool:
    """Whether a cube and its timing, *is_settled* when both are stable, should be read now.

    Not while they change, and not again while they are what they were when last read. A timing
    file without its cube is read as well: it tells which frames were lost.
    """
    if not is_settled:
        return False
    return (
        inspection is None
        or (inspection.unread is not None and cube is not None)
        or not _is_of(inspection, cube.identity if cube is not None else None, timing.identity)
    )


def judge(
    cube: TrackedFile | None,
    timing: TrackedFile | None,
    inspection: Inspection | None,
    *,
    now_ns: int,
    settle_seconds: float,
    is_rewritten: bool = False,
) -> Verdict:
    """Judge a cube and its timing file, one of which may be missing, in an open night.

    *is_rewritten*: a file under the logger's temporary name for this very cube is there too.
    """
    if is_rewritten:
        return _REWRITTEN
    absent = _judge_presence(cube, timing, now_ns=now_ns, settle_seconds=settle_seconds)
    if absent is not None:
        return absent
    assert cube is not None
    assert timing is not None
    if inspection is None or not _is_of(inspection, cube.identity, timing.identity):
        return _TO_BE_READ
    if inspection.problem is None:
        shortfall = inspection.unread or _shortfall(inspection)
        if shortfall is not None:
            return _arriving(shortfall)
        if not inspection.ends_in_newline:
            return _UNFINISHED_ROW
    return _judge_content(inspection)


def judge_at_close(
    cube: TrackedFile | None,
    timing: TrackedFile | None,
    inspection: Inspection | None,
    *,
    now_ns: int,
    settle_seconds: float,
    is_rewritten: bool = False,
) -> Verdict:
    """Judge a cube and its timing file as the night closes: WHOLE or QUARANTINED.

    ARRIVING is left only where both files are settled and have not been read as they are
    now: that is our work, not theirs, and the night must wait for it. Beside a left-over
    temporary file of the same name only a cube is whole whose header proves that the
    timing file is its own.
    """
    verdict = judge(cube, timing, inspection, now_ns=now_ns, settle_seconds=settle_seconds)
    if verdict == _UNFINISHED_ROW:
        assert inspection is not None
        verdict = _judge_content(inspection)
    if verdict.state is FileState.WHOLE and is_rewritten:
        assert inspection is not None
        return verdict if inspection.is_confirmed else _quarantined(Cause(FileCode.UNCONFIRMED))
    if verdict.state is not FileState.ARRIVING or verdict == _TO_BE_READ:
        return verdict
    return replace(verdict, state=FileState.QUARANTINED, alarm=cube is None)


def judge_temporary(*, at_close: bool) -> Verdict:
    """Judge a file under the logger's temporary name."""
    if at_close:
        return Verdict(
            state=FileState.QUARANTINED,
            cause=Cause(FileCode.LEFT_OVER),
            alarm=True,
        )
    return _arriving(Cause(FileCode.BEING_WRITTEN))


def night_is_over(
    night: date,
    *,
    last_change_us: int,
    now_us: int,
    unchanged_looks: int,
    quiet_minutes: float,
    grace_minutes: float,
    unchanged_us: int | None = None,
) -> NightEnd:
    """Whether nothing changed for *quiet_minutes* and the night's UTC date has ended plus grace.

    Parameters
    ----------
    night : date
        The date of the night's folder, UTC.
    last_change_us, now_us : int
        When a look last found a change, and the present; UTC, microseconds.
    unchanged_looks : int
        Complete looks since, that found nothing changed. At least one is needed even when
        *quiet_minutes* is 0: two looks in succession that agree.
    unchanged_us : int, optional
        For how long nothing changed by a clock that nobody sets; None: no change was seen since
        this program began. A date that jumps ahead closes no night at which the cameras are.
    """
    ends_us = date_ends_us(night) + round(grace_minutes * MINUTE_US)
    quiet_us = last_change_us + round(quiet_minutes * MINUTE_US)
    if unchanged_us is not None:
        quiet_us = max(quiet_us, now_us + round(quiet_minutes * MINUTE_US) - unchanged_us)
    due_us = max(ends_us, quiet_us)
    waits_for: Cause | None
    if now_us < ends_us:
        waits_for = Cause(WaitCode.DATE, {"minutes": f"{grace_minutes:g}"})
    elif now_us < quiet_us:
        waits_for = Cause(WaitCode.QUIET, {"minutes": f"{quiet_minutes:g}"})
    elif unchanged_looks < SETTLING_LOOKS - 1:
        waits_for = Cause(WaitCode.LOOK)
    else:
        waits_for = None
    return NightEnd(over=waits_for is None, waits_for=waits_for, due_us=due_us)


def _follow_file(before: TrackedFile | None, identity: FileIdentity, now_ns: int) -> TrackedFile:
    if before is None or before.identity != identity:
        return TrackedFile(identity=identity, since_ns=now_ns, looks=1)
    return replace(before, looks=before.looks + 1)


def _judge_presence(
    cube: TrackedFile | None, timing: TrackedFile | None, *, now_ns: int, settle_seconds: float
) -> Verdict | None:
    """ARRIVING as long as a file is missing or still changes, else None."""
    unsettled = [
        name
        for name, file in (("cube", cube), ("timing file", timing))
        if file is not None and not is_stable(file, now_ns=now_ns, settle_seconds=settle_seconds)
    ]
    if cube is None:
        # The cube comes first: once its timing file is finished, none will come any more.
        lost = Cause(FileCode.LOST_CUBE)
        return Verdict(state=FileState.ARRIVING, cause=lost, alarm=not unsettled)
    if timing is None:
        return _arriving(Cause(FileCode.NO_TIMING))
    if unsettled:
        return _arriving(Cause(FileCode.CHANGING, {"files": " and ".join(unsettled)}))
    return None


def _is_of(inspection: Inspection, cube: FileIdentity | None, timing: FileIdentity) -> bool:
    """Whether these very files were read, and did not change meanwhile."""
    return (
        inspection.cube_before == inspection.cube_after == cube
        and inspection.timing_before == inspection.timing_after == timing
    )


def _shortfall(inspection: Inspection) -> Cause | None:
    """What sizes and rows lack or have too much of; more bytes or rows may still come."""
    size_bytes = inspection.cube_after.size_bytes if inspection.cube_after else 0
    if size_bytes != inspection.expected_bytes:
        is_short = size_bytes < inspection.expected_bytes
        code = FileCode.TRUNCATED if is_short else FileCode.TOO_LONG
        return Cause(code, {"found": str(size_bytes), "expected": str(inspection.expected_bytes)})
    if inspection.rows != inspection.frames:
        return Cause(
            FileCode.ROWS, {"rows": str(inspection.rows), "frames": str(inspection.frames)}
        )
    return None


def _judge_content(inspection: Inspection) -> Verdict:
    """Judge files to which nothing more will come."""
    if inspection.problem is not None:
        return _quarantined(inspection.problem)
    if inspection.disagreement is not None:
        return _quarantined(inspection.disagreement)
    exposure_s = inspection.cards.get("EXPTIME")
    if exposure_s is None:
        return _quarantined(Cause(FileCode.NO_EXPOSURE))
    is_number = isinstance(exposure_s, int | float) and not isinstance(exposure_s, bool)
    if not is_number or not 0 < float(exposure_s) < math.inf:
        return _quarantined(Cause(FileCode.BAD_EXPOSURE, {"value": repr(exposure_s)}))
    return _WHOLE


def _arriving(cause: Cause) -> Verdict:
    return Verdict(state=FileState.ARRIVING, cause=cause)


def _quarantined(cause: Cause) -> Verdict:
    return Verdict(state=FileState.QUARANTINED, cause=cause)
