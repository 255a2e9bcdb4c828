"""Commands on another machine, by ssh, and what ssh's complaints mean."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from vampd.errors import OperatorError, RetryableError, VampdError
from vampd.remote.location import Location

#: ssh's own failure; every other status is the remote program's.
SSH_FAILED = 255

_ALIVE_INTERVAL_SECONDS = 15
_ALIVE_COUNT = 4

# "Name or service not known" is the resolver's word that there is no such name: a typing
# error far more often than a fault that heals. A resolver that is down says "Temporary failure
# in name resolution", and that passes by itself.
_REFUSAL = re.compile(
    r"""
      Host\ key\ verification\ failed
    | REMOTE\ HOST\ IDENTIFICATION\ HAS\ CHANGED
    | No\ .*\ host\ key\ is\ known\ for
    | Permission\ denied\ \(
    | Too\ many\ authentication\ failures
    | Could\ not\ resolve\ hostname\ .*:\ (?:Name\ or\ service\ not\ known|No\ address\ associated)
    | Unable\ to\ negotiate
    | Bad\ configuration\ option | bad\ configuration\ options | Bad\ owner\ or\ permissions
    | command-line:\ line
    | [Uu]nknown\ option | illegal\ option
    | Can't\ open\ user\ config\ file
    | administratively\ prohibited
    """,
    re.VERBOSE,
)


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


def refuses(stderr: str) -> bool:
    """Whether ssh complained of what only a person can mend.

    A wrong or unknown host key, a refused login, an unknown host name, a bad option.
    """
    return _REFUSAL.search(stderr) is not None


def classify(code: int, stderr: str) -> type[VampdError]:
    """Who must act when ssh, or what it ran, ended with *code* other than 0.

    ssh's own failures but those that `refuses` knows are the network's: unreachable,
    refused, reset, closed, timed out. A remote program ended by a signal (128 and above)
    may do better next time; any other status of it will be the same again.
    """
    if code == SSH_FAILED:
        return OperatorError if refuses(stderr) else RetryableError
    return RetryableError if code < 0 or code >= 128 else OperatorError
