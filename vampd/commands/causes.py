"""Which rule a night's state comes under: by its status, its hold, its failed work, its cause."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from vampd.commands.explanations import EXPLANATIONS, UNKNOWN
from vampd.commands.explanations_held import Explanation
from vampd.commands.screen import time_text
from vampd.ledger import awaited
from vampd.states import ErrorClass, NightStatus, Stage
from vampd.views.summaries import Summary, Trouble

#: Causes by the words in which other parts of vampd record them.
_STOPS: Mapping[str, re.Pattern[str]] = {
    "root absent": re.compile(
        r"(?P<root>/.*?): (?:its marker is |not there, or an empty folder"
        r"|cannot mark this root|not a marker of vampd)"
    ),
    "disk low": re.compile(r"GB free at (?P<root>/.*), \S+ are kept for the cameras"),
    "trouble": re.compile(r"^vampd cannot go on with it: "),
    "raw unread": re.compile(f"^{awaited.READ_THROUGH}"),
    "raw again": re.compile(f"^{awaited.READ_AGAIN}"),
    "older night stuck": re.compile(
        r"^frame IDs of archive (?P<older>\d{8}), which is older and (?P<older_status>failed|held)"
    ),
    "older night": re.compile(
        r"^frame IDs of archive (?P<older>\d{8}), which is older and (?P<older_status>\w+)"
    ),
}
_AWAITED: Mapping[str, re.Pattern[str]] = {
    "collecting: date": re.compile(r"^the end of its UTC date"),
    "collecting: quiet": re.compile(r" min without a change$"),
    "collecting: look": re.compile(r"^one more look"),
    "collecting: settle": re.compile(r"^raw files to settle$"),
    "collecting: unread": re.compile(f"^{awaited.CUBES}"),
}
_HOLDS: Mapping[str, re.Pattern[str]] = {
    "hold: restored": re.compile(r"^restored$"),
    "hold: being restored": re.compile(r"^being restored\b"),
    "hold: raw changed": re.compile(
        r"^raw file changed after (?:the night was closed|it was planned): (?P<path>.*)"
    ),
    "hold: earlier pipeline": re.compile(r"^the earlier pipeline was at work"),
    "hold: adopted": re.compile(r"^processed by the earlier pipeline; adopted"),
    "hold: not rebuildable": re.compile(r"^raw files cannot be rebuilt: "),
    "hold: quality": re.compile(r"^quality outside its limits: "),
    "hold: copies wrong": re.compile(r"^\d+ of \d+ copies at .*, once verified, "),
    "hold: papers lost": re.compile(r"^it bears \d+ frame IDs, and \S+ is lost"),
    "hold: trouble": re.compile(r"^vampd cannot go on with it: "),
    "shadow": re.compile(r"^as far as a shadow goes"),
    "hold: raw unreadable": re.compile(r"^raw file that cannot be read any more: (?P<path>.*)"),
    "hold: not taken": re.compile(r"^not taken, and could be the cameras': (?P<what>.*)"),
    "hold: folder away": re.compile(r"^its folder is not there: (?P<what>.*)"),
    "hold: another date": re.compile(r"^cubes of another date: (?P<what>.*)"),
    "hold: no cube": re.compile(r"^no cube can be used: (?P<what>.*)"),
    "hold: raw gone": re.compile(
        r"^raw file gone after (?:the night was closed|it was planned): (?P<path>.*)"
    ),
}

#: What went wrong, by the words of it, where its class does not say what is to be done.
_TROUBLES: Mapping[tuple[NightStatus, str], re.Pattern[str]] = {
    (NightStatus.WAITING, "far disk"): re.compile(
        r"far disk (?P<place>\S.*?): its marker \S+ is (?:missing|another)"
    ),
    (NightStatus.HELD, "not plain"): re.compile(
        r"(?P<path>/.*?) is (?:a symbolic link to |a link or no folder|reached through a symbolic"
        r"|(?:a pipe|a device|a socket|a folder)(?:, not a regular file| where a file))"
    ),
}

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
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
    return _filled(rule, explanation, words)


def rule_of(summary: Summary) -> tuple[str, Mapping[str, str]]:
    """The rule, and the words that its pattern found in the recorded cause."""
    night = summary.night
    if night.status in _SAID_BY_STATUS:
        return str(night.status), {}
    text = night.cause or ""
    if night.status is NightStatus.HELD:
        known = _matching(_HOLDS, night.hold or text)
        if night.hold is not None:
            return known or ("hold: order", {})
        return known or _of_trouble(summary)
    if night.status is NightStatus.COLLECTING:
        known = _matching(_STOPS, text) or _matching(_AWAITED, text)
        return known or (str(night.status) if not text else UNKNOWN, {})
    if night.status is NightStatus.WAITING and not _is_of(text, summary.trouble):
        return _matching(_STOPS, text) or (UNKNOWN, {})
    return _of_trouble(summary)


def _of_trouble(summary: Summary) -> tuple[str, Mapping[str, str]]:
    trouble, status = summary.trouble, summary.night.status
    if trouble is None:
        # Held with a cause and no hold: the order was given to an older vampd.
        return ("hold: order" if status is NightStatus.HELD else UNKNOWN), {}
    for (of_status, rule), pattern in _TROUBLES.items():
        match = pattern.search(trouble.error or "")
        if match is not None and of_status is status:
            return rule, match.groupdict()
    unclear = trouble.error_class is ErrorClass.AMBIGUOUS and status is NightStatus.HELD
    if unclear and trouble.stage is Stage.FRAME_IDS:
        return "held: frame IDs unclear", {}
    if status is NightStatus.FAILED and trouble.error_class is ErrorClass.DETERMINISTIC:
        return f"failed: {trouble.stage}", {}
    return f"{status}: {trouble.error_class or 'no class'}", {}


def _is_of(text: str, trouble: Trouble | None) -> bool:
    """Whether a recorded cause is that of failing work, and not one that stops any work."""
    return trouble is not None and (not text or trouble.error in text)


def _matching(
    rules: Mapping[str, re.Pattern[str]], text: str
) -> tuple[str, Mapping[str, str]] | None:
    for rule, pattern in rules.items():
        match = pattern.search(text)
        if match is not None:
            return rule, match.groupdict()
    return None


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
