"""The grid of nights by stages, for each kind: a sign as well as a colour in every cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from vampd.commands.screen import Screen, size_text
from vampd.states import STAGES_OF, Kind, NightStatus, Stage, TaskState
from vampd.views import advice
from vampd.views.activity import Progress
from vampd.views.summaries import StageState, Summary

#: From so many columns on there is room for bytes and for a word on each night.
WIDE = 116

_DATE, _STATUS, _NUMBER, _SIZE = 8, 10, 5, 8
_LEAST = 5  # "100 %", "done ", "FAIL "

#: Longer names than fit a heading.
_HEADS: Mapping[Stage, str] = {Stage.FRAME_IDS: "ids"}


def grid(
    kind: Kind, summaries: Sequence[Summary], running: Sequence[Progress], screen: Screen
) -> Iterator[str]:
    """The lines of one kind's grid, its heading first."""
    stages = STAGES_OF[kind]
    yield screen.title(f"{kind} nights")
    heads = " ".join(f"{_head(stage):<{_width(stage)}}" for stage in stages)
    line = f"{'date':<{_DATE}} {'status':<{_STATUS}} {heads} "
    line += " ".join(f"{name:>{_NUMBER}}" for name in ("cubes", "bad", "late"))
    if screen.width >= WIDE:
        line += f" {'raw':>{_SIZE}}  what"
    yield line.rstrip()
    for summary in summaries:
        yield _line(summary, running, screen).rstrip()


def _line(summary: Summary, running: Sequence[Progress], screen: Screen) -> str:
    night = summary.night
    current = current_stage(summary)
    cells = " ".join(
        cell(state, stop_of(summary) if stage is current else None, screen, _width(stage))
        for stage, state in summary.stages.items()
    )
    numbers = (summary.raw_files, summary.quarantined or "-", summary.late or "-")
    counts = " ".join(f"{number:>{_NUMBER}}" for number in numbers)
    line = f"{night.date:<{_DATE}} {screen.word(night.status, _STATUS)} {cells} {counts}"
    if screen.width < WIDE:
        return line
    size = size_text(summary.amounts.raw) if summary.amounts.raw else "-"
    line += f" {size:>{_SIZE}}  "
    return line + shortened(_word_on(summary, running), screen.width - screen.length(line))


def _word_on(summary: Summary, running: Sequence[Progress]) -> str:
    """What there is to say of a night in the room that is left."""
    for progress in running:
        if progress.night.id == summary.night.id and progress.bytes_per_second:
            return f"{size_text(round(progress.bytes_per_second))}/s"
    if summary.night.status in advice.TOLD or summary.night.status is NightStatus.COLLECTING:
        lines = (advice.cause_of(summary) or "").splitlines()
        return lines[0] if lines else ""
    return ""


def shortened(text: str, width: int) -> str:
    """*text*, cut to *width* where it is longer."""
    return text if len(text) <= width else text[: max(0, width - 2)].rstrip() + ".."


def _head(stage: Stage) -> str:
    return _HEADS.get(stage, str(stage))


def _width(stage: Stage) -> int:
    return max(len(_head(stage)), _LEAST)


def current_stage(summary: Summary) -> Stage | None:
    """The stage at which a night stands."""
    for stage, state in summary.stages.items():
        if state.state is not TaskState.DONE:
            return stage
    return None


def stop_of(summary: Summary) -> NightStatus | None:
    """Why the stage at which a night stands does not go on, if it does not."""
    status = summary.night.status
    return status if status in {NightStatus.WAITING, NightStatus.HELD} else None


def cell(state: StageState, stop: NightStatus | None, screen: Screen, width: int) -> str:
    """A sign, or how much of a stage of many units is done."""
    if stop is not None and state.state is not TaskState.FAILED:
        return screen.word(stop, width, screen.sign(stop))
    if state.state is TaskState.RUNNING and state.total > 1:
        # Rounded down: 100 % would say done.
        return screen.word(state.state, width, f"{100 * state.done // state.total} %")
    return screen.glyph(state.state, width)
