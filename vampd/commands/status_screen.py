"""How `vampd status` looks: a line on the daemon, one on the surroundings, then what matters.

When all is well that is all: three lines. Pure: a picture in, lines out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vampd import __version__
from vampd.commands.live_words import lag_text
from vampd.commands.progress_words import bar_text
from vampd.commands.screen import (
    Screen,
    count_text,
    duration_text,
    minute_text,
    paragraph,
    size_text,
    time_text,
)
from vampd.commands.status_broken import also_told, broken, broken_lines
from vampd.commands.status_grid import WIDE, grid
from vampd.commands.status_odd import note, odd
from vampd.commands.status_picture import DiskView, Picture
from vampd.states import Kind, NightStatus
from vampd.time_units import DAY_US
from vampd.views import advice
from vampd.views.builder_conditions import builders_line
from vampd.views.causes import name_of
from vampd.views.summaries import Summary, is_at_rest


def lines(picture: Picture, screen: Screen) -> Iterator[str]:
    """The whole screen, line by line."""
    for block in _blocks(picture, screen):
        yield from block.split("\n")


def _blocks(picture: Picture, screen: Screen) -> Iterator[str]:
    head = list(top(picture, screen))
    yield from head
    found = list(broken(picture))
    told = also_told(picture)
    is_well = not (found or told) and _is_quiet(picture)
    if is_well and not picture.full:
        yield _all_well(picture, screen)
    yield from _section("broken", list(broken_lines(found, picture, screen, len(head))), screen)
    yield from _section("told", [paragraph("", each.text, screen.width) for each in told], screen)
    yield from _section("waiting", list(_waiting(picture, screen)), screen)
    yield from _section("running", list(_running(picture, screen)), screen)
    yield from _section("live", list(_live(picture)), screen)
    if picture.full or not is_well:
        yield from _grids(picture, screen)
    yield from _section("odd", list(odd(picture, screen)), screen)


def top(picture: Picture, screen: Screen) -> Iterator[str]:
    """The daemon, and what is around it."""
    yield from _head(picture, screen)
    if picture.at_us is None:
        parts = _surroundings(picture, screen)
        if screen.length("; ".join(parts)) > screen.width:
            parts = [part for part in parts if part not in _NO_NEWS]
        yield from _wrapped(parts, screen)
        if picture.builders is not None:
            yield from _wrapped([f"builders {builders_line(picture.builders)}"], screen)
        if picture.pauses:
            yield screen.word("warn", text=f"pauses: {picture.pauses}")


def _is_quiet(picture: Picture) -> bool:
    """Whether no night does anything but collect or rest, and none is to be held."""
    return all(
        is_at_rest(summary.night)
        or (summary.night.status is NightStatus.COLLECTING and summary.night.hold is None)
        for summary in picture.summaries
    )


def _running(picture: Picture, screen: Screen) -> Iterator[str]:
    for each in picture.running:
        yield f"{each.night} {each.stage:<9} {bar_text(each, picture.now_us, screen)}"


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


#: What is left out where there is no room for all.
_NO_NEWS = frozenset({"queue empty", "mail none due", "mail acknowledged"})


def _surroundings(picture: Picture, screen: Screen) -> list[str]:
    """Disk, far side, mail and queue, each in a few words."""
    named = len(picture.disks) > 1 or screen.width >= WIDE
    parts = [_disk(disk, screen, named=named) for disk in picture.disks]
    parts.append(_far(picture, screen))
    parts += _proofs(picture, screen)
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
    last = duration_text(picture.now_us - far.verified_us)
    if _is_in_far(picture, screen):
        return f"copies proved {last} to {duration_text(_oldest_us(picture))} ago"
    return f"far side verified {last} ago"


def _is_in_far(picture: Picture, screen: Screen) -> bool:
    """Whether the oldest proof stands with the newest: all of it is to fit on one line."""
    far = picture.far
    is_well = far.failing_since_us is None and far.verified_us is not None
    return is_well and screen.width < WIDE and _oldest_us(picture) >= DAY_US


def _oldest_us(picture: Picture) -> int:
    """How long ago the copy was read that was read longest ago, here or over there."""
    return max((picture.now_us - us for us in picture.oldest_proofs.values()), default=0)


def _proofs(picture: Picture, screen: Screen) -> list[str]:
    """The age of the oldest proof of each side, where that is days."""
    if _oldest_us(picture) < DAY_US or _is_in_far(picture, screen):
        return []
    ages = {side: picture.now_us - us for side, us in picture.oldest_proofs.items()}
    told = [f"{side} {duration_text(age_us)}" for side, age_us in ages.items()]
    return [f"oldest proof {', '.join(told)} ago"]


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
    collecting = [
        f"{each.night} collects ({count_text(each.raw_files, 'cube')})"
        for each in picture.summaries
        if each.night.status is NightStatus.COLLECTING
    ]
    return f"{well}: {'; '.join([*collecting[-1:], *at_rest(picture)])}"


def at_rest(picture: Picture) -> Iterator[str]:
    """How many nights are at their end, by status, and the newest of those that are safe."""
    by_status: dict[NightStatus, list[Summary]] = {}
    for summary in picture.summaries:
        if is_at_rest(summary.night):
            by_status.setdefault(summary.night.status, []).append(summary)
    for status, found in by_status.items():
        last = f", last {found[-1].night}" if status is NightStatus.SAFE else ""
        yield f"{len(found)} {status}{last}"
    if picture.left_out:
        yield f"{picture.left_out} older"


def _grids(picture: Picture, screen: Screen) -> Iterator[str]:
    """The nights that are under way, or all that are asked for; the others are counted."""
    shown = [each for each in picture.summaries if picture.full or not is_at_rest(each.night)]
    for kind in Kind:
        of_kind = [summary for summary in shown if summary.night.kind is kind]
        if of_kind:
            yield ""
            yield from grid(kind, of_kind, picture.running, screen)
    if not picture.summaries:
        yield "no night yet"
    elif len(shown) < len(picture.summaries):
        yield paragraph("at rest: ", f"{'; '.join(at_rest(picture))} (--all)", screen.width)
    elif picture.left_out:
        yield f"{count_text(picture.left_out, 'older night')} left out (--all)"


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
