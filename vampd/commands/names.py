"""What commands there are, and what the lists of commands say of each: nothing is imported for it.

What an operator types on duty stands alone; all else stands in a group (`vampd space reclaim`).
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

_LOOK = {
    "status": "Where every night is.",
    "tui": "The nights on a full screen, with the orders that let them go on.",
    "watch": "Watch cubes arrive, live.",
    "show": "All that is known of a night.",
    "explain": "Why a night is where it is, and what to type.",
    "log": "What happened, when, by whom, and why.",
    "wait": "Wait until a night is safe, or cannot be without somebody.",
    "check": "Say in one line whether all is well; for Nagios and Icinga.",
}
_DECIDE = {
    "close": "Say that a night is over.",
    "retry": "Resume a night that failed, waits or is held.",
    "hold": "Stop a night until it is released.",
    "release": "Let a held night go on.",
    "quarantine": "List a night's bad files, and decide about them.",
    "restore": "Forget a night's derived files; keep its raw ones.",
    "abandon": "Give a night up; keep its raw files.",
}


class CommandGroup(Struct, frozen=True, kw_only=True):
    """*said*: what the list of commands says of the group; *commands*: what is in it.

    *package*: with a module for each of them.
    """

    said: str
    commands: Mapping[str, str]
    package: str = "vampd.commands"


GROUPS: Mapping[str, CommandGroup] = {
    "data": CommandGroup(
        said="A night's frames and files, closely: list, count, follow, prove.",
        commands={
            "summary": "What a night came to, minute by minute.",
            "files": "The files of a night.",
            "trace": "Follow a frame from an output to its raw file, and back.",
            "headers": "Header cards of a night's files as a table.",
            "audit": "Prove that every frame of a night is in exactly one place.",
            "verify": "Compute every digest of a night afresh, here and at the far end.",
            "report": "A night as one HTML file.",
            "rebuild-raw": "Make raw files again, bit for bit, from what was delivered.",
        },
    ),
    "space": CommandGroup(
        said="Disk space: give it back, keep a night, put files back.",
        commands={
            "reclaim": "Give space back, or say what could go and why the rest may not.",
            "keep": "Keep a night's files on this machine, or no longer (--no).",
            "undelete": "Put a night's files back from the trash.",
        },
    ),
    "archive": CommandGroup(
        said="The archive team: manifests, their word, frame IDs.",
        commands={
            "manifest": "Print a night's manifest, or mail it to the archive team.",
            "ack": "Record that the archive has a night's files.",
            "ids": "Frame IDs: see them, prove them, decide what is unclear.",
        },
    ),
    "admin": CommandGroup(
        said="The daemon, its site, and the earlier pipeline.",
        commands={
            "run": "The daemon.",
            "doctor": "Check everything that vampd needs.",
            "config": "Check or show the settings.",
            "page": "The nights in a browser.",
            "metrics": "The ledger in numbers; for Prometheus.",
            "hooks": "How the site's own commands ended, which run once a night is safe.",
            "completion": "Print the script for a shell's completion.",
            "migrate": "Bring the ledger to this version's schema.",
            "rebuild-db": "Make a lost ledger again from the nights' papers.",
            "demo": "See a whole simulated night go through.",
            "simulate": "Write a night as the cameras do.",
            "import-legacy": "Take over what the earlier pipeline left.",
            "shadow-report": "How the earlier pipeline's result differs from the plan.",
        },
    ),
    "receive": CommandGroup(
        said="The receiving end, on the far machine: verify nights, move them on, reduce them.",
        commands={
            "run": "The receiver.",
            "status": "Where every delivered night is.",
            "show": "All that is known of a delivered night.",
            "log": "What happened to it, when, by whom, and why.",
            "retry": "Read again what was wrong, and look for what is missing.",
            "reprocess": "Let steps of the reduction be done again, for nights in a file.",
            "unpack": "Unpack cubes, each proved; for steps that do not read them packed.",
            "check": "Say in one line whether all is well; for Nagios and Icinga.",
            "doctor": "Check everything that the receiver needs.",
            "config": "Show the receiver's settings.",
            "metrics": "The receiver's ledger in numbers; for Prometheus.",
        },
        package="vampd.commands.receive",
    ),
}

#: What `vampd --help` lists, under its headings.
LISTED: Mapping[str, Mapping[str, str]] = {
    "Look": _LOOK,
    "Decide about a night": _DECIDE,
    "More, in groups (vampd GROUP --help)": {name: of.said for name, of in GROUPS.items()},
}

#: Every command by all of its words, with what is said of it.
COMMANDS: Mapping[str, str] = {
    **_LOOK,
    **_DECIDE,
    **{
        f"{group} {name}": said
        for group, of in GROUPS.items()
        for name, said in of.commands.items()
    },
}

#: What a command was called in 0.1, with what it is called now. Accepted for one version.
MOVED: Mapping[str, tuple[str, ...]] = {
    **{
        name: (group, name)
        for group, of in GROUPS.items()
        for name in of.commands
        if group != "receive"
    },
    "unkeep": ("space", "keep", "--no"),
}


def nearest(typed: str) -> list[str]:
    """The commands and groups whose last word is like the last one of *typed*."""
    import difflib  # late: `vampd status` is to start fast

    by_word: dict[str, list[str]] = {}
    for name in (*(name for name in COMMANDS if not name.startswith("receive ")), *GROUPS):
        by_word.setdefault(name.rpartition(" ")[2], []).append(name)
    words = difflib.get_close_matches(typed.rpartition(" ")[2], by_word, n=3)
    return [name for word in words for name in by_word[word]]
