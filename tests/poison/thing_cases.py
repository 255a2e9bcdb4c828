"""What is no regular file, and cubes under names that no camera gives."""

from __future__ import annotations

import gzip
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.poison.case import Case, Unseen
from tests.poison.place import Make, Place


def things() -> Iterator[Case]:
    """What is no regular file, or cannot be opened: nobody takes it, and it is told."""

    def instead(of: str, make: Make, told: str, name: str) -> Case:
        return Case(name=f"{name} as {of}", make=make, expected=Unseen(told))

    def odd(of: str, thing: str) -> Make:
        def make(place: Place) -> None:
            place.write()
            path = place.cube if of == "cube" else place.timing
            path.unlink()
            _THINGS[thing](path)

        return make

    for thing in _THINGS:
        if thing in _DEVICES and os.geteuid() != 0:
            continue
        for of, ending in (("cube", "fits"), ("timing", "txt")):
            told = rf"vcam1/{{stem}}\.{ending}.* is a {_TOLD_AS.get(thing, thing)}"
            yield instead(of, odd(of, thing), told, thing)


_TOLD_AS = {
    "link": "symbolic link",
    "dangling link": "symbolic link",
    "looping link": "symbolic link",
    "link to a device": "symbolic link",
    "character device": "device",
    "block device": "device",
}


def _a_socket(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(f"/proc/self/fd/{folder}/{path.name}")  # a whole path may be too long
    os.close(folder)


_THINGS: dict[str, Callable[[Path], None]] = {
    "pipe": os.mkfifo,
    "folder": lambda path: path.mkdir(),
    "socket": _a_socket,
    "link": lambda path: path.symlink_to("/etc/hostname"),
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "looping link": lambda path: path.symlink_to(path.name),
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "character device": lambda path: os.mknod(path, 0o020666, os.makedev(1, 5)),
    "block device": lambda path: os.mknod(path, 0o060666, os.makedev(7, 200)),
}

_DEVICES = frozenset({"character device", "block device"})  #: root alone makes them


def names() -> Iterator[Case]:
    """Cubes under names that no camera gives."""

    def renamed(change: tuple[str, str]) -> Make:
        def make(place: Place) -> None:
            place.write()
            for path in (place.cube, place.timing):
                path.rename(path.with_name(path.name.replace(*change, 1)))

        return make

    for old, new in (
        (".fits", ".fit"),
        (".fits", ".FITS"),
        (".fits", ".fits "),
        (".fits", ".fits\n"),
        (".fits", ".fits[1]"),
        (".fits", "(1).fits"),
        (".fits", ".fits.bak"),
        (".fits", "_copy.fits"),
        ("vcam1", "VCAM1"),
        ("vcam1", "vcam2"),
        ("vcam1", "!vcam1"),
        (".000000000", ".000"),
        (".000000000", ",000000000"),
        ("vcam1_", "vcam1-"),
        ("vcam1_", "vcam1_-"),
        ("vcam1_", "vcam1_é"),
        ("vcam1_", "vcam1_\udcff"),
    ):
        yield Case(
            name=f"{old} is {new.encode('ascii', 'backslashreplace').decode()!r}",
            make=renamed((old, new)),
            expected=Unseen("not under a name that the cameras give"),
        )
    yield Case(name="a gzipped cube", make=_gz_named, expected=Unseen("compressed in place"))
    yield Case(
        name="a packed cube", make=renamed((".fits", ".fits.fz")), expected=Unseen("compressed")
    )


def _gz_named(place: Place) -> None:
    place.write()
    content = place.cube.read_bytes()
    place.cube.unlink()
    place.cube.with_name(f"{place.cube.name}.gz").write_bytes(gzip.compress(content, mtime=0))
