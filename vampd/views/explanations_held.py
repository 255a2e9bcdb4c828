"""Why a night may be held, and the words that all explanations share."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

NOBODY = "nobody"
OPERATOR = "an operator"
SITE = "whoever looks after the disks"


class Explanation(Struct, frozen=True, kw_only=True):
    """What is to be said of one rule. *safe*: what cannot be lost, where that is special."""

    because: str
    awaits: str
    who: str
    next_step: str  #: one line for a screen that is read at night
    command: str | None = None  #: exactly what to type, where something is
    safe: str | None = None


RETRY = "{retry}"
GIVE_UP = "{give_up}"
SHOW = "vampd show {name}"
RELEASE = "{release}"
BY_ITSELF = "Nothing else: it goes on by itself."


def held(because: str, decide: str, command: str) -> Explanation:
    """It waits for a person who is to *decide*, and then to type *command*."""
    return Explanation(
        because=because,
        awaits=f"It waits for a person: {decide}.",
        who=OPERATOR,
        next_step=f"{decide}; then: {command}",
        command=command,
    )


def _raw(because: str, mend: str, *, safe: str) -> Explanation:
    """A raw file that is not what it was: its bytes decide, and are read by vampd itself."""
    return Explanation(
        because=because,
        awaits="It waits until the recorded bytes lie there again, whatever their inode and time;"
        " then it goes on by itself. Before that a retry is refused. If they cannot be had any"
        " more, the file can be given up: its frames are lost, and the rest of the night goes on.",
        who=OPERATOR,
        next_step=f"{mend}, then: {RETRY}; or give the file up: {GIVE_UP}",
        command=RETRY,
        safe=safe,
    )


def _unseen(because: str, mend: str) -> Explanation:
    """Something is not taken: it is mended in its folder, or the night is taken as it is."""
    return Explanation(
        because=because,
        awaits="It waits for a person. Where it is mended, it goes on by itself.",
        who=OPERATOR,
        next_step=f"{mend}; or take the night as it is, without that: {RELEASE}",
        command=RELEASE,
        safe="vampd neither reads nor touches what it does not take",
    )


#: Holds, by the rule for their code.
HOLDS: Mapping[str, Explanation] = {
    "hold: restored": held(
        "It was restored: what vampd had made of it is deleted; its raw files are as they were.",
        "decide whether it shall be collected and processed anew",
        RELEASE,
    ),
    "hold: being restored": held(
        "A restore of it was begun and did not come to its end.",
        "finish the restore",
        "{restore}",
    ),
    "hold: raw changed": _raw(
        "A raw file is not the one that it was when the night was closed: {path}. While it"
        " is another file vampd neither goes on nor restores: the plan was made of the old one.",
        "put the old file back",
        safe="vampd never writes raw files; what was built of the old one is kept",
    ),
    "hold: raw gone": _raw(
        "A raw file that the plan needs is gone: {path}. Without it vampd neither goes on nor"
        " restores.",
        "put the file back",
        safe="vampd never deletes raw files; what was built of it is kept",
    ),
    "hold: raw unreadable": _raw(
        "A raw file that the plan needs cannot be read any more: {path}.",
        "mend its disk, or put a copy of the file in its place",
        safe="vampd never writes raw files; what was built of it is kept",
    ),
    "hold: earlier pipeline": Explanation(
        because="The earlier pipeline was at work in its folder, and vampd does nothing of it"
        " before somebody says whose night it is.",
        awaits="It waits for a person: adopt it as that pipeline's work, or have it done anew from"
        " its raw files (`{restore}`, then `{release}`).",
        who=OPERATOR,
        next_step="adopt it: vampd admin import-legacy; or do it anew: {restore}, then {release}",
        command="vampd admin import-legacy --dry-run",
    ),
    "hold: adopted": Explanation(
        because="The earlier pipeline processed it, and vampd took that over as it is: nothing of"
        " it was verified by vampd.",
        awaits="Nothing: vampd does nothing more of it, and no younger night waits for it.",
        who=NOBODY,
        next_step="nothing; to do it anew from its raw files: {restore}",
        command="{restore}",
        safe="what the earlier pipeline left is not touched",
    ),
    "hold: not rebuildable": held(
        "The proof that its raw files can be made again from what was delivered did not succeed."
        " Its raw files are here, and are not given back.",
        "find out what differs (vampd data rebuild-raw {name} --prove)",
        RELEASE,
    ),
    "hold: shadow": Explanation(
        because="This vampd runs as a shadow beside the earlier pipeline, and did of it all that a"
        " shadow does.",
        awaits="Nothing: it rests here.",
        who=NOBODY,
        next_step="nothing; to compare: vampd admin shadow-report {name}",
        command="vampd admin shadow-report {name}",
    ),
    "hold: quality": held(
        "More of its frames than the limits allow are lost, unmatched or dubious. What was decided"
        " of each is in the plan; nothing was built.",
        "look at it (vampd data summary {name}), and decide whether it shall go on as it is",
        RELEASE,
    ),
    "hold: trouble": held(
        "Something of it is as vampd never saw it, and the work with it went wrong twice in a way"
        " that nobody foresaw. All other nights go on.",
        "see what went wrong (the service's journal has all of it), and mend or report it",
        RELEASE,
    ),
    "hold: copies wrong": Explanation(
        because="Copies that were right once are not any more, or are not found at the far end, and"
        " vampd cannot or will not send them again by itself.",
        awaits="It waits for a person: see that the far disk is mounted, and that nobody moved the"
        " files; bring them back.",
        who=OPERATOR,
        next_step="mount the far disk, or bring the copies back (vampd data verify {name}); then:"
        " {retry}",
        command=RETRY,
        safe="vampd deletes nothing of it, here or there",
    ),
    "hold: records lost": held(
        "The ledger was made again from the nights' papers, and this night's are lost: nobody knows"
        " whose its frame IDs are.",
        "move away what its own words name, if it shall be processed anew",
        RELEASE,
    ),
    "hold: not taken": _unseen(
        "Something in its folder could be the cameras' data, and vampd does not take it: cubes are"
        " taken from vcam1/ and vcam2/ alone, as the cameras wrote and named them, and no link is"
        " followed.",
        "let it lie as the cameras would have written it: rename, unpack or move it, mount what a"
        " link leads to, or give the right to read it",
    ),
    "hold: folder away": Explanation(
        because="Its folder is not there, or is none, and files of it are known.",
        awaits="It waits until its folder is back under its name; then it goes on by itself.",
        who=OPERATOR,
        next_step="bring its folder back, under its name; to give it up: {abandon}",
        command=SHOW,
        safe="vampd deletes no folder of a night",
    ),
    "hold: another date": _unseen(
        "Not one of its cubes was taken near the date of its folder, by the cubes' own times.",
        "move them into the folder of their date",
    ),
    "hold: no cube": Explanation(
        because="Every cube of it is quarantined: nothing would be made of the night.",
        awaits="It waits for a person. What is mended is judged anew, and the night goes on by"
        " itself.",
        who=OPERATOR,
        next_step="see what is wrong, and mend it (vampd quarantine {name}); if nothing can be"
        " done, it ends as an empty night: {release}",
        command=RELEASE,
        safe="quarantined cubes lie where the cameras wrote them",
    ),
    "hold: order": held(
        "Somebody ordered that no more work of it be begun.",
        "decide whether the reason for the hold still stands",
        RELEASE,
    ),
}
