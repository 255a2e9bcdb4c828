"""Look at what is not taken: folders of unknown names, and whatever is no file.

Nothing is opened but folders, and no link is followed. However much lies there, a look is short.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from vampd.io.beneath import Beneath, entries, link_target, night_folder
from vampd.layout import OUTPUTS_SET_ASIDE
from vampd.watch.naming import Role, printable
from vampd.watch.scan import FolderSnapshot
from vampd.watch.unseen import Entry, Form, Lie

_MOST_ENTRIES = 2000  # of one night, beside the cameras' own folders: 10 ms
_MOST_DEPTH = 5


def survey(folder: Path, seen: FolderSnapshot) -> Lie:
    """All that one look at a night saw and nobody takes, and what lies below unknown folders."""
    walk = _Walk(night_folder(folder))
    walk.unreadable |= seen.why_unread
    for path, file in sorted(seen.files.items()):
        if path == OUTPUTS_SET_ASIDE or file.role is not Role.OTHER:
            continue
        walk.add(path, file.mode, file.identity.size_bytes)
    return walk.lie()


def survey_below(folder: Beneath) -> Lie:
    """All that lies in a folder that is no night."""
    walk = _Walk(folder)
    walk.go_through("")
    return walk.lie()


def form_of(mode: int) -> Form:
    """What sort of thing has this mode."""
    return _FORMS.get(stat.S_IFMT(mode), Form.DEVICE)


_FORMS = {
    stat.S_IFREG: Form.FILE,
    stat.S_IFDIR: Form.FOLDER,
    stat.S_IFLNK: Form.LINK,
    stat.S_IFIFO: Form.PIPE,
    stat.S_IFSOCK: Form.SOCKET,
}


class _Walk:
    """What was found so far below one folder."""

    def __init__(self, folder: Beneath) -> None:
        self._folder = folder
        self._entries: list[Entry] = []
        self.unreadable: dict[str, str] = {}
        self._is_cut = False

    def lie(self) -> Lie:
        return Lie(entries=tuple(self._entries), unreadable=self.unreadable, is_cut=self._is_cut)

    def add(self, path: str, mode: int, size_bytes: int) -> None:
        """Keep one entry, and what lies below it."""
        form = form_of(mode)
        size = size_bytes if form is Form.FILE else 0
        target = self._target(path) if form is Form.LINK else ""
        self._entries.append(Entry(path=printable(path), form=form, size_bytes=size, target=target))
        if form is Form.FOLDER and "\\" in path:
            self.unreadable[path] = "its name cannot be told in one line"
        elif form is Form.FOLDER:
            self.go_through(path)

    def go_through(self, path: str) -> None:
        """Keep what lies in a folder, as far as a look goes."""
        if path.count("/") >= _MOST_DEPTH:
            self._is_cut = True
            return
        try:
            for entry in entries(self._folder / path if path else self._folder):
                if len(self._entries) >= _MOST_ENTRIES:
                    self._is_cut = True
                    return
                self._add_entry(f"{path}/{entry.name}" if path else entry.name, entry)
        except FileNotFoundError:
            pass  # it went while we looked
        except OSError as error:
            self.unreadable[printable(path) or "."] = error.strerror or str(error)

    def _add_entry(self, path: str, entry: os.DirEntry[str]) -> None:
        try:
            found = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return
        except OSError as error:
            self.unreadable[printable(path)] = error.strerror or str(error)
            return
        self.add(path, found.st_mode, found.st_size)

    def _target(self, path: str) -> str:
        try:
            return printable(str(link_target(self._folder / path)))
        except OSError:
            return ""
