"""Ledgers for the full screen, beside those of `status_scenes`: a live night, hostile words."""

from __future__ import annotations

from tests.support.ledger_site import NOW_US, Site
from vampd.causes import Cause
from vampd.states import HoldCode, Kind, Stage

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US


def live(site: Site) -> None:
    """A night that is built while its cameras write: the last half hour of it."""
    night = site.night("20251108", "collecting")
    site.stages(night, Kind.ARCHIVE, Stage.FRAME_IDS)
    for ago in range(28):
        name = f"vcam1_15:{59 - ago:02}:00.000000000"
        cube = site.cube(night, name, frames=100)
        site.execute(
            "update raw_file set seen_us = ?, size_bytes = ? where night = ? and stem = ?",
            NOW_US - ago * MINUTE_US - 5 * SECOND_US,
            (20 + 7 * (ago % 5)) * 1_000_000,
            night,
            name,
        )
        site.output(
            night,
            28 - ago,
            f"vcam1_15:{59 - ago:02}",
            [(cube, 0, 1, 100)],
            state="planned" if ago < 3 else "built" if ago < 6 else "verified",
            first_us=NOW_US - ago * MINUTE_US,
            last_us=NOW_US - ago * MINUTE_US + 30 * SECOND_US,
        )
    site.insert(
        "live",
        night=night,
        newest_us=NOW_US - 20 * SECOND_US,
        through_us=NOW_US - 2 * MINUTE_US,
        held_by="camera 2 is silent for 8 s of 60",
        planned_us=NOW_US - 2 * MINUTE_US,
        changed_us=NOW_US,
    )


#: What must stay text: escapes, markup of two sorts, a line's end, a sign that turns the text.
HOSTILE = "[red]AB Aur[/red] \x1b[31m\x1b]0;owned\x07\n[@click=app.quit]x[/] \u202eabc"


def hostile(site: Site) -> None:
    """A night whose hold, file and folder say what they should not."""
    cause = Cause(HoldCode.ORDER, {"why": HOSTILE})
    night = site.night("20251106", "held", cause=cause)
    site.stages(night, Kind.ARCHIVE, Stage.BUILD)
    site.cube(night, "vcam1_05:11:00.0", state="quarantined", reason=HOSTILE)
    site.execute(
        "update night set hold = ?, hold_code = cause_code, hold_words = cause_words,"
        " folder = folder || ? where id = ?",
        str(cause),
        HOSTILE,
        night,
    )
    site.execute("update event set why = ? where night = ?", HOSTILE, night)
