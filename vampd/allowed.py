"""Which order does something in which state of a night, which does not, and why: one table.

Pure. The orders themselves, `vampd explain`, the screens, the page, the mails and the manual take
it from here: what one of them says to type is what the others accept. What only a look at a disk
can tell (whether a file that was gone is back) is looked at before the table is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum

from msgspec import Struct

from vampd.standing import Standing
from vampd.states import FINAL, LIFTED_HOLDS, FileState, HoldCode, NightStatus
from vampd.verbs import Verb


class Outcome(StrEnum):
    """What comes of an order."""

    ACTS = "does something"
    NOTHING = "nothing to do"
    REFUSED = "refused"


class Verdict(Struct, frozen=True, kw_only=True):
    """What comes of an order, and why where that is nothing. *mended*: until somebody mends it."""

    outcome: Outcome
    why: str = ""
    mended: bool = False


class Rule(Struct, frozen=True, kw_only=True):
    """A line of the table; the first of a verb whose *when* is so holds."""

    when: Callable[[Standing], bool]
    outcome: Outcome
    why: str = ""
    mended: bool = False


def decide(standing: Standing, verb: Verb) -> Verdict:
    """What comes of *verb*, by the table."""
    for rule in TABLE[verb]:
        if rule.when(standing):
            words = {name: getattr(standing, name) for name in Standing.__struct_fields__}
            words["cause"] = standing.cause or "no reason was recorded"
            return Verdict(outcome=rule.outcome, why=rule.why.format_map(words), mended=rule.mended)
    return Verdict(outcome=Outcome.ACTS)


def _nothing(when: Callable[[Standing], bool], why: str) -> Rule:
    return Rule(when=when, outcome=Outcome.NOTHING, why=why)


def _refused(when: Callable[[Standing], bool], why: str, *, mended: bool = False) -> Rule:
    return Rule(when=when, outcome=Outcome.REFUSED, why=why, mended=mended)


def _is_final(it: Standing) -> bool:
    return it.status in FINAL


def _is(status: NightStatus) -> Callable[[Standing], bool]:
    return lambda it: it.status == status


def _is_held_for(hold: HoldCode) -> Callable[[Standing], bool]:
    return lambda it: it.hold is hold


def _is_safe_now(it: Standing) -> bool:
    return it.status in {NightStatus.SAFE, NightStatus.RECLAIMED}


def _is_safe(it: Standing) -> bool:
    return it.was_safe or _is_safe_now(it)


def _not_given_up(when: Callable[[Standing], bool], why: str) -> Rule:
    return _refused(when, "{night}: {path} cannot be given up: " + why)


_ABANDONED = _refused(
    _is(NightStatus.ABANDONED),
    "{night} is abandoned ({cause}): to take it up again, `vampd restore {date}`, then `vampd"
    " release {date}`",
)
_HALF_RESTORED = _refused(
    _is_held_for(HoldCode.BEING_RESTORED),
    "{night}: its restore was cut short; `vampd restore {date}` finishes it first",
)
_FOREIGN = _refused(
    lambda it: it.foreign is not None,
    "{night} is the earlier pipeline's: {foreign}; `vampd restore {date}` puts the raw files back"
    " first",
)
_AWAY = _refused(
    lambda it: it.away is not None,
    "{night}: {away}; bring its folder back, and it goes on by itself; or give it up: vampd"
    " abandon {date} --why TEXT",
    mended=True,
)
_RAW_AWAY = _refused(
    lambda it: it.raw_away is not None,
    "{night}: {raw_away}: still not the file that it was when the night was closed; put that one"
    " back, then: vampd retry {date}; or give the file up: vampd quarantine {date} {raw_away}"
    " --give-up --why TEXT",
    mended=True,
)
_INCOMPLETE = _refused(
    lambda it: it.incomplete is not None,
    "{night}: {incomplete}; nothing is restored",
    mended=True,
)
_REDONE_WHOLE = (
    _refused(
        _is(NightStatus.EMPTY),
        "{night} is empty: there is nothing to redo. A file that should not be in quarantine:"
        " `vampd quarantine {date} FILE --accept`",
    ),
    _refused(
        lambda it: _is_final(it) and it.incomplete is not None,
        "{night} is {status}, and cannot be redone: {incomplete}",
        mended=True,
    ),
    _refused(
        _is(NightStatus.ABANDONED),
        "{night} is abandoned; redo it with `vampd restore {date}`, then `vampd release {date}`",
    ),
    _refused(
        _is_final,
        "{night} is {status}; redo it with `vampd restore {date} --force`, then `vampd release"
        " {date}`",
    ),
)
_NOT_BEGUN = "{night}: nothing of {stage} was done yet, so it cannot be done again; "
_RESTORED = _nothing(
    _is_held_for(HoldCode.RESTORED),
    "it is restored already; `vampd release {date}` lets it go on",
)
_NEVER_PROCESSED = _nothing(
    lambda it: not it.is_restorable and it.status != NightStatus.ABANDONED,
    "it was never processed: there is nothing to restore",
)
_UNDOES = "; restoring would undo that (use --force)"
_SAFE = (
    _refused(
        lambda it: it.hold is not HoldCode.BEING_RESTORED and _is_safe(it),
        "{night} is safe at the far end" + _UNDOES,
    ),
    _refused(
        lambda it: it.hold is not HoldCode.BEING_RESTORED and it.is_told,
        "{night} was mailed to the archive" + _UNDOES,
    ),
)
_PLANNED = _refused(
    lambda it: it.has_outputs and not it.is_provisional,
    "{night} is planned; `vampd restore {date}` first, then quarantine",
)
_NO_REQUEST = _refused(
    lambda it: not it.is_unclear,
    "{night}: no request for frame IDs is unclear, so there is nothing to decide; see `vampd"
    " archive ids show {date}`",
)
_NOT_NUMBERED = _refused(
    lambda it: not it.is_numbered, "{night} gets no frame IDs, so no night waits for it"
)

_ACKNOWLEDGED = _nothing(lambda it: not it.acks_missing, "the archive's word is recorded already")
_UNMAILABLE = _refused(
    lambda it: not it.is_mailable,
    "{night}: no mail belongs to it, so there is nothing to acknowledge",
)

#: For each verb, in this order, where it does nothing; in all other states it does something.
TABLE: Mapping[Verb, tuple[Rule, ...]] = {
    Verb.CLOSE: (
        _nothing(lambda it: it.is_closed, "it is closed already"),
        _nothing(_is_final, "it is {status}: nothing more of it is collected"),
        _nothing(
            lambda it: it.is_close_asked,
            "that was ordered already: it is closed at the next look that finds nothing changed",
        ),
    ),
    Verb.RETRY: (
        _ABANDONED,
        _HALF_RESTORED,
        _AWAY,
        _nothing(
            lambda it: not it.troubled and it.hold is None,
            "nothing failed, and nothing waits for a retry",
        ),
        _FOREIGN,
        _RAW_AWAY,
    ),
    Verb.REDO: (
        *_REDONE_WHOLE,
        _refused(
            lambda it: not it.has_work and it.hold is not None,
            _NOT_BEGUN + "it is held: `vampd release {date}` lets it go on",
        ),
        _refused(
            lambda it: not it.has_work and not it.is_closed,
            _NOT_BEGUN + "it comes by itself once the night is over; to end it now: `vampd close"
            " {date}`",
        ),
        _refused(
            lambda it: not it.has_work, _NOT_BEGUN + "it comes by itself after the stages before"
        ),
        _RAW_AWAY,
        _HALF_RESTORED,
    ),
    Verb.REPLAN: (
        *_REDONE_WHOLE,
        _nothing(
            lambda it: not it.is_restorable and it.hold is not HoldCode.RESTORED,
            "it was never processed: there is nothing to plan anew",
        ),
        *_SAFE,
        _INCOMPLETE,
    ),
    Verb.RESTORE: (_RESTORED, _NEVER_PROCESSED, *_SAFE, _INCOMPLETE),
    Verb.RESTORE_SAFE: (_RESTORED, _NEVER_PROCESSED, _INCOMPLETE),
    Verb.RELEASE: (
        _nothing(
            lambda it: it.hold is None and not it.unseen and it.status != NightStatus.HELD,
            "it is not held",
        ),
        _nothing(
            lambda it: it.hold is None and not it.unseen and not it.troubled,
            "it rests there: a shadow does no more of it",
        ),
        _nothing(
            lambda it: it.hold is None and not it.unseen,
            "nobody holds it: work of it went wrong; `vampd retry {date}` tries it again",
        ),
        _FOREIGN,
        _AWAY,
        _RAW_AWAY,
        _HALF_RESTORED,
    ),
    Verb.HOLD: (
        _nothing(
            lambda it: it.hold not in {None, *LIFTED_HOLDS}, "it is held already: {hold_text}"
        ),
    ),
    Verb.ABANDON: (
        _nothing(_is(NightStatus.ABANDONED), "it is abandoned already"),
        _refused(_is_final, "{night} is {status}; there is nothing to abandon"),
    ),
    Verb.ACCEPT: (
        _nothing(
            lambda it: it.file_state != FileState.QUARANTINED, "{path} is {file_state} already"
        ),
        _PLANNED,
    ),
    Verb.ADD: (
        _nothing(
            lambda it: it.file_state == FileState.QUARANTINED, "{path} is {file_state} already"
        ),
        _PLANNED,
    ),
    Verb.GIVE_UP: (
        _HALF_RESTORED,
        _not_given_up(
            lambda it: _is_safe_now(it) or it.is_old,
            "its outputs are safe at the far end, made of the file as it was when it was whole",
        ),
        _not_given_up(_is_final, "the night is {status}: nothing is made of it"),
        _not_given_up(
            lambda it: it.is_told,
            "the archive was told of its outputs; `vampd restore {date} --force` undoes that",
        ),
        _not_given_up(
            lambda it: not it.has_outputs,
            "nothing is planned yet, so leave it out: vampd quarantine {date} {path} --add --why"
            " TEXT",
        ),
        _not_given_up(
            lambda it: not it.is_raw or it.file_state != FileState.WHOLE,
            "it is {file_state}, so no output is made of it",
        ),
        _not_given_up(
            lambda it: not it.is_stray,
            "it lies there as it was recorded. To leave a good file out: vampd restore {date}, then"
            " vampd quarantine {date} {path} --add --why TEXT, then vampd release {date}",
        ),
        _not_given_up(
            lambda it: it.is_unread,
            "it has another inode or time, and is read again: with the recorded bytes it is the"
            " file; wait for that",
        ),
    ),
    Verb.SEEN: (
        _nothing(
            lambda it: not it.unseen_cubes,
            "no quarantined file of it is waiting for somebody to look at it",
        ),
    ),
    Verb.ADOPT: (_NO_REQUEST,),
    Verb.VOID: (
        _nothing(lambda it: not it.is_unclear and it.is_void, "its last request is void already"),
        _NO_REQUEST,
    ),
    Verb.SKIP: (
        _NOT_NUMBERED,
        _nothing(lambda it: it.skipped is not None, "it is skipped already: {skipped}"),
        _nothing(lambda it: it.has_numbers, "it has its frame IDs: no night waits for it"),
    ),
    Verb.KEEP: (_nothing(lambda it: it.kept is not None, "it is kept already: {kept}"),),
    Verb.UNKEEP: (_nothing(lambda it: it.kept is None, "it is not kept"),),
    Verb.VERIFY: (
        _refused(
            lambda it: not _is_safe_now(it),
            "{night} is {status}: its stage verify records every digest; without --record, `vampd"
            " data verify {date}` tells at once what lies at the far end",
        ),
        _nothing(
            lambda it: it.is_being_verified,
            "it is being verified again already: `vampd show {date}`",
        ),
    ),
    Verb.PROVE: (
        _nothing(
            lambda it: not it.proofs,
            "nothing of it is proved yet: every raw file is rebuilt once the night is safe",
        ),
    ),
    Verb.UNDELETE: (
        _nothing(lambda it: not it.is_on_its_way_out, "nothing of it lies in the trash"),
    ),
    Verb.RECLAIM: (
        _nothing(lambda it: it.giving_back is not None, "it is under way already: {giving_back}"),
        _refused(lambda it: it.stays is not None, "{night}: nothing of it may go\n{stays}"),
    ),
    Verb.LET_GO: (_nothing(lambda it: not it.undecided, "no quarantined file of it is undecided"),),
    Verb.HOOKS: (_nothing(lambda it: not it.failed_hooks, "no command failed"),),
    Verb.SEND: (
        _refused(lambda it: it.mail_refused is not None, "{mail_refused}"),
        _nothing(lambda it: it.mail_done is not None, "{mail_done}"),
    ),
    Verb.SEND_ANEW: (
        _refused(lambda it: it.anew_refused is not None, "{anew_refused}"),
        _nothing(lambda it: it.mail_done is not None, "{mail_done}"),
    ),
    Verb.ACK: (
        _ACKNOWLEDGED,
        _UNMAILABLE,
        _refused(lambda it: it.ack_refused is not None, "{ack_refused}"),
    ),
    Verb.ACK_UNTOLD: (_ACKNOWLEDGED, _UNMAILABLE),
    Verb.REVOKE: (_nothing(lambda it: not it.acks, "nothing of it is acknowledged"),),
}
