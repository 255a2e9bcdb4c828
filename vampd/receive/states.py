"""The receiver's words, each with what it means. The ledger's CHECK lists hold the same ones."""

from __future__ import annotations

from enum import StrEnum


class FileState(StrEnum):
    """What is known of a file of a delivered night."""

    AWAITED = "awaited"  #: a list names it, and it is not here yet
    ARRIVING = "arriving"  #: it is here with other bytes than were listed, and may still grow
    PLACED = "placed"  #: it lies where it belongs, with the digest that was listed
    WRONG = "wrong"  #: it does not change any more, and its digest is none that was listed
    IN_THE_WAY = "in the way"  #: a different file has its name where it belongs
    ODD = "odd"  #: a link, a pipe, a folder, or a file that cannot be read
    UNLISTED = "unlisted"  #: it is here, and no list names it


#: Somebody must look at these; they hold their night.
HOLDING = frozenset({FileState.WRONG, FileState.IN_THE_WAY, FileState.ODD})
#: These are still to come.
OPEN = frozenset({FileState.AWAITED, FileState.ARRIVING})


class NightState(StrEnum):
    """Where a delivered night is."""

    ARRIVING = "arriving"  #: something of it is still to come
    WAITING = "waiting"  #: a disk is absent or full; it goes on by itself
    HELD = "held"  #: a file is wrong, odd or in the way: somebody must look
    RECEIVED = "received"  #: all that was listed lies where it belongs


class StepState(StrEnum):
    """What became of a step of the reduction for one of its units."""

    PENDING = "pending"  #: to be done, perhaps not before a time
    RUNNING = "running"  #: it was begun
    DONE = "done"  #: it ended well, for the files that there were
    FAILED = "failed"  #: it went wrong, and is not tried again by itself
