"""How `vampd status` looks: a line on the daemon, one on the surroundings, then what matters.

When all is well that is all: three lines. Pure: a picture in, lines out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vampd import __version__
from vampd.commands import advice
from vampd.commands.causes import name_of
from vampd.commands.live_words import lag_text
from vampd.commands.screen import (
    Screen,
    clock_text,
    count_text,
    duration_text,
    minute_text,
    paragraph,
    size_text,
    time_text,
)
from vampd.commands.status_grid import WIDE, grid
from vampd.commands.status_odd import note, odd
from vampd.commands.status_picture import ROOT_SECONDS, DiskView, Picture, RootView
from vampd.states import Kind, NightStatus
from vampd.time_units import SECOND_US
from vampd.views.activity import Progress
from vampd.views.summaries import Summary, is_at_rest


def lines(picture: Picture, screen: Screen) -> Iterator[str]:
    """The whole screen, line by line."""
    for block in _blocks(picture, screen):
        yield from block.split("\n")


def _blocks(picture: Picture, screen: Screen) -> Iterator[str]:
    yield from _head(picture, screen)
    if picture.at_us is None:
        yield from _wrapped(_surroundings(picture, screen), screen)
        if picture.pauses:
            yield screen.word("warn", text=f"pauses: {picture.pauses}")
    broken = list(_broken(picture, screen))
    if not picture.full and not broken and _is_quiet(picture):
        yield _all_well(picture, screen)
    else:
        yield from _grids(picture, screen)
    yield from _section("broken", broken, screen)
    yield from _section("waiting", list(_waiting(picture, screen)), screen)
    yield from _section(
        "running", [_bar(each, picture, screen) for each in picture.running], screen
    )
    yield from _section("live", list(_live(picture)), screen)
    yield from _section("odd", list(odd(picture, screen)), screen)


def _is_quiet(picture: Picture) -> bool:
    """Whether no night does anything but collect or rest, and none is to be held."""
    return all(
        is_at_rest(summary.night)
        or (summary.night.status is NightStatus.COLLECTING and summary.night.hold is None)
        for summary in picture.summaries
    )


def _live(picture: Picture) -> Iterator[str]:
    """How far each night is that is worked on while its cameras write."""
    for summary in picture.summaries:
        is_open = summary.night.closed_us is None and not is_at_rest(summary.night)
        if is_open and summary.lag is not None:
            yield f"{summary.night}: {lag_text(summary.lag)}"


def _section(title: str, found: Sequence[str], screen: Screen) -> Iterator[str]:
    if found:
        yield ""
        yield screen.title(title)
        yield from found


def _head(picture: Picture, screen: Screen) -> Iterator[str]:
    title = screen.title(f"vampd {__version__} {picture.host}")
    if picture.at_us is not None:
        yield f"{title}  as it was at {time_text(picture.at_us)}"
        yield from _past_daemon(picture)
        return
    daemon = picture.daemon
    now = time_text(picture.now_us)
    if picture.is_over:
        yield f"{title}  {now}"
        yield "the daemon ended when all was done, as it was told"
        return
    if not picture.daemon_runs:
        yield f"{title}  {now}"
        yield from _wrapped(
            [screen.word("bad", text="daemon not running"), *_ended(picture)], screen
        )
        return
    if daemon is None:
        yield f"{title}  {now}"
        return
    up = f"up {duration_text(picture.now_us - daemon.started_us)}"
    if screen.width >= WIDE:
        up += f" since {minute_text(daemon.started_us)}"
    yield f"{title}  {now}  {screen.word('ok', text=up)}"


def _past_daemon(picture: Picture) -> Iterator[str]:
    daemon = picture.daemon
    if daemon is None:
        yield "no daemon had run by then; the rest is from the ledger's events"
    elif daemon.stopped_us is not None:
        yield f"daemon not running since {time_text(daemon.stopped_us)}"
    else:
        yield f"the daemon of then had started {time_text(daemon.started_us)}"
    yield "space, mail, speeds and what was to come next are in no event: not shown"


def _ended(picture: Picture) -> list[str]:
    daemon = picture.daemon
    if daemon is None:
        return ["it never did"]
    if daemon.stopped_us is not None:
        return [f"stopped {time_text(daemon.stopped_us)}"]
    return ["ended unasked", f"last heard {time_text(daemon.heard_us)}"]


def _surroundings(picture: Picture, screen: Screen) -> list[str]:
    """Disk, far side, mail and queue, each in a few words."""
    named = len(picture.disks) > 1 or screen.width >= WIDE
    parts = [_disk(disk, screen, named=named) for disk in picture.disks]
    parts.append(_far(picture, screen))
    if picture.mail is not None:
        parts.append(_mail(picture.mail, screen))
    queue = picture.queue
    busy = f"{queue.running} running, {queue.pending} pending"
    parts.append(f"queue {busy if queue.running or queue.pending else 'empty'}")
    return parts


def _disk(disk: DiskView, screen: Screen, *, named: bool) -> str:
    text = f"{size_text(disk.free_bytes)} free"
    if disk.spare_bytes <= 0:
        text = f"FULL, {text}"
    elif disk.nights_left is not None:
        text += f", {_nights(disk.nights_left)}"
    short = disk.spare_bytes <= 0 or (disk.nights_left is not None and disk.nights_left < 1)
    name = f"disk {disk.path} " if named else "disk "
    return name + (screen.word("bad", text=text) if short else text)


def _nights(left: float) -> str:
    if left >= 100:
        return "> 99 nights"
    return count_text(int(left), "night") if left >= 10 else f"{left:.1f} nights"


def _far(picture: Picture, screen: Screen) -> str:
    far = picture.far
    if far.failing_since_us is not None:
        since = duration_text(picture.now_us - far.failing_since_us)
        return "far side " + screen.word("warn", text=f"fails for {since}")
    if far.verified_us is None:
        return "far side never verified"
    return f"far side verified {duration_text(picture.now_us - far.verified_us)} ago"


def _mail(counts: dict[str, int], screen: Screen) -> str:
    """The worst that can be said of the mails to the archive."""
    for state, said, colour in _MAILS:
        if counts.get(state):
            text = said.format(counts[state])
            return "mail " + (screen.word(colour, text=text) if colour else text)
    return "mail none due"


#: The worst first.
_MAILS = (
    ("failed", "FAILED for {}", "bad"),
    ("changed", "outdated for {}", "warn"),
    ("sending", "{} being sent", None),
    ("ready", "{} to be sent", None),
    ("sent", "{} not acknowledged", None),
    ("acknowledged", "acknowledged", None),
)


def _wrapped(parts: Sequence[str], screen: Screen) -> Iterator[str]:
    """*parts* behind one another, on as few lines as they fit."""
    line = ""
    for part in parts:
        longer = f"{line}; {part}" if line else part
        if line and screen.length(longer) > screen.width:
            yield f"{line};"
            longer = part
        line = longer
    if line:
        yield line


def _all_well(picture: Picture, screen: Screen) -> str:
    """One line: which nights collect, how many are safe, and the newest of those."""
    well = screen.word("ok", text="all well")
    if not picture.summaries:
        return f"{well}: no night yet"
    by_status: dict[NightStatus, list[Summary]] = {}
    for summary in picture.summaries:
        by_status.setdefault(summary.night.status, []).append(summary)
    parts = [
        f"{each.night} collects ({count_text(each.raw_files, 'cube')})"
        for each in by_status.pop(NightStatus.COLLECTING, [])[-1:]
    ]
    for status, found in by_status.items():
        parts.append(f"{len(found)} {status}")
        if status is NightStatus.SAFE:
            parts[-1] += f", last {found[-1].night}"
    if picture.left_out:
        parts.append(f"{picture.left_out} older")
    return f"{well}: {'; '.join(parts)}"


def _grids(picture: Picture, screen: Screen) -> Iterator[str]:
    for kind in Kind:
        of_kind = [summary for summary in picture.summaries if summary.night.kind is kind]
        if of_kind:
            yield ""
            yield from grid(kind, of_kind, picture.running, screen)
    if not picture.summaries:
        yield "no night yet"
    if picture.left_out:
        yield f"{count_text(picture.left_out, 'older night')} left out (--all)"


def _broken(picture: Picture, screen: Screen) -> Iterator[str]:
    """What needs somebody: three things of each, cause, what is safe, what to do."""
    if picture.at_us is None and not picture.daemon_runs and not picture.is_over:
        yield from _daemon_down(picture, screen)
    for root in picture.roots:
        if not root.present:
            yield from _root_gone(root, screen)
    for disk in picture.disks:
        if disk.spare_bytes <= 0:
            yield from _disk_full(disk, screen)
    both = advice.both_kinds(picture.summaries)
    for summary in picture.summaries:
        if summary.night.status in advice.TOLD and advice.needs_somebody(summary):
            yield from _three_lines(summary, picture, screen, both_kinds=summary.night.date in both)


def _daemon_down(picture: Picture, screen: Screen) -> Iterator[str]:
    yield screen.word("bad", text="the daemon is not running")
    what = "nothing is done until it runs; the cameras' files stay where they are"
    yield paragraph("  what  ", what, screen.width)
    yield paragraph("  safe  ", "all that was done; nights are shown as it left them", screen.width)
    crashed = picture.daemon is not None and picture.daemon.stopped_us is None
    why = "; why it ended: journalctl -u vampd -n 50" if crashed else ""
    yield paragraph("  next  ", f"systemctl start vampd{why}", screen.width)


def _root_gone(root: RootView, screen: Screen) -> Iterator[str]:
    state = "ABSENT" if root.answers else "HANGS"
    yield f"{screen.word('bad', text=state)}: root {root.path} ({root.kind})"
    what = "the disk that bears its marker is not there"
    if not root.answers:
        what = (
            f"the system did not answer for {ROOT_SECONDS:g} s; is it a network disk that is gone?"
        )
    elif not root.known:
        what = "vampd never found it: no folder, or an empty one on which nothing is mounted"
    yield paragraph("  what  ", what, screen.width)
    safe = "vampd touches nothing below it: its nights are paused"
    yield paragraph("  safe  ", safe, screen.width)
    step = "mount the disk; it goes on by itself"
    if not root.answers:
        step = "find out why it hangs, or unmount it (umount -l); then restart vampd"
    yield paragraph("  next  ", step, screen.width)


def _disk_full(disk: DiskView, screen: Screen) -> Iterator[str]:
    yield f"{screen.word('bad', text='FULL')}: disk {disk.path}"
    free, total = size_text(disk.free_bytes), size_text(disk.total_bytes)
    what = f"{free} of {total} free: less than is kept for the cameras (disk.keep_free_gb)"
    yield paragraph("  what  ", what, screen.width)
    yield paragraph(
        "  safe  ", "nothing is begun on it, so that the cameras can write", screen.width
    )
    yield paragraph("  next  ", "make room on it; vampd goes on by itself", screen.width)


def _waiting(picture: Picture, screen: Screen) -> Iterator[str]:
    """Nights that wait for what passes by itself, and holds that are still to come."""
    both = advice.both_kinds(picture.summaries)
    for summary in picture.summaries:
        night = summary.night
        if is_at_rest(night):
            continue
        twins = night.date in both
        if night.status in advice.TOLD and not advice.needs_somebody(summary):
            yield from _three_lines(summary, picture, screen, both_kinds=twins)
        if night.hold and night.status is not NightStatus.HELD:
            # Recorded while no daemon runs, or while the last of its work is finished.
            name = name_of(summary, both_kinds=twins)
            text = f"{night}: to be held ({night.hold}):"
            yield note(text, f"vampd release {name}", screen)


def _three_lines(
    summary: Summary, picture: Picture, screen: Screen, *, both_kinds: bool
) -> Iterator[str]:
    night = summary.night
    yield screen.word(night.status, text=str(night))
    yield paragraph("  what  ", advice.what(summary), screen.width)
    yield paragraph("  safe  ", advice.what_is_safe(summary, both_kinds=both_kinds), screen.width)
    if picture.at_us is None:
        step = advice.next_step(summary, both_kinds=both_kinds)
        yield paragraph("  next  ", step, screen.width)


def _bar(progress: Progress, picture: Picture, screen: Screen) -> str:
    """A bar, how fast, and when it will be done."""
    share = _share(progress)
    cells = 20 if screen.width >= WIDE else 10
    filled = int(cells * share)
    full, empty = ("█", "░") if screen.glyphs else ("#", "-")
    line = f"{progress.night} {progress.stage:<9} "
    bar = screen.word("running", text=full * filled)
    parts = [f"{line}[{bar}{empty * (cells - filled)}] {int(100 * share):>3} %"]
    if progress.units > 1:
        parts.append(f"{progress.units_done}/{progress.units}")
    if progress.bytes_per_second:
        parts.append(f"{size_text(round(progress.bytes_per_second))}/s")
    if (seconds := progress.seconds_left) is not None:
        left = round(seconds * SECOND_US)
        until = f" ({clock_text(picture.now_us + left)})" if screen.width >= WIDE else ""
        parts.append(f"{duration_text(left)} left{until}")
    elif progress.since_us is not None:
        parts.append(f"for {duration_text(picture.now_us - progress.since_us)}")
    return "  ".join(parts)


def _share(progress: Progress) -> float:
    """How much is done, 0 to 1, by bytes where they are known."""
    if progress.total_bytes:
        return min(1.0, progress.done_bytes / progress.total_bytes)
    return progress.units_done / progress.units if progress.units else 0.0
