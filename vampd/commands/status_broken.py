"""What needs somebody, as `vampd status` shows it: the worst first, on the first screen. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from vampd.commands.screen import Screen, count_text, paragraph, size_text
from vampd.commands.status_picture import ROOT_SECONDS, DiskView, Picture, RootView
from vampd.ledger.alerts import Condition
from vampd.ledger.records import Night
from vampd.plain_text import first_line
from vampd.states import Severity
from vampd.views import advice
from vampd.views.causes import name_of
from vampd.views.matters import Matter, matters

#: Conditions of these names stand in no other part of the screen.
_NOWHERE_ELSE = frozenset(
    {
        "trouble",
        "stalled",
        "unclosed",
        "lag",
        "copies",
        "hook",
        "mail",
        "changed",
        "unsent",
        "unacked",
        "unmailed",
        "alerts",
        "coder",
    }
)

#: Below what is broken this many lines are left for the rest of the screen.
_REST_LINES = 2


class Broken(Struct, frozen=True, kw_only=True):
    """One thing that does not go on by itself: its title, and the three things to be said of it."""

    severity: Severity
    colour: str
    title: str
    what: str
    safe: str
    next_step: str
    look: str  #: a short command that tells all of it
    mark: str = ""  #: the part of the title that is coloured; the whole, where it is empty
    nights: Sequence[Night] = ()  #: which stand for it; none where it is of the machine

    def headline(self, screen: Screen) -> str:
        """The title in its colour."""
        mark = self.mark or self.title
        return self.title.replace(mark, screen.word(self.colour, text=mark), 1)


def broken(picture: Picture) -> Iterator[Broken]:
    """The one list: the machine first, then the nights, as far as they need somebody."""
    yield from machine(picture)
    both = advice.both_kinds(picture.summaries)
    for matter in matters(picture.summaries):
        yield _of_nights(matter, both_kinds=matter.first.night.date in both)


def machine(picture: Picture) -> Iterator[Broken]:
    """The daemon, the roots and the disks, as far as they need somebody."""
    if picture.at_us is None and not picture.daemon_runs and not picture.is_over:
        yield _daemon_down(picture)
    yield from (_root_gone(root) for root in picture.roots if not root.present)
    yield from (_disk_full(disk) for disk in picture.disks if disk.spare_bytes <= 0)


def broken_lines(
    found: Sequence[Broken], picture: Picture, screen: Screen, used: int
) -> Iterator[str]:
    """Four lines or more of each; one of each where the screen, *used* so far, has no more room."""
    whole = [line for each in found for line in _whole(each, picture, screen)]
    rows = sum(line.count("\n") + 1 for line in whole)
    room = screen.height - used - _REST_LINES - 2  # an empty line, and the heading
    if not screen.height or rows <= room:
        yield from whole
        return
    shown = found if len(found) <= room else found[: max(1, room - 1)]
    yield from (_line(each, screen) for each in shown)
    if len(shown) < len(found):
        yield f"and {len(found) - len(shown)} more: vampd status | less"


def also_told(picture: Picture) -> list[Condition]:
    """What `vampd check` and the mails tell, and no other part of the screen does."""
    broken_nights = {
        summary.night.id for matter in matters(picture.summaries) for summary in matter.summaries
    }
    said = {"unmailed"} if picture.to_be_mailed else set()
    return [
        each
        for each in picture.told
        if (name := each.name.partition(":")[0]) in _NOWHERE_ELSE - said
        and not (name == "stalled" and each.night in broken_nights)
    ]


def code_of(picture: Picture, found: Sequence[Broken]) -> int:
    """As `vampd check` ends: 0 all is well, 1 look at it in the morning, 2 critical."""
    severities = {each.severity for each in found} | {each.severity for each in picture.told}
    return 2 if Severity.CRITICAL in severities else int(bool(severities))


def _whole(each: Broken, picture: Picture, screen: Screen) -> Iterator[str]:
    yield each.headline(screen)
    yield paragraph("  what  ", each.what, screen.width)
    yield paragraph("  safe  ", each.safe, screen.width)
    if picture.at_us is None:
        yield paragraph("  next  ", each.next_step, screen.width)


def _line(each: Broken, screen: Screen) -> str:
    """All that fits on a line; the command stands whole."""
    room = screen.width - len(each.look) - 2
    text = f"{each.title}: {first_line(each.what)}"
    if len(text) > room:
        text = text[: room - 2].rstrip() + ".."
    mark = each.mark or each.title
    return f"{text}  {each.look}".replace(mark, screen.word(each.colour, text=mark), 1)


def _of_nights(matter: Matter, *, both_kinds: bool) -> Broken:
    first, others = matter.first, len(matter.summaries) - 1
    safe = advice.what_is_safe(first, both_kinds=both_kinds)
    step = advice.next_step(first, both_kinds=both_kinds)
    if others:
        safe = f"of {first.night.date}: {safe}"
        step = f"{step}; and so for {count_text(others, 'other night')}"
    return Broken(
        severity=matter.severity,
        colour=str(first.night.status),
        title=matter.title,
        what=advice.what(first),
        safe=safe,
        next_step=step,
        look=f"vampd explain {name_of(first, both_kinds=both_kinds)}",
        nights=[summary.night for summary in matter.summaries],
    )


def _daemon_down(picture: Picture) -> Broken:
    crashed = picture.daemon is not None and picture.daemon.stopped_us is None
    why = "; why it ended: journalctl -u vampd -n 50" if crashed else ""
    return Broken(
        severity=Severity.CRITICAL,
        colour="bad",
        title="the daemon is not running",
        what="nothing is done until it runs; the cameras' files stay where they are",
        safe="all that was done; nights are shown as it left them",
        next_step=f"systemctl start vampd{why}",
        look="systemctl start vampd",
    )


def _root_gone(root: RootView) -> Broken:
    state = "ABSENT" if root.answers else "HANGS"
    what, step = (
        "the disk that bears its marker is not there",
        "mount the disk; it goes on by itself",
    )
    if not root.answers:
        what = (
            f"the system did not answer for {ROOT_SECONDS:g} s; is it a network disk that is gone?"
        )
        step = "find out why it hangs, or unmount it (umount -l); then restart vampd"
    elif not root.known:
        what = "vampd never found it: no folder, or an empty one on which nothing is mounted"
    return Broken(
        severity=Severity.CRITICAL,
        colour="bad",
        title=f"{state}: root {root.path} ({root.kind})",
        mark=state,
        what=what,
        safe="vampd touches nothing below it: its nights are paused",
        next_step=step,
        look="vampd admin doctor",
    )


def _disk_full(disk: DiskView) -> Broken:
    free, total = size_text(disk.free_bytes), size_text(disk.total_bytes)
    return Broken(
        severity=Severity.CRITICAL,
        colour="bad",
        title=f"FULL: disk {disk.path}",
        mark="FULL",
        what=f"{free} of {total} free: less than is kept for the cameras (disk.keep_free_gb)",
        safe="nothing is begun on it, so that the cameras can write",
        next_step=(
            "make room on it (what vampd could give back: vampd space reclaim --dry-run);"
            " it goes on by itself"
        ),
        look="vampd admin doctor",
    )
