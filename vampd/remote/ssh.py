"""Commands on another machine, by ssh."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from vampd.remote.location import Location

_ALIVE_INTERVAL_SECONDS = 15
_ALIVE_COUNT = 4


def ssh_options(options: Sequence[str], *, connect_timeout_seconds: int) -> list[str]:
    """The words between `ssh` and the host.

    ssh takes the first value it sees. First stand BatchMode, for a question would never be
    answered, and StrictHostKeyChecking: a host counts only with a key that is known already. Then
    *options* (the operator's, as given to ssh); then our defaults, which end a silent connection
    after a minute. ControlPath=none: a master connection has its own deadlines, and would outlive
    ours.
    """
    return [
        *("-T", "-x", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"),
        *options,
        *("-o", f"ConnectTimeout={connect_timeout_seconds}"),
        *("-o", f"ServerAliveInterval={_ALIVE_INTERVAL_SECONDS}"),
        *("-o", f"ServerAliveCountMax={_ALIVE_COUNT}"),
        *("-o", "ControlPath=none"),
        *("-o", "ClearAllForwardings=yes"),
    ]


def ssh_command(
    place: Location, remote: Sequence[str], *, options: Sequence[str], connect_timeout_seconds: int
) -> list[str]:
    """Run the words *remote* on the machine of *place*, or here when it is here.

    The far login shell sees each word quoted, whatever is in it.
    """
    if place.host is None:
        return list(remote)
    before = ssh_options(options, connect_timeout_seconds=connect_timeout_seconds)
    return ["ssh", *before, "--", place.host, shlex.join(remote)]
