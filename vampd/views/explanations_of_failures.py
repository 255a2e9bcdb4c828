"""What went wrong, where it is known as a code: at the far end, on the way there, or here."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from vampd.states import ErrorCode, NightStatus
from vampd.views.explanations_held import (
    NOBODY,
    OPERATOR,
    RETRY,
    SITE,
    Explanation,
    held,
)


class Known(Struct, frozen=True, kw_only=True):
    """A failure that is known: *mend* is what somebody has to do; None: it passes by itself."""

    because: str
    mend: str | None
    who: str = OPERATOR
    passes: bool = False  #: it is tried again, for ever
    fails: bool = True  #: the same twice is given up


#: By code: what is wrong, and what mends it.
KNOWN: Mapping[ErrorCode, Known] = {
    ErrorCode.NO_FOLDER: Known(
        because="A folder that its files go to, or lie in, is not there at the far end.",
        mend="make that folder there, or correct the destination in the settings (vampd admin"
        " doctor)",
    ),
    ErrorCode.NO_RIGHTS: Known(
        because="The account at the far end, or its key, may not do there what is needed.",
        mend="mend the owner, mode or mount of what the words name, or the key's folders in"
        " authorized_keys there",
    ),
    ErrorCode.HOST_KEY: Known(
        because="The other machine shows a host key that is not the one known here, or none is"
        " known. It may be another machine; nothing was sent to it.",
        mend="ask whoever runs that machine whether its key is new; if so, put it into known_hosts"
        " of vampd's account (vampd admin doctor)",
    ),
    ErrorCode.NO_NAME: Known(
        because="The name of the other machine cannot be resolved to an address.",
        mend="correct the host in the settings, or mend the name service (getent hosts NAME)",
        passes=True,
    ),
    ErrorCode.UNREACHABLE: Known(
        because="The other machine cannot be reached: it refuses, is silent, or the connection to"
        " it broke.",
        mend=None,
        passes=True,
        fails=False,
    ),
    ErrorCode.LOGIN: Known(
        because="The other machine does not let vampd in.",
        mend="put the public key of vampd's account into authorized_keys there, or correct user and"
        " key in the settings: ssh.options (vampd admin doctor)",
    ),
    ErrorCode.FAR_FULL: Known(
        because="The disk at the far end is full, or a quota there.",
        mend="make room at the far end",
        who=SITE,
        passes=True,
        fails=False,
    ),
    ErrorCode.IN_THE_WAY: Known(
        because="Something else lies at the far end where a file or folder of the night belongs."
        " vampd touches nothing that it did not put there.",
        mend="look at what the words name, find out whose it is, and move it away",
    ),
    ErrorCode.NO_PROGRAM: Known(
        because="A program that is needed is not installed where the words say.",
        mend="install it there (vampd admin doctor names what is missing)",
    ),
    ErrorCode.FULL_HERE: Known(
        because="A disk of this machine has no room for what is to be written, or would have less"
        " than is kept for the cameras. Nothing partial was left under a final name.",
        mend="make room on the disk that the words name",
        who=SITE,
        passes=True,
        fails=False,
    ),
    ErrorCode.RIGHTS_HERE: Known(
        because="The account of vampd may not read or write on this machine what the words name.",
        mend="mend its owner or mode (vampd admin doctor)",
    ),
}


def _waiting(known: Known) -> Explanation:
    if known.mend is None:
        return Explanation(
            because=known.because,
            awaits="It is tried again{due}, for ever, ever more rarely up to an hour apart.",
            who=NOBODY,
            next_step="nothing: it is tried again{due}; if it lasts: vampd admin doctor; at once:"
            f" {RETRY}",
            command=RETRY,
        )
    until = "" if known.passes else "; the same once more gives it up"
    return Explanation(
        because=known.because,
        awaits=f"It is tried again{{due}}{until}.",
        who=known.who,
        next_step=f"{known.mend}; it is tried again{{due}}; at once: {RETRY}",
        command=RETRY,
    )


def _failed(known: Known) -> Explanation:
    return Explanation(
        because=known.because,
        awaits=f"The same work would fail again until somebody acts: {known.mend}.",
        who=known.who,
        next_step=f"{known.mend}; then: {RETRY}",
        command=RETRY,
    )


def _held(known: Known) -> Explanation:
    return held(known.because, known.mend or "", RETRY)


#: By rule: the night's status and the code.
OF_FAILURES: Mapping[str, Explanation] = {
    **{f"{NightStatus.WAITING}: {code}": _waiting(known) for code, known in KNOWN.items()},
    **{
        f"{NightStatus.FAILED}: {code}": _failed(known)
        for code, known in KNOWN.items()
        if known.fails
    },
    f"{NightStatus.HELD}: {ErrorCode.IN_THE_WAY}": _held(KNOWN[ErrorCode.IN_THE_WAY]),
}
