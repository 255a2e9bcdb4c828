"""What stands beside the list on the full screen, in lines: one night, or something else. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from vampd.allowed import Outcome, Verdict
from vampd.commands.explain import Explained, text_of
from vampd.commands.live_words import confirmed_text
from vampd.commands.log import sentence, together, untold_why
from vampd.commands.progress_words import bar_text
from vampd.commands.screen import Screen, duration_text, hst_text, size_text, time_text
from vampd.commands.status_broken import Broken
from vampd.commands.status_grid import cell, current_stage, stop_of
from vampd.commands.status_odd import odd
from vampd.commands.status_picture import Picture
from vampd.commands.status_screen import at_rest
from vampd.commands.tui.lines import OF_STATUS, OF_TASK, Line, Tone, line, wrapped
from vampd.commands.tui.listing import SHORT, Row
from vampd.commands.tui.look import Look, NightLook
from vampd.commands.tui.offers import OFFERS
from vampd.ledger.alerts import Condition
from vampd.states import Stage, TaskState
from vampd.value_words import count_text
from vampd.views import advice
from vampd.views.history import Event
from vampd.views.inflow import Inflow
from vampd.views.live import Lag
from vampd.views.summaries import Summary

_LOG_LINES = 100
_STAGE = 10
_NO_NIGHT = (
    "no night yet: nothing was seen below the roots of the settings. Is it the daemon that is"
    " missing? vampd admin doctor tells."
)
_BARS = " ▁▂▃▄▅▆▇█"
_ASCII_BARS = " .:-=+*#%@"


def beside(
    row: Row | None, look: Look, night: NightLook | None, screen: Screen
) -> tuple[Line, list[Line]]:
    """The title and the lines beside the list, for the chosen *row*; *night*: all of that one."""
    picture = look.picture
    if row is None or picture is None:
        return [], list(_nothing(look, screen))
    if night is not None:
        return _title(night.explained.summary), list(_night(look, night, screen))
    return _other(row, picture, screen)


def _other(row: Row, picture: Picture, screen: Screen) -> tuple[Line, list[Line]]:
    """A row that is no night, or one that was not looked at yet."""
    if row.broken is not None:
        return line(row.broken.title, Tone.BAD), list(_broken(row.broken, screen))
    if row.told is not None:
        return line("told", Tone.WARN), list(_told(row.told, screen))
    if row.is_odd:
        return line("odd"), list(_odd(picture, screen))
    if row.folds:
        return line("at rest"), [line(text) for text in at_rest(picture)]
    return row.line, [line("looking ...", Tone.FAINT)]


def _nothing(look: Look, screen: Screen) -> Iterator[Line]:
    if look.picture is not None:
        yield from wrapped("", _NO_NIGHT, screen.width)
    elif look.trouble is None:
        yield line("looking ...", Tone.FAINT)


def _title(summary: Summary) -> Line:
    status = summary.night.status
    return [(f"{summary.night} ", Tone.PLAIN), (str(status), OF_STATUS.get(status, Tone.PLAIN))]


def _night(look: Look, night: NightLook, screen: Screen) -> Iterator[Line]:
    """What to do, how far it is, why, what comes live, what may be ordered."""
    each = night.explained
    summary, width = each.summary, screen.width
    status = summary.night.status
    if status in advice.TOLD:
        yield from wrapped("what  ", advice.what(summary), width, OF_STATUS.get(status, Tone.PLAIN))
    yield from wrapped("next  ", each.cause.next_step, width)
    if summary.lag is not None:
        yield []
        yield from _lag(summary.lag, look.now_us, width)
    yield []
    yield from _stages(each, look.now_us, screen)
    yield from _headed("why")
    yield from wrapped("", text_of(each, now_us=look.now_us), width)
    if each.cause.command is not None:
        yield [("  ", Tone.PLAIN), *line(each.cause.command, Tone.COMMAND)]
    yield from _headed("orders")
    for offer in OFFERS:
        yield from _offer(offer.key, offer.order, night.verdicts[offer.order], width)
    yield from _headed("folder")
    yield from wrapped("", summary.night.folder, width)


def _broken(broken: Broken, screen: Screen) -> Iterator[Line]:
    yield from wrapped("next  ", broken.next_step, screen.width)
    yield []
    yield from wrapped("what  ", broken.what, screen.width)
    yield from wrapped("safe  ", broken.safe, screen.width)


def _told(told: Condition, screen: Screen) -> Iterator[Line]:
    yield from wrapped("", told.text, screen.width)
    if told.next_step:
        yield from wrapped("next  ", told.next_step, screen.width)


def _odd(picture: Picture, screen: Screen) -> Iterator[Line]:
    for text in odd(picture, screen):
        yield from wrapped("", text, screen.width)


def log_lines(events: Sequence[Event], screen: Screen, *, of_night: bool) -> list[Line]:
    """What happened, the oldest first; *of_night*: to one night, which is not named each time."""
    told = list(together(events))[-_LOG_LINES:]
    found: list[Line] = []
    before: str | None = None
    for each in told:
        shown = replace(each, last=replace(each.last, night=None)) if of_night else each
        text = sentence(shown, why=untold_why(each, before))
        before = each.last.why
        found += wrapped(_moment(each.event.at_us, screen), text, screen.width)
    return found


def inflow_lines(inflow: Inflow, screen: Screen) -> Iterator[Line]:
    """What arrives of a night: the last minute in numbers, the last half hour as a line."""
    last = inflow.last
    yield line(f"arriving: {inflow.night.date} {SHORT[inflow.night.kind]}", Tone.TITLE)
    yield line(f"{count_text(last.files, 'file')}, {size_text(last.size_bytes)} a minute")
    amounts = [minute.size_bytes for minute in inflow.minutes]
    yield line(sparkline(amounts[-screen.width :], glyphs=screen.glyphs), Tone.RUNS)


def sparkline(amounts: Sequence[int], *, glyphs: bool) -> str:
    """A cell for each amount; what is not nothing is seen, however little it is."""
    bars = _BARS if glyphs else _ASCII_BARS
    most = max(amounts, default=0)
    if not most:
        return "".join(bars[0] for _ in amounts)
    return "".join(bars[-(-amount * (len(bars) - 1) // most)] for amount in amounts)


def _moment(us: int, screen: Screen) -> str:
    text = time_text(us)
    return f"{text[5:19]} ({hst_text(us)[:5]}) " if screen.width >= 70 else f"{text[11:19]} "


def _headed(title: str) -> Iterator[Line]:
    yield []
    yield line(title, Tone.TITLE)


def _stages(each: Explained, now_us: int, screen: Screen) -> Iterator[Line]:
    """A line for each stage: a bar where it is at work, else a sign and what was counted."""
    summary, current = each.summary, current_stage(each.summary)
    running = {progress.stage: progress for progress in each.running}
    for stage, state in summary.stages.items():
        name = f"{stage.replace('_', ' '):<{_STAGE}}"
        if (progress := running.get(stage)) is not None:
            yield [(name, Tone.PLAIN), *line(bar_text(progress, now_us, screen), Tone.RUNS)]
            continue
        stop = stop_of(summary) if stage is current else None
        is_stopped = stop is not None and state.state is not TaskState.FAILED
        tone = OF_STATUS[stop] if stop is not None and is_stopped else OF_TASK[state.state]
        text = f"{cell(state, stop, screen, 5)} {_count(summary, stage)}"
        yield [(name, Tone.PLAIN), *line(text.rstrip(), tone)]


def _count(summary: Summary, stage: Stage) -> str:
    """What a stage has to show: cubes that came, outputs that are made and verified."""
    if stage is Stage.SYNC and summary.raw_files:
        return count_text(summary.raw_files, "cube")
    if stage is Stage.BUILD and summary.outputs:
        return f"{summary.built} of {count_text(summary.outputs, 'output')}"
    if stage is Stage.VERIFY and summary.outputs:
        return f"{summary.verified} of {count_text(summary.outputs, 'output')}"
    return ""


def _lag(lag: Lag, now_us: int, width: int) -> Iterator[Line]:
    """How far what is live is behind, and what holds it back."""
    if not lag.is_open:
        yield from wrapped("live  ", confirmed_text(lag), width)
        return
    steps = (
        ("newest frame", lag.newest_us),
        ("planned", lag.planned_us),
        ("built", lag.built_us),
        ("verified", lag.verified_us),
    )
    for name, us in steps:
        text = "nothing yet" if us is None else f"{time_text(us)[11:22]}  {_ago(us, now_us)}"
        yield [(f"{name:<13} ", Tone.PLAIN), (text, Tone.PLAIN if us else Tone.FAINT)]
    if lag.unnumbered:
        yield from wrapped(
            "", f"{count_text(lag.unnumbered, 'output')} without frame ID yet", width
        )
    if lag.held_by:
        yield from wrapped("held back by  ", lag.held_by, width, Tone.WARN)


def _ago(us: int, now_us: int) -> str:
    return f"{duration_text(now_us - us)} ago" if now_us >= us else "just now"


def _offer(key: str, order: str, verdict: Verdict, width: int) -> Iterator[Line]:
    """An order with its key; one that does nothing is faint, and says why."""
    if verdict.outcome is Outcome.ACTS:
        yield [(key, Tone.COMMAND), (f"  {order}", Tone.PLAIN)]
        return
    word = "refused" if verdict.outcome is Outcome.REFUSED else "nothing to do"
    yield from wrapped("-  ", f"{order}: {word}: {verdict.why}", width, Tone.FAINT)
