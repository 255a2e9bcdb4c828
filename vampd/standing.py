"""All of a night that decides what comes of an order."""

from __future__ import annotations

from msgspec import Struct

from vampd.states import HoldCode, NightStatus


class Standing(Struct, frozen=True, kw_only=True):
    """Where a night stands; for a file's order, the file as well.

    Texts are None where it is not so.
    """

    night: str  #: as people call it: `archive 20251106`
    date: str  #: as commands take it, with its kind where the date has a night of each
    status: NightStatus
    hold: HoldCode | None = None
    hold_text: str = ""
    cause: str = ""
    is_closed: bool = True
    is_close_asked: bool = False
    is_told: bool = False  #: the archive was mailed
    was_safe: bool = False  #: it, or what its supplement belongs to
    has_outputs: bool = False  #: planned or made
    is_restorable: bool = False  #: there is something that a restore would delete or move back
    is_provisional: bool = False  #: they were planned while it went on, and no close confirmed that
    troubled: int = 0  #: units of work that failed, or wait for their next attempt
    has_work: bool = True  #: what is to be done again was begun once
    stage: str = "that stage"  #: that is to be done again
    foreign: str | None = None  #: what of the earlier pipeline is in the way
    away: str | None = None  #: its folder is not there, and files of it are known
    raw_away: str | None = None  #: a raw file that still is not what it was
    incomplete: str | None = None  #: raw files are on their way, or gone for ever
    unseen: bool = False  #: something of it is not taken, and nobody said that it may stay so
    unseen_cubes: int = 0  #: quarantined, and nobody said that they were looked at
    skipped: str | None = None  #: why younger nights do not wait for its frame IDs
    has_numbers: bool = False
    is_numbered: bool = True  #: a night of its kind gets frame IDs
    is_unclear: bool = False  #: a request for frame IDs is open
    is_void: bool = False  #: the last one was written off
    kept: str | None = None  #: why its space is not given back
    is_being_verified: bool = False
    is_on_its_way_out: bool = False  #: files lie in its trash, or its space is being given back
    giving_back: str | None = None  #: what of it is being given back
    stays: str | None = None  #: why nothing of it may be given back
    undecided: int = 0  #: quarantined files that nobody said may go
    proofs: int = 0  #: raw files of which it is known whether they can be rebuilt
    failed_hooks: int = 0  #: commands of the site that gave up after it was safe
    mail_refused: str | None = None  #: why no mail can go out about it
    anew_refused: str | None = None  #: why none can be composed in place of one that never came
    mail_done: str | None = None  #: why none needs to
    ack_refused: str | None = None  #: why the archive's word is not taken as it is
    acks_missing: int = 0  #: batches that the archive did not acknowledge
    acks: int = 0  #: batches that it did
    is_mailable: bool = True  #: a mail belongs to it
    path: str = "FILE"  #: the file that is named, below the night's folder
    file_state: str | None = None
    is_raw: bool = True  #: it is a cube or its timing file
    is_old: bool = False  #: of a batch before the one that is worked on
    is_stray: bool = False  #: it does not lie there as it was recorded
    is_unread: bool = False  #: and it is not known yet whether it is another one
