"""Where files lie: a folder here, or one on another machine."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from msgspec import Struct

from vampd.errors import ConfigError

# A host that began with '-' would be read as an option by ssh and rsync.
_HOST = r"(?:[A-Za-z0-9_][A-Za-z0-9._-]*@)?(?:[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])"
_PLACE = re.compile(rf"(?:({_HOST}):)?(/[\x20-\x7e]*)")


class Location(Struct, frozen=True, kw_only=True):
    """An absolute folder *path* on *host*; a *host* of None is this machine.

    *host* is what ssh takes: a name or address, perhaps with `user@` before it.
    """

    path: str
    host: str | None = None
    scheme: str = ""  #: what kind of place it is: see `vampd.remote.table`; "": a folder

    @classmethod
    def parse(cls, text: str) -> Location:
        """Read `/folder`, `host:/folder`, `user@host:/folder` or `[address]:/folder`.

        ConfigError: anything else. Only printable ASCII is taken: error messages of the
        far programs quote other characters in ways that differ by version.
        """
        match = _PLACE.fullmatch(text)
        if match is None:
            msg = f"{text!r} is not a place: write /folder or host:/folder (printable ASCII)"
            raise ConfigError(msg)
        host, path = match.groups()
        return cls(
            path=_clean(path, text),
            host=host.replace("[", "").replace("]", "") if host else None,
        )

    def child(self, relative: str) -> Location:
        """The folder or file *relative* below this one. ConfigError: it is not below."""
        if relative.startswith("/") or not relative:
            msg = f"{relative!r} is not below {self}"
            raise ConfigError(msg)
        return Location.parse(
            str(Location(path=f"{self.path.rstrip('/')}/{relative}", host=self.host))
        )

    def __str__(self) -> str:
        """As rsync and the configuration write it; `parse` reads it back."""
        if self.host is None:
            return self.path
        user, at, name = self.host.rpartition("@")
        return f"{user}{at}[{name}]:{self.path}" if ":" in name else f"{self.host}:{self.path}"


def _clean(path: str, text: str) -> str:
    if ".." in PurePosixPath(path).parts:
        msg = f"{text!r} is not a place: '..' is not allowed"
        raise ConfigError(msg)
    return "/" + "/".join(part for part in path.split("/") if part not in {"", "."})
