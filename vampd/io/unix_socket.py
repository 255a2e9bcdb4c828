"""Sockets for the users of this machine: for a group, and what the others are told."""

from __future__ import annotations

import contextlib
import grp
import logging
import os
import pwd
import socket
import struct
from pathlib import Path

from msgspec import Struct

from vampd.errors import OperatorError

log = logging.getLogger(__name__)

_BACKLOG = 64
_OWNER_ALONE = 0o600
_OWNER_AND_GROUP = 0o660


class Peer(Struct, frozen=True, kw_only=True):
    """The process at the other end, as the kernel says (SO_PEERCRED, unix(7))."""

    pid: int
    uid: int


def listen(path: Path, group: str = "") -> socket.socket:
    """A socket at *path*, in place of a dead one, for this user and the members of *group*.

    Without a *group*, that of this process. A group that this user may not give is told, and the
    socket is for this process's own: nights go on without it. OperatorError: it cannot be made.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        os.fchmod(listener.fileno(), _OWNER_ALONE)  # bind gives the file this mode
        listener.bind(str(path))
        _give_to_group(path, group)
        path.chmod(_OWNER_AND_GROUP)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        msg = (
            f"{path}: {error.strerror}; the socket's folder must be there and writable: the unit"
            " of the service makes /run/vampd, elsewhere set control.socket"
        )
        raise OperatorError(msg) from error
    return listener


def connect(path: Path, *, seconds: float) -> socket.socket:
    """A connection to whoever listens at *path*; each word waits for at most *seconds*.

    OperatorError: this user may not; it says who may. OSError: nobody listens.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(seconds)
    try:
        connection.connect(str(path))
    except PermissionError as error:
        connection.close()
        raise OperatorError(_who_may(path)) from error
    except OSError:
        connection.close()
        raise
    return connection


def peer(connection: socket.socket) -> Peer:
    """Who is at the other end; for a listener that is who began to listen."""
    size = struct.calcsize("3i")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    pid, uid, _ = struct.unpack("3i", credentials)
    return Peer(pid=pid, uid=uid)


def user_name(uid: int) -> str:
    """How the machine calls the user."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def group_name(gid: int) -> str:
    """How the machine calls the group."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return f"gid {gid}"


def as_owner(path: Path) -> str:
    """How to give a command as the user to whom *path* belongs: the end of a sentence."""
    try:
        owner = user_name(path.stat().st_uid)
    except OSError:
        return "give the command as the daemon's user"
    return f"put `sudo -u {owner}` before the command"


def _who_may(path: Path) -> str:
    me = user_name(os.geteuid())
    try:
        group = path.stat().st_gid
    except OSError:
        return f"{me} may not reach the daemon: {path} is closed to this user; {as_owner(path)}"
    name = group_name(group)
    return f"{me} may not reach the daemon: {_join(me, group, name)}; or {as_owner(path)}"


def _join(me: str, group: int, name: str) -> str:
    with contextlib.suppress(KeyError):
        if me in grp.getgrgid(group).gr_mem:
            return f"you are in the group {name} from your next login on"
    return f"that is for the group {name} (sudo usermod -aG {name} {me}, then log in again)"


def _give_to_group(path: Path, group: str) -> None:
    if not group:
        return
    try:
        os.chown(path, -1, grp.getgrnam(group).gr_gid)
    except KeyError:
        log.error("control.group is %s, and this machine has no such group", group)  # noqa: TRY400
    except PermissionError:
        log.error(  # noqa: TRY400 - no traceback
            "control.group is %s, and %s is not in it: sudo usermod -aG %s %s, then restart vampd",
            group,
            user_name(os.geteuid()),
            group,
            user_name(os.geteuid()),
        )
