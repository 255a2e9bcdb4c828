"""Which rule a night's state comes under: by its status, its hold, its failed work, its cause."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from vampd.states import ErrorClass, ErrorCode, HoldCode, NightStatus, Stage, WaitCode
from vampd.value_words import time_text
from vampd.verbs import TYPED, Verb
from vampd.views.explanations import EXPLANATIONS, UNKNOWN
from vampd.views.explanations_held import Explanation
from vampd.views.summaries import Summary, why_held

#: What a collecting night waits for.
_AWAITED = frozenset(
    {WaitCode.DATE, WaitCode.QUIET, WaitCode.LOOK, WaitCode.SETTLE, WaitCode.CUBES}
)
#: What stops any work of a night.
_STOPS = frozenset(
    {
        WaitCode.ROOT_ABSENT,
        WaitCode.ROOT_UNKNOWN,
        WaitCode.DISK_LOW,
        WaitCode.READ_THROUGH,
        WaitCode.READ_AGAIN,
        WaitCode.BEGUN,
        WaitCode.BUILDERS,
        WaitCode.OLDER_NIGHT,
        HoldCode.TROUBLE,
    }
)
#: What went wrong, where the class of its error does not say what is to be done.
_KNOWN_ERRORS = frozenset(
    {(NightStatus.WAITING, ErrorCode.FAR_DISK), (NightStatus.HELD, ErrorCode.NOT_PLAIN)}
)

_SAID_BY_STATUS = frozenset(
    {
        NightStatus.READY,
        NightStatus.RUNNING,
        NightStatus.SAFE,
        NightStatus.RECLAIMED,
        NightStatus.EMPTY,
        NightStatus.ABANDONED,
    }
)


class Cause(Struct, frozen=True, kw_only=True):
    """A night's state in words; *rule* is what they were found under."""

    rule: str
    because: str
    awaits: str
    who: str
    next_step: str
    command: str | None
    safe: str | None


def cause(summary: Summary, *, both_kinds: bool) -> Cause:
    """Why a night is where it is. *both_kinds*: its date has a night of each kind."""
    rule, found = rule_of(summary)
    explanation = EXPLANATIONS[rule]
    words = _Words({**_words(summary, both_kinds=both_kinds), **found})
    given = {"name": words["name"], "stage": words["stage"], "path": found.get("path", "FILE")}
    words |= {verb.name.lower(): TYPED[verb].format_map(given) for verb in Verb}
    return _filled(rule, explanation, words)


def rule_of(summary: Summary) -> tuple[str, Mapping[str, str]]:
    """The rule, and what the recorded cause names."""
    night = summary.night
    if night.status in _SAID_BY_STATUS:
        return str(night.status), {}
    code, words = why_held(night), night.words
    if night.status is NightStatus.HELD and isinstance(code, HoldCode):
        return f"hold: {code}", words
    if night.status is NightStatus.COLLECTING and code in _AWAITED:
        return f"collecting: {code}", words
    if night.status in {NightStatus.COLLECTING, NightStatus.WAITING} and code in _STOPS:
        stuck = words.get("older_status") in {NightStatus.FAILED, NightStatus.HELD}
        return f"{code} stuck" if stuck else str(code), words
    if night.status is NightStatus.COLLECTING and code is not WaitCode.FAILURE:
        return str(night.status), {}
    return _of_trouble(summary)


def _of_trouble(summary: Summary) -> tuple[str, Mapping[str, str]]:
    trouble, status = summary.trouble, summary.night.status
    if status is NightStatus.COLLECTING:  # what failed is not done again because cubes still come
        status = NightStatus.FAILED
    if trouble is None:
        # Held with a cause and no hold: the order was given to an older vampd.
        return (f"hold: {HoldCode.ORDER}" if status is NightStatus.HELD else UNKNOWN), {}
    if trouble.code is not None and (status, trouble.code) in _KNOWN_ERRORS:
        return str(trouble.code), {}
    if f"{status}: {trouble.code}" in EXPLANATIONS:
        return f"{status}: {trouble.code}", {}
    unclear = trouble.error_class is ErrorClass.AMBIGUOUS and status is NightStatus.HELD
    if unclear and trouble.stage is Stage.FRAME_IDS:
        return "held: frame IDs unclear", {}
    if status is NightStatus.FAILED and trouble.error_class is ErrorClass.DETERMINISTIC:
        return f"failed: {trouble.stage}", {}
    return f"{status}: {trouble.error_class or 'no class'}", {}


class _Words(dict[str, str]):
    """Words for a text; one that is not known stays out of sight."""

    def __missing__(self, key: str) -> str:
        return ""


def name_of(summary: Summary, *, both_kinds: bool) -> str:
    """The night as commands take it."""
    night = summary.night
    return f"{night.date} --kind {night.kind}" if both_kinds else night.date


def _words(summary: Summary, *, both_kinds: bool) -> dict[str, str]:
    trouble = summary.trouble
    due = f" at {time_text(trouble.due_us)}" if trouble is not None and trouble.due_us else ""
    return {
        "name": name_of(summary, both_kinds=both_kinds),
        "stage": trouble.stage if trouble is not None else "work",
        "unit": trouble.unit if trouble is not None else "",
        "due": due,
    }


def _filled(rule: str, explanation: Explanation, words: _Words) -> Cause:
    def fill(text: str | None) -> str | None:
        return None if text is None else text.format_map(words)

    return Cause(
        rule=rule,
        because=explanation.because.format_map(words),
        awaits=explanation.awaits.format_map(words),
        who=explanation.who,
        next_step=explanation.next_step.format_map(words),
        command=fill(explanation.command),
        safe=fill(explanation.safe),
    )
