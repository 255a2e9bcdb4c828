"""What `vampd admin doctor` says of rights: who may open the state directory and sockets."""

from __future__ import annotations

import grp
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from vampd.io.private import FILE_MODE, FOLDER_MODE, too_open
from vampd.io.unix_socket import group_name, user_name
from vampd.ledger.reading import DATABASES
from vampd.ledger.write_ahead import too_long
from vampd.settings.sections import Config

Trouble: TypeAlias = tuple[str, str]
"""What is amiss, and the next step."""


def closed_to_me(folder: Path) -> Trouble | None:
    """That this user may not enter the state directory, so that it cannot be examined."""
    if os.access(folder, os.R_OK | os.X_OK):
        return None
    owner, me = user_name(folder.stat().st_uid), user_name(os.geteuid())
    return (
        f"{folder} is {owner}'s alone, and this is {me}",
        f"it is {owner}'s rights that count: sudo -u {owner} vampd admin doctor",
    )


def troubles(config: Config) -> Iterator[Trouble]:
    """What others may open that they should not, and what they cannot reach that they should."""
    for each in too_open(config.state_dir):
        mode = FOLDER_MODE if each.path.is_dir() else FILE_MODE
        what = f"{each.path} is open to other users (mode {each.mode:04o}): they can lock it"
        if each.stranger:
            yield (
                f"{what}; it holds {each.stranger}, not vampd's",
                "set state_dir to a folder of its own",
            )
        else:
            yield what, f"chmod {mode:o} {each.path}, or restart vampd, which does that"
    yield from _group(config.socket, config.control.group)
    for name in DATABASES.values():
        if told := too_long(config.state_dir / name):
            yield told, "end who reads it; vampd's own readers end by themselves"


def _group(socket: Path, group: str) -> Iterator[Trouble]:
    if not group:
        return
    try:
        wanted = grp.getgrnam(group).gr_gid
    except KeyError:
        yield f"control.group is {group}, and this machine has no such group", f"groupadd {group}"
        return
    try:
        found = socket.stat()
    except OSError:
        return  # no daemon runs, which is told elsewhere
    if found.st_gid != wanted:
        owner = user_name(found.st_uid)
        yield (
            f"{socket} is for the group {group_name(found.st_gid)}, and control.group is {group}",
            f"usermod -aG {group} {owner}, then systemctl restart vampd",
        )
