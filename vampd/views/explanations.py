"""Every state of a night and every cause of it: why, what is awaited, who must act, what to type.

A table, so that what is missing in it can be counted. In its texts stand `{name}` for the night
as a command takes it, `{stage}`, `{unit}`, `{due}`, `{path}`, `{older}` and `{root}`; and an order
by its name in `vampd.allowed`, as it is typed for that night: `{retry}`, `{release}`.
"""

from __future__ import annotations

from collections.abc import Mapping

from vampd.states import ErrorClass, NightStatus, Stage
from vampd.views.explanations_held import (
    BY_ITSELF,
    HOLDS,
    NOBODY,
    OPERATOR,
    RETRY,
    SHOW,
    SITE,
    Explanation,
    held,
)
from vampd.views.explanations_of_failures import OF_FAILURES


def _failed(because: str, mend: str) -> Explanation:
    return Explanation(
        because=because,
        awaits=f"The same work would fail again until somebody acts: {mend}.",
        who=OPERATOR,
        next_step=f"{mend}; then: {RETRY}",
        command=RETRY,
    )


def _waiting(because: str, awaits: str, mend: str | None = None) -> Explanation:
    return Explanation(
        because=because,
        awaits=f"It waits for {awaits}. {BY_ITSELF}"
        if mend is None
        else f"It waits for {awaits}; then it goes on by itself.",
        who=NOBODY if mend is None else SITE,
        next_step=mend or f"nothing: it waits for {awaits}",
    )


def _tried_again(because: str) -> Explanation:
    return Explanation(
        because=because,
        awaits="It is tried again{due}, for ever, ever more rarely up to an hour apart.",
        who=NOBODY,
        next_step=f"nothing: it is tried again{{due}}; at once: {RETRY}",
        command=RETRY,
    )


#: What a failing stage was about, and what mends it, where the same failure came twice.
MENDING: Mapping[Stage, tuple[str, str]] = {
    Stage.SYNC: (
        "the plan of its output cubes could not be made from timing files and headers",
        "see `vampd show {name}`; if one cube is to blame: {add}",
    ),
    Stage.FRAME_IDS: (
        "its frame IDs could not be reserved",
        "mend the settings or the issuer of frame IDs that the words name",
    ),
    Stage.BUILD: (
        "an output could not be made, or did not read back as its raw frames",
        "mend what the words name: a folder's rights, a program, a raw disk",
    ),
    Stage.MANIFEST: (
        "its manifest or its papers could not be written",
        "mend what the words name: a folder's rights, a name that cannot stand in a list",
    ),
    Stage.TRANSFER: (
        "the other machine refused its files",
        "make the folder, or mend rights, key, host or settings there (vampd admin doctor)",
    ),
    Stage.VERIFY: (
        "the other machine refused to be asked, or what lies there stays wrong",
        "look at the files there that the words name (vampd data verify {name})",
    ),
}

_AT_REST: dict[str, Explanation] = {
    NightStatus.COLLECTING: Explanation(
        because="Files of the cameras are arriving, or may still come.",
        awaits="It is closed when nothing changed for a while and its UTC date is over.",
        who=NOBODY,
        next_step="nothing; to close it now: {close}",
        command="{close}",
    ),
    NightStatus.READY: _waiting(
        "It is closed, and its first work is due.", "a worker that has time for it"
    ),
    NightStatus.RUNNING: _waiting("Work on it goes on, stage by stage.", "the end of that work"),
    NightStatus.SAFE: Explanation(
        because="Every file that vampd sends was found at the far end, by a digest recomputed over"
        " the bytes that lie there.",
        awaits="Nothing is left to do for it.",
        who=NOBODY,
        next_step="nothing",
        safe="all that is sent was verified at the far end",
    ),
    NightStatus.RECLAIMED: Explanation(
        because="It was safe at the far end, and its space here was given back.",
        awaits="Nothing is left to do for it.",
        who=NOBODY,
        next_step="nothing",
        safe="the copies that were verified at the far end",
    ),
    NightStatus.EMPTY: Explanation(
        because="It was closed without one cube that could be used; quarantined ones, if any, lie"
        " where the cameras wrote them.",
        awaits="If files come it collects again, by itself.",
        who=NOBODY,
        next_step="nothing, unless it should not be empty: vampd show {name}",
        command=SHOW,
    ),
    NightStatus.ABANDONED: Explanation(
        because="An operator gave it up; its raw files lie where the cameras wrote them, and later"
        " nights do not wait for it.",
        awaits="Nothing: no more work is done for it.",
        who=NOBODY,
        next_step="nothing; to do it after all: {restore}, then {release}",
        command="{restore}",
    ),
}

_COLLECTING: dict[str, Explanation] = {
    "collecting: date": Explanation(
        because="Its UTC date is not over, and the cameras may write until then and after.",
        awaits="It waits for the end of that date, a grace, and quiet.",
        who=NOBODY,
        next_step="nothing; to close it now: {close}",
        command="{close}",
    ),
    "collecting: quiet": Explanation(
        because="Something in its folder changed a short while ago.",
        awaits="It waits until nothing changes any more for as long as `night.quiet_minutes` says.",
        who=NOBODY,
        next_step="nothing; to close it now: {close}",
        command="{close}",
    ),
    "collecting: look": _waiting(
        "It looks finished.", "one more look that finds the same, within a scan's time"
    ),
    "collecting: settle": _waiting(
        "It is over but for files that were still changing when last looked at.",
        "those files to stay as they are for `night.settle_seconds`",
    ),
    "collecting: unread": _waiting(
        "It is over, and the headers and timing files of its last cubes are being read.",
        "the end of that reading",
    ),
}

_STOPPED: dict[str, Explanation] = {
    "root absent": Explanation(
        because="The disk that bears it is not there, or is another one than it was: vampd reads,"
        " writes and takes for empty nothing of it.",
        awaits="It waits for the disk; then it goes on by itself.",
        who=SITE,
        next_step="mount the disk; it goes on by itself. Never copy the marker onto another one",
        safe="vampd touches nothing below that root",
    ),
    "root unknown": Explanation(
        because="Its root {root} is not in the settings (`[[roots]]`), so nobody looks whether its"
        " disk is there: vampd reads, writes and takes for empty nothing of it.",
        awaits="It waits until the root stands in the settings again; then it goes on by itself.",
        who=OPERATOR,
        next_step="put its root back into the settings, then: systemctl reload vampd; or give the"
        " night up: {abandon}",
        safe="vampd touches nothing below that root",
    ),
    "disk low": Explanation(
        because="The disk has less free space than is kept for the cameras (`disk.keep_free_gb`),"
        " and nothing of its nights is read or begun.",
        awaits="It waits for room; then it goes on by itself.",
        who=SITE,
        next_step="make room on that disk; it goes on by itself (a retry would wait as well)",
    ),
    "builders": Explanation(
        because="Its cubes are read and built by builders on other hosts (`workers.executor` is"
        " dask), and none can be had: {why}.",
        awaits=f"It waits for one. {BY_ITSELF}",
        who=SITE,
        next_step="vampd admin doctor names the scheduler and the builders; begin them there",
        command="vampd admin doctor",
    ),
    "trouble": _waiting(
        "Something of it is as vampd never saw it, and the work with it went wrong in a way that"
        " nobody foresaw. All other nights go on.",
        "the next attempt, some seconds later; the same again holds the night",
    ),
    "raw unread": _waiting(
        "Every raw file is read through once, for its digest, before anything is planned.",
        "the end of that reading",
    ),
    "raw again": _waiting(
        "Raw files lie there with another inode or time than when it was closed: put back from a"
        " copy, or with the whole disk. Their bytes decide whether they are the recorded ones.",
        "the end of reading them through once",
    ),
    "begun": _waiting(
        "It is over, and parts of it were begun while it went on.", "the end of that work"
    ),
    "older night": Explanation(
        because="Frame IDs are dealt in the order of the dates, and archive {older} stands before"
        " it, which is {older_status}.",
        awaits=f"It waits until that night has its IDs, or is empty or abandoned. {BY_ITSELF}",
        who=NOBODY,
        next_step="nothing: the older night goes first; vampd explain {older} --kind archive",
        command="vampd explain {older} --kind archive",
    ),
    "older night stuck": Explanation(
        because="Frame IDs are dealt in the order of the dates, and archive {older} stands before"
        " it, which is {older_status}.",
        awaits="It waits until that night has its IDs, or is empty or abandoned.",
        who=OPERATOR,
        next_step="finish the older night: vampd explain {older} --kind archive",
        command="vampd explain {older} --kind archive",
    ),
}

_OF_TROUBLE: dict[str, Explanation] = {
    "far disk": Explanation(
        because="The far folder does not lie on the disk to which nights were delivered: its marker"
        " is missing, or another. It is not mounted, perhaps. Nothing is sent there, and nothing"
        " that lies there counts as verified.",
        awaits="It waits for that disk, and is tried again{due}.",
        who=SITE,
        next_step="mount the far disk; was it changed on purpose: vampd admin doctor --claim; what"
        f" waits for it goes on by itself; at once: {RETRY}",
        command="vampd admin doctor",
        safe="nothing was written to what is there instead of that disk",
    ),
    "not plain": held(
        "A symbolic link, a pipe or a device lies in the night's folder where vampd's own files, or"
        " the cameras', belong. vampd reads, writes and deletes nothing through it.",
        "look at it; put there what it leads to (a mount will do), or move it away",
        RETRY,
    ),
}

_OF_CLASS: dict[tuple[NightStatus, ErrorClass | None], Explanation] = {
    (NightStatus.WAITING, ErrorClass.TRANSIENT): _tried_again(
        "Its {stage} met a fault of the network or of the other machine, which passes."
    ),
    (NightStatus.WAITING, ErrorClass.RESOURCE): Explanation(
        because="Space, memory or file descriptors were short on this machine during its {stage}.",
        awaits="It is tried again{due}; nothing partial was left under a final name.",
        who=SITE,
        next_step=f"make room on this machine; it is tried again{{due}}; at once: {RETRY}",
        command=RETRY,
    ),
    (NightStatus.WAITING, ErrorClass.DETERMINISTIC): Explanation(
        because="Its {stage} failed; if it fails in the same way once more, it is given up.",
        awaits="It is tried once more{due}.",
        who=NOBODY,
        next_step=f"nothing yet: it is tried once more{{due}}; at once: {RETRY}",
        command=RETRY,
    ),
    (NightStatus.WAITING, ErrorClass.INPUT): _tried_again(
        "A raw file was bad in its {stage}; it is set aside, and the work begun anew."
    ),
    (NightStatus.WAITING, ErrorClass.AMBIGUOUS): _tried_again(
        "It cannot be told what became of its {stage}; what can be found out is asked again."
    ),
    (NightStatus.WAITING, ErrorClass.INTEGRITY): _tried_again(
        "Bytes were not what they were recorded to be in its {stage}; it is looked at again."
    ),
    (NightStatus.WAITING, None): _tried_again("Its {stage} was interrupted."),
    (NightStatus.FAILED, ErrorClass.TRANSIENT): _failed(
        "Its {stage} was given up after a fault of the network or of the other machine.",
        "see that the other machine answers (vampd admin doctor)",
    ),
    (NightStatus.FAILED, ErrorClass.RESOURCE): _failed(
        "Its {stage} was given up because this machine is short of something.",
        "make room on this machine (vampd admin doctor)",
    ),
    (NightStatus.FAILED, ErrorClass.INPUT): _failed(
        "Its {stage} was given up because of a raw file that is bad.",
        "see `vampd quarantine {name}` for the file",
    ),
    (NightStatus.FAILED, ErrorClass.AMBIGUOUS): _failed(
        "Its {stage} was given up: nobody can tell what happened.",
        "find out what happened, see `vampd show {name}`",
    ),
    (NightStatus.FAILED, ErrorClass.INTEGRITY): _failed(
        "Its {stage} was given up: bytes are not what they were recorded to be.",
        "find out who changed them, see `vampd data audit {name} --digests`",
    ),
    (NightStatus.FAILED, None): _failed(
        "Its {stage} was given up.", "see `vampd show {name}` and the journal"
    ),
    (NightStatus.HELD, ErrorClass.TRANSIENT): held(
        "Its {stage} was stopped by a passing fault.", "see that the fault has passed", RETRY
    ),
    (NightStatus.HELD, ErrorClass.RESOURCE): held(
        "Its {stage} was stopped because this machine is short of something.",
        "make room on this machine",
        RETRY,
    ),
    (NightStatus.HELD, ErrorClass.INPUT): held(
        "A raw file can no longer be read, though outputs of it are planned. The outputs that do"
        " not need it were made; the others wait.",
        "mend the disk or bring the file back; or give up the file that the words name: {give_up}",
        RETRY,
    ),
    (NightStatus.HELD, ErrorClass.DETERMINISTIC): held(
        "Its {stage} was stopped by a fault that stays.", "mend what the words name", RETRY
    ),
    (NightStatus.HELD, ErrorClass.AMBIGUOUS): Explanation(
        because="Frame IDs were asked for, and it is unclear which were dealt. What was dealt"
        " cannot be given back, so vampd does not ask again without a person's word.",
        awaits="It waits for a person, who says which were dealt, or writes them off.",
        who=OPERATOR,
        next_step="look: vampd archive ids show {name}; then either: {adopt}; or: {void}",
        command="vampd archive ids show {name}",
    ),
    (NightStatus.HELD, ErrorClass.INTEGRITY): held(
        "Bytes are not what they were recorded to be in its {stage}. What is wrong is kept as it"
        " is, and nothing was written over it.",
        "find out who changed the file that the words name, and put the old one back",
        RETRY,
    ),
    (NightStatus.HELD, None): held(
        "Its {stage} was stopped.", "see why (vampd show {name})", RETRY
    ),
}

_IDS_UNCLEAR = Explanation(
    because="Frame IDs were asked for, and it is unclear which were dealt. vampd does not ask again"
    " without a person's word, for numbers cannot be given back.",
    awaits="It waits for a person: find out which were dealt (`vampd archive ids show {name}`),"
    " then adopt them, or write them off.",
    who=OPERATOR,
    next_step="look: vampd archive ids show {name}; then either: {adopt}; or: {void}",
    command="vampd archive ids show {name}",
)

#: Where neither the status nor the cause is one that this version knows: nothing is guessed.
UNKNOWN = "unknown"

EXPLANATIONS: Mapping[str, Explanation] = {
    **{str(status): found for status, found in _AT_REST.items()},
    **_COLLECTING,
    **_STOPPED,
    **HOLDS,
    **_OF_TROUBLE,
    **OF_FAILURES,
    **{f"{status}: {of or 'no class'}": found for (status, of), found in _OF_CLASS.items()},
    **{
        f"failed: {stage}": _failed(f"Twice the same: {what}.", mend)
        for stage, (what, mend) in MENDING.items()
    },
    "held: frame IDs unclear": _IDS_UNCLEAR,
    UNKNOWN: Explanation(
        because="Its cause is none that this version has words for.",
        awaits="Whether it goes on by itself cannot be told from here.",
        who=OPERATOR,
        next_step="look at it: vampd show {name}",
        command=SHOW,
    ),
}
