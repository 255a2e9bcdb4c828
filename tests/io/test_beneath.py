from __future__ import annotations

import ctypes
import errno
import multiprocessing
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.trees import below
from vampd.errors import IntegrityError, NotPlainError
from vampd.io import beneath, openat2
from vampd.io.beneath import Beneath

_FOLDER = os.O_RDONLY | os.O_DIRECTORY


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "20251106" / "vgen2").mkdir(parents=True)
    (folder / "20251106" / "vgen2" / "a").write_bytes(b"inside")
    return folder


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "a").write_bytes(b"outside")
    return folder


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        str(path): (path.lstat().st_mode, path.lstat().st_mtime_ns, content_of(path))
        for path in (folder, *sorted(folder.rglob("*")))
    }


def content_of(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


EVERYTHING: dict[str, Callable[[Beneath], Any]] = {
    "read_start": lambda at: beneath.read_start(at / "a", 100),
    "open_quietly": lambda at: os.close(beneath.open_quietly(at / "a")),
    "create": lambda at: os.close(beneath.create(at / "new")),
    "entries": lambda at: list(beneath.entries(at)),
    "names_in": beneath.names_in,
    "status": lambda at: beneath.status(at / "a"),
    "exists": lambda at: beneath.exists(at / "a"),
    "is_file": lambda at: beneath.is_file(at / "a"),
    "is_folder": lambda at: beneath.is_folder(at / "a"),
    "create_folder": lambda at: beneath.create_folder(at / "new"),
    "create_folder itself": beneath.create_folder,
    "remove": lambda at: beneath.remove(at / "a"),
    "remove, missing": lambda at: beneath.remove(at / "a", missing_ok=True),
    "remove_folder": lambda at: beneath.remove_folder(at / "empty"),
    "replace": lambda at: beneath.replace(at / "a", at / "b"),
    "replace, from inside": lambda at: beneath.replace(Beneath(at.root) / "own", at / "a"),
    "rename": lambda at: beneath.rename_without_replacing(at / "a", at / "b"),
    "rename, to inside": lambda at: beneath.rename_without_replacing(
        at / "a", Beneath(at.root) / "stolen"
    ),
    "sync_folder": beneath.sync_folder,
}


@pytest.fixture(params=["kernel", "stepwise"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of going below a root: as this kernel can, and as an older one must."""
    name = str(request.param)
    if name == "kernel" and not openat2.is_available():
        pytest.skip("this kernel has no openat2")
    monkeypatch.setattr(openat2, "is_available", lambda: name == "kernel")
    return name


@pytest.mark.parametrize("what", EVERYTHING)
@pytest.mark.parametrize("linked", ["20251106", "20251106/vgen2"])
@pytest.mark.usefixtures("way")
def test_nothing_is_done_through_a_link(root: Path, outside: Path, linked: str, what: str) -> None:
    (outside / "vgen2").mkdir()
    for folder in (outside, outside / "vgen2"):
        (folder / "a").write_bytes(b"outside")
        (folder / "empty").mkdir()
    (root / linked).rename(root / "aside")
    (root / linked).symlink_to(outside)
    (root / "own").write_bytes(b"own")
    before = snapshot(outside)

    with pytest.raises(NotPlainError) as caught:
        EVERYTHING[what](Beneath(root) / "20251106/vgen2")

    assert f"{root / linked} is a symbolic link to {str(outside)!r}" in str(caught.value)
    assert snapshot(outside) == before
    assert not (root / "stolen").exists()


@pytest.mark.usefixtures("way")
def test_what_is_there_is_read_listed_and_told(root: Path) -> None:
    night = Beneath(root) / "20251106"

    assert beneath.read_start(night / "vgen2/a", 100) == b"inside"
    assert beneath.read_start(night / "vgen2/a", 2) == b"in"
    assert beneath.names_in(night) == ["vgen2"]
    assert [entry.name for entry in beneath.entries(night / "vgen2")] == ["a"]
    assert beneath.status(night / "vgen2/a").st_size == 6
    assert beneath.is_file(night / "vgen2/a")
    assert beneath.is_folder(night / "vgen2")
    assert not beneath.exists(night / "vgen2/b")
    assert not beneath.exists(night / "vgen2/a/b")
    assert beneath.names_in(Beneath(root)) == ["20251106"]


@pytest.mark.usefixtures("way")
def test_what_is_made_moved_and_removed_is_so(root: Path) -> None:
    night = Beneath(root) / "20251106"

    beneath.create_folder(night / ".vampd")
    beneath.create_folder(night / ".vampd")
    os.close(beneath.create(night / ".vampd/x"))
    beneath.replace(night / ".vampd/x", night / "vgen2/a")
    beneath.remove_folder(night / ".vampd")
    beneath.rename_without_replacing(night / "vgen2/a", night / "vgen2/b")
    beneath.sync_folder(night / "vgen2")

    assert beneath.names_in(night) == ["vgen2"]
    assert (root / "20251106/vgen2/b").read_bytes() == b""
    assert stat.S_IMODE(beneath.status(night / "vgen2/b").st_mode) == 0o644
    beneath.remove(night / "vgen2/b")
    beneath.remove(night / "vgen2/b", missing_ok=True)
    with pytest.raises(FileNotFoundError, match="20251106/vgen2/b"):
        beneath.remove(night / "vgen2/b")


@pytest.mark.parametrize(
    ("is_there", "is_young", "is_scratch", "synced"),
    [
        (False, False, False, 1),
        (True, True, False, 1),
        (True, False, False, 0),
        (False, True, True, 1),
        (True, True, True, 0),
    ],
)
def test_a_folder_that_is_made_is_durable_and_an_old_one_need_not_be_made_so_again(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_there: bool,
    is_young: bool,
    is_scratch: bool,
    synced: int,
) -> None:
    night = Beneath(root) / "20251106"
    found: list[Beneath] = []
    if is_there:
        (root / "20251106/.vampd").mkdir()
    if not is_young:
        os.utime(root / "20251106", (1e9, 1e9))
    monkeypatch.setattr(beneath, "sync_folder", found.append)

    beneath.create_folder(night / ".vampd", is_scratch=is_scratch)

    assert found == [night] * synced


@pytest.mark.usefixtures("way")
def test_the_root_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "named").symlink_to(root)

    assert beneath.read_start(Beneath(tmp_path / "named") / "20251106/vgen2/a", 9) == b"inside"


@pytest.mark.usefixtures("way")
def test_a_link_is_taken_away_and_not_what_it_leads_to(root: Path, outside: Path) -> None:
    link = Beneath(root) / "20251106/vgen2/link"
    link.path.symlink_to(outside / "a")
    before = snapshot(outside)

    with pytest.raises(NotPlainError, match="is a symbolic link"):
        beneath.open_file(link)
    assert not beneath.is_file(link)
    assert beneath.exists(link)
    with pytest.raises(FileExistsError):
        beneath.create(link)
    with pytest.raises(FileExistsError):
        beneath.rename_without_replacing(link.with_name("a"), link)
    beneath.remove(link)

    assert not link.path.is_symlink()
    assert snapshot(outside) == before


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.path.relpath(path))
    listener.close()


def _device(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero has no end
    except PermissionError:
        pytest.skip("only root makes devices")


@pytest.mark.parametrize(
    ("make", "kind"),
    [(_pipe, "a pipe"), (_socket, "a socket"), (_device, "a device"), (Path.mkdir, "a folder")],
)
@pytest.mark.usefixtures("way")
def test_what_is_no_regular_file_is_neither_waited_for_nor_read(
    root: Path, make: Callable[[Path], None], kind: str
) -> None:
    odd = Beneath(root) / "20251106/odd"
    make(odd.path)

    with pytest.raises(NotPlainError, match=f"{odd} is {kind}") as caught:
        beneath.read_start(odd, 100)

    assert isinstance(caught.value, IntegrityError)
    assert not beneath.is_file(odd)


@pytest.mark.usefixtures("way")
def test_a_pipe_in_the_place_of_a_folder_is_told(root: Path) -> None:
    os.mkfifo(root / "20251106/.vampd")

    for what in (beneath.create_folder, beneath.names_in):
        with pytest.raises(NotPlainError, match="vampd is a pipe where"):
            what(Beneath(root) / "20251106/.vampd")


@pytest.mark.usefixtures("way")
def test_an_error_has_the_whole_path_and_its_own_class(root: Path) -> None:
    night = Beneath(root) / "20251106"

    with pytest.raises(FileNotFoundError) as missing:
        beneath.read_start(night / "vgen2/none", 1)
    with pytest.raises(NotADirectoryError) as file:
        beneath.names_in(night / "vgen2/a")
    with pytest.raises(FileExistsError) as taken:
        beneath.create(night / "vgen2/a")

    assert missing.value.filename == str(night / "vgen2/none")
    assert file.value.filename == str(night / "vgen2/a")
    assert taken.value.filename == str(night / "vgen2/a")


@pytest.mark.parametrize("name", ["..", ".", "", "a/../b", "/etc/passwd", "a\0b"])
def test_a_name_that_leads_elsewhere_is_none(root: Path, name: str) -> None:
    with pytest.raises(ValueError, match="is not a name below"):
        Beneath(root) / name


def test_a_value_is_not_a_path_that_could_be_opened_by_mistake(root: Path) -> None:
    with pytest.raises(TypeError):
        os.fspath(Beneath(root) / "20251106")  # type: ignore[call-overload]


def test_the_two_ways_refuse_alike(root: Path, outside: Path) -> None:
    if not openat2.is_available():
        pytest.skip("this kernel has no openat2")
    (root / "link").symlink_to(outside)
    (root / "20251106/up").symlink_to("../../outside")
    folder = os.open(root, _FOLDER)
    try:
        for names in (["link"], ["link", "a"], ["20251106", "up", "a"], ["none"], ["none", "a"]):
            numbers = {
                error_of(way, folder, names) for way in (openat2.kernel_open, openat2.stepwise_open)
            }
            assert numbers <= {errno.ELOOP, errno.ENOTDIR} or numbers == {errno.ENOENT}, names
    finally:
        os.close(folder)


def error_of(way: Callable[..., int], folder: int, names: list[str]) -> int | None:
    try:
        os.close(way(folder, names, os.O_RDONLY))
    except OSError as error:
        return error.errno
    return None


def swap_for_ever(night: Path, outside: Path) -> None:
    """Let *night*/vgen2 be a folder and a link to *outside* in turn, as quickly as can be."""
    real, link = night / "real", night / "link"
    link.symlink_to(outside)
    libc = ctypes.CDLL(None)
    exchange = 2
    (night / "vgen2").rename(real)
    link.rename(night / "vgen2")
    ours, theirs = os.fsencode(night / "vgen2"), os.fsencode(real)
    while True:
        libc.renameat2(-100, ours, -100, theirs, exchange)


@pytest.fixture
def swapping(root: Path, outside: Path) -> Iterator[None]:
    process = multiprocessing.get_context("spawn").Process(
        target=swap_for_ever, args=(root / "20251106", outside), daemon=True
    )
    process.start()
    until = time.monotonic() + 30
    while not (root / "20251106/real").exists() and time.monotonic() < until:
        time.sleep(0.01)
    yield
    process.kill()
    process.join()


@pytest.mark.usefixtures("way", "swapping")
def test_a_folder_that_is_swapped_for_a_link_all_the_time_leads_nobody_out(
    root: Path, outside: Path
) -> None:
    (outside / "empty").mkdir()
    for name in ("old", "a name outside"):
        (outside / name).write_bytes(b"outside")
    before = snapshot(outside)
    place = Beneath(root) / "20251106/vgen2"
    read, refused = 0, 0
    until = time.monotonic() + 2

    while time.monotonic() < until:
        for what in (
            lambda: beneath.read_start(place / "a", 100),
            lambda: [entry.name for entry in beneath.entries(place)],
            lambda: os.close(beneath.create(place / "new")),
            lambda: beneath.rename_without_replacing(place / "new", place / "old"),
            lambda: beneath.remove(place / "old"),
            lambda: beneath.create_folder(place / "empty"),
            lambda: beneath.remove_folder(place / "empty"),
        ):
            try:
                found = what()
            except OSError as error:
                refused += isinstance(error, NotPlainError)
                continue
            read += 1
            assert "outside" not in str(found)

    assert read > 0
    assert refused > 0
    assert snapshot(outside) == before


_NO_OPENAT2 = """
import ctypes, struct, sys

# seccomp: openat2 (437) answers ENOSYS, as in a kernel before 5.6; all else is allowed.
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, 437), (0x06, 0, 0, 0x50026), (0x06, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
class Filter(ctypes.Structure):
    _fields_ = [("count", ctypes.c_ushort), ("code", ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
loaded = Filter(4, ctypes.cast(code, ctypes.c_void_p))
assert libc.prctl(22, 2, ctypes.byref(loaded), 0, 0) == 0

from vampd.io import beneath, openat2
night = beneath.night_folder(sys.argv[1])
assert not openat2.is_available()
print(beneath.read_start(night / "vgen2/a", 100).decode())
try:
    beneath.read_start(night / "link/a", 100)
except OSError as error:
    print(error)
"""


def test_an_older_kernel_does_as_well(root: Path, outside: Path) -> None:
    (root / "20251106/link").symlink_to(outside)

    said = run_python(_NO_OPENAT2, str(root / "20251106"))

    assert said.splitlines()[0] == "inside"
    assert "link is a symbolic link to" in said.splitlines()[1]


def test_below_names_a_file_in_its_folder(tmp_path: Path) -> None:
    assert below(tmp_path / "x").path == tmp_path / "x"


def run_python(program: str, *words: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return finished.stdout
