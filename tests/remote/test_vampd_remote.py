"""The far side's helper, as sshd calls it: one command in the environment, names on its input."""

from __future__ import annotations

import ast
import errno
import hashlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import Struct

from vampd.io.process import Finished, run
from vampd.remote import commands as remote
from vampd.remote import destination_marker, rsync, vampd_remote
from vampd.remote.commands import Reach
from vampd.remote.location import Location

NIGHT = "20251106"
SOURCE = Path(vampd_remote.__file__)
REFUSED = 77
PYTHONS_3_6 = [
    *Path.home().glob(".pyenv/versions/3.6.*/bin/python3.6"),
    *Path("/usr").glob("bin/python3.6"),
    *Path("/usr/local").glob("bin/python3.6"),
]
UUID = "11111111-2222-4333-8444-55555555abcd"


class Helper(Struct, frozen=True, kw_only=True):
    """A root below which the helper may work."""

    root: Path
    python: str = sys.executable

    @property
    def publishing(self) -> str:
        """The command that publishes."""
        return f"vampd-remote publish {shlex.quote(str(self.root))} {NIGHT}"

    def publish(self, path: str, content: bytes) -> Path:
        """Let a file arrive, and get its final name."""
        final = self.arrive(path, content)
        assert (
            self.ask(self.publishing, f"{path}\0\0".encode()).stdout
            == f"published {path}\0".encode()
        )
        return final

    @property
    def incoming(self) -> Path:
        return self.root / ".incoming" / NIGHT

    def ask(
        self, command: str | None, names: bytes = b"", *, more: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[bytes]:
        environ = {"PATH": os.environ["PATH"]}
        if command is not None:
            environ["SSH_ORIGINAL_COMMAND"] = command
        return subprocess.run(
            [self.python, "-I", "-S", str(SOURCE), str(self.root), *more],
            input=names,
            env=environ,
            capture_output=True,
            timeout=20,
            check=False,
        )

    def arrive(self, path: str, content: bytes = b"cube") -> Path:
        (self.incoming / path).parent.mkdir(parents=True, exist_ok=True)
        (self.incoming / path).write_bytes(content)
        return self.root / NIGHT / path


@pytest.fixture
def helper(tmp_path: Path) -> Helper:
    root = tmp_path / "tier 1"
    root.mkdir()
    return Helper(root=root)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def whole(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every name below *folder*, files and folders, with what is in it."""
    return {
        str(path): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in (folder, *sorted(folder.rglob("*")))
    }


def tag(content: bytes) -> str:
    return f"sha256-{hashlib.sha256(content).hexdigest()}"


def test_the_file_is_python_3_6_and_needs_nothing_but_the_standard_library() -> None:
    module = ast.parse(SOURCE.read_text(encoding="utf-8"), feature_version=(3, 6))

    imported = {
        name.name.partition(".")[0]
        for node in ast.walk(module)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (node.names if isinstance(node, ast.Import) else [ast.alias(node.module or "")])
    }
    assert imported <= sys.stdlib_module_names - {"__future__", "dataclasses"}  # those came later
    assert SOURCE.read_text(encoding="utf-8").startswith("#!/usr/bin/env python3\n")
    assert os.access(SOURCE, os.X_OK)


@pytest.mark.parametrize(
    "command",
    [
        "",
        "sh",
        "bash -c 'rm -rf /'",
        "sftp-server",
        "scp -t /",
        "vampd-remote",
        "vampd-remote version now",
        "vampd-remote remove {root} 20251106",
        "vampd-remote 'publish; sh' {root} 20251106",
        "vampd-remote prepare {root}/.. 20251106",
        "vampd-remote prepare {root}/../other 20251106",
        "vampd-remote prepare /etc 20251106",
        "vampd-remote prepare {root}2 20251106",
        "vampd-remote prepare relative 20251106",
        "vampd-remote prepare {root} ../../x",
        "vampd-remote prepare {root} .ssh",
        "vampd-remote prepare {root}/.incoming 20251106",
        "vampd-remote evidence / 20251106",
        "vampd-remote check /",
        "rsync --server --sender -logDtpre.iLsfxCIvu . {root}/",
        "rsync --server -logDtpre.iLsfxCIvu . {root}/.incoming/20251106/",
        "rsync --server -se.LsfxCIvu",
        "rsync --server -OtRe.LsfxCIvu . {root}/20251106/",
        "rsync --server -OtRe.LsfxCIvu . {root}/.incoming/",
        "rsync --server -OtRe.LsfxCIvu . {root}/.incoming/20251106/../../x",
        "rsync --server -OtRe.LsfxCIvu . /etc/.incoming/20251106/",
        "rsync --server -OtRe.LsfxCIvu . {root}/.incoming/20251106/ /etc",
        "rsync --server -OtRe.LsfxCIvu --delete . {root}/.incoming/20251106/",
        "rsync --server -OtRe.LsfxCIvu --log-file=/etc/x . {root}/.incoming/20251106/",
        "rsync --server -OtRe.LsfxCIvu --temp-dir=/tmp . {root}/.incoming/20251106/",
        "rsync --server -OtRe.LsfxCIvu --partial-dir /tmp . {root}/.incoming/20251106/",
        "rsync --server -OtRe.LsfxCIvu --partial-dir . {root}/.incoming/20251106/",
        "rsync --server -OtRKe.LsfxCIvu . {root}/.incoming/20251106/",
        "rsync --daemon",
        "rsync 'unbalanced",
        "/usr/bin/rsync --server -OtRe.LsfxCIvu . {root}/.incoming/20251106/",
    ],
)
def test_everything_else_is_refused_and_nothing_is_made(helper: Helper, command: str) -> None:
    done = helper.ask(command.format(root=shlex.quote(str(helper.root))))

    assert done.returncode == REFUSED
    assert done.stderr.startswith(b"vampd-remote: refused: ")
    assert not done.stdout
    assert not list(helper.root.parent.rglob("*"))[1:]


def test_without_a_forced_command_it_does_nothing(helper: Helper) -> None:
    done = helper.ask(None)

    assert done.returncode == REFUSED
    assert b"forced command" in done.stderr


def test_what_our_own_rsync_is_asked_to_run_is_taken(helper: Helper, tmp_path: Path) -> None:
    place = Location(host="far", path=f"{helper.root}/.incoming/{NIGHT}")
    (tmp_path / "night").mkdir()
    (tmp_path / "night" / "x").write_bytes(b"1")
    script = tmp_path / "shell"
    script.write_text(f'#!/bin/sh\nshift\nprintf "%s" "$*" > {tmp_path}/asked\n')
    script.chmod(0o755)
    for compare_contents in (False, True):
        command = rsync.rsync_command(
            tmp_path / "night",
            place,
            compare_contents=compare_contents,
            bandwidth_kib=500,
            hide_words=False,
        )
        command = [f"--rsh={script}" if word.startswith("--rsh") else word for word in command]
        subprocess.run(command, input=b"x\0", check=False, capture_output=True, timeout=20)
        words = shlex.split((tmp_path / "asked").read_text())

        names, server = vampd_remote.receive_command(words, str(helper.root))

        assert names == [".incoming", NIGHT]
        assert server[:2] == ["rsync", "--server"]
        assert server[-2:] == [".", "."]


@pytest.mark.parametrize("path", ["{root}/../x", "/etc/passwd", "relative", "{root}"])
def test_no_digest_is_told_of_what_lies_elsewhere(helper: Helper, path: str) -> None:
    (helper.root.parent / "x").write_bytes(b"secret")

    done = helper.ask("vampd-remote digest", path.format(root=helper.root).encode() + b"\0")

    assert done.returncode == REFUSED
    assert not done.stdout


def test_no_digest_is_told_through_a_link(helper: Helper) -> None:
    (helper.root.parent / "x").write_bytes(b"secret")
    (helper.root / "link").symlink_to(helper.root.parent / "x")
    (helper.root / "folder").symlink_to(helper.root.parent)
    names = f"{helper.root}/link\0{helper.root}/folder/x\0".encode()

    done = helper.ask("vampd-remote digest", names)

    assert done.returncode == 123
    assert not done.stdout
    assert done.stderr.count(b"Too many levels of symbolic links") == 2


def test_digests_are_told_below_every_folder_that_is_named(helper: Helper, tmp_path: Path) -> None:
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "a").write_bytes(b"a")
    names = f"{tmp_path}/moved/a\0{helper.root}/b\0".encode()

    done = helper.ask("vampd-remote digest", names, more=(str(tmp_path / "moved"),))

    digest = hashlib.sha256(b"a").hexdigest()
    assert done.stdout.decode() == f"{digest}  {tmp_path}/moved/a\0"
    assert done.stderr.decode() == f"vampd-remote: {helper.root}/b: No such file or directory\n"


def test_nothing_is_published_into_a_folder_that_is_only_read(helper: Helper) -> None:
    other = helper.root.parent / "moved"
    other.mkdir()

    done = helper.ask(f"vampd-remote prepare {other} {NIGHT}", more=(str(other),))

    assert done.returncode == REFUSED
    assert not list(other.iterdir())


def test_a_broken_list_of_names_publishes_nothing(helper: Helper) -> None:
    helper.arrive("vgen2/a")
    command = f"vampd-remote publish {shlex.quote(str(helper.root))} {NIGHT}"

    done = helper.ask(command, b"vgen2/a\0\0vgen2")

    assert done.returncode == REFUSED
    assert not (helper.root / NIGHT).exists()


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "a//b", "", ".", "a/./b"])
def test_no_name_is_published_outside_its_night(helper: Helper, path: str) -> None:
    command = f"vampd-remote publish {shlex.quote(str(helper.root))} {NIGHT}"

    done = helper.ask(command, f"{path}\0\0".encode())

    assert done.returncode == REFUSED
    assert tree(helper.root) == {}


def test_no_tag_leads_elsewhere(helper: Helper) -> None:
    command = f"vampd-remote publish {shlex.quote(str(helper.root))} {NIGHT}"

    done = helper.ask(command, b"vgen2/a\0../../x\0")

    assert done.returncode == REFUSED


def test_a_link_in_the_way_is_never_followed(helper: Helper) -> None:
    helper.arrive("vgen2/a")
    outside = helper.root.parent / "outside"
    outside.mkdir()
    (helper.root / NIGHT).symlink_to(outside)
    command = f"vampd-remote publish {shlex.quote(str(helper.root))} {NIGHT}"

    done = helper.ask(command, b"vgen2/a\0\0")

    assert done.returncode == 123
    assert done.stdout == b"failed vgen2/a\0"
    assert not list(outside.iterdir())


def test_nothing_is_received_where_a_link_lies(helper: Helper) -> None:
    helper.incoming.mkdir(parents=True)
    (helper.incoming / "vgen2").symlink_to("/etc")
    destination = shlex.quote(f"{helper.root}/.incoming/{NIGHT}/")

    done = helper.ask(f"rsync --server -OtRe.LsfxCIvu . {destination}")

    assert done.returncode == REFUSED
    assert b"symbolic link" in done.stderr


def test_a_copy_of_ours_is_set_aside_where_a_tag_frees_its_name(helper: Helper) -> None:
    final = helper.publish("vgen2/a", b"old")
    helper.arrive("vgen2/a", b"new")

    kept = helper.ask(helper.publishing, b"vgen2/a\0\0").stdout
    freed = helper.ask(helper.publishing, f"vgen2/a\0{tag(b'old')}\0".encode()).stdout

    assert (kept, freed) == (b"exists vgen2/a\0", b"published vgen2/a\0")
    assert final.read_bytes() == b"new"
    assert tree(helper.root / ".evidence") == {f"{NIGHT}/vgen2/a.{tag(b'old')}": b"old"}


@pytest.mark.parametrize("rot", [b"odd", b""])
def test_a_copy_of_ours_that_rots_is_set_aside_too(helper: Helper, rot: bytes) -> None:
    final = helper.publish("vgen2/a", b"old")
    final.write_bytes(rot)
    helper.arrive("vgen2/a", b"old")

    freed = helper.ask(helper.publishing, f"vgen2/a\0{tag(rot)}.2\0".encode()).stdout

    assert freed == b"published vgen2/a\0"
    assert final.read_bytes() == b"old"


@pytest.mark.parametrize("told", ["unreadable", "sha256-0", "x"])
@pytest.mark.parametrize("owner", ["somebody else's", "put in our file's place", "another night's"])
def test_nobody_elses_file_is_moved_whatever_the_tag_says(
    helper: Helper, owner: str, told: str
) -> None:
    final = helper.root / NIGHT / "vgen2" / "a"
    if owner == "put in our file's place":
        # Ours is kept, so that its inode's number is not dealt again.
        helper.publish("vgen2/a", b"ours").rename(helper.root.parent / "ours")
    final.parent.mkdir(parents=True, exist_ok=True)
    final.write_bytes(b"theirs")
    if owner == "another night's":
        helper.ask(f"vampd-remote publish {shlex.quote(str(helper.root))} 20251107", b"")
        (helper.root / ".published").mkdir(exist_ok=True)
        line = f"{final.stat().st_ino} vgen2/a\n"
        (helper.root / ".published" / "20251107").write_text(line)
    helper.arrive("vgen2/a", b"new")

    for each in (told, tag(b"theirs")):
        done = helper.ask(helper.publishing, f"vgen2/a\0{each}\0".encode())
        assert done.stdout == b"exists vgen2/a\0"

    assert final.read_bytes() == b"theirs"
    assert not (helper.root / ".evidence").exists()


def test_a_copy_that_is_no_longer_the_one_that_was_looked_at_stays(helper: Helper) -> None:
    final = helper.publish("vgen2/a", b"mended meanwhile")
    helper.arrive("vgen2/a", b"new")

    done = helper.ask(helper.publishing, f"vgen2/a\0{tag(b'rotten')}\0".encode())

    assert done.stdout == b"exists vgen2/a\0"
    assert final.read_bytes() == b"mended meanwhile"


def test_nothing_is_published_whose_record_has_no_room(helper: Helper, tmp_path: Path) -> None:
    short = tmp_path / "short-of-room"  # as a full disk does, it takes half of the record
    short.write_text(f'#!/bin/sh\nexec prlimit --fsize=25 {sys.executable} "$@"\n')
    short.chmod(0o755)
    files = [helper.arrive(path) for path in ("vgen2/a", "vgen2/b")]

    done = Helper(root=helper.root, python=str(short)).ask(
        helper.publishing, b"vgen2/a\0\0vgen2/b\0\0"
    )

    assert done.returncode == 1
    assert not any(file.exists() for file in files)
    assert helper.ask(helper.publishing, b"vgen2/a\0\0vgen2/b\0\0").returncode == 0


def test_a_record_that_broke_off_costs_no_other_file_its_own(helper: Helper) -> None:
    helper.publish("vgen2/a", b"a")
    with (helper.root / ".published" / NIGHT).open("ab") as record:
        record.write(b"12")
    final = helper.publish("vgen2/b", b"old")
    helper.arrive("vgen2/b", b"new")

    done = helper.ask(helper.publishing, f"vgen2/b\0{tag(b'old')}\0".encode())

    assert done.stdout == b"published vgen2/b\0"
    assert final.read_bytes() == b"new"


def test_evidence_is_never_replaced_either(helper: Helper) -> None:
    final = helper.publish("a", b"old")
    helper.arrive("a", b"new")
    earlier = helper.root / ".evidence" / NIGHT / f"a.{tag(b'old')}"
    earlier.parent.mkdir(parents=True)
    earlier.write_bytes(b"earlier")

    assert helper.ask(helper.publishing, f"a\0{tag(b'old')}\0".encode()).stdout == b"failed a\0"

    assert earlier.read_bytes() == b"earlier"
    assert final.read_bytes() == b"old"


def nights_that_were_delivered(root: Path) -> None:
    for name in (
        "20251105/vgen2/VMPA00425189.fits.fz",
        "20251105/vgen2/VMPA00425189.txt",
        "20251105/vgen2/VMPA00425191.fits.fz",
        "20251105/vgen2/name_changes.txt",
        "20251106/vgen2/vsync_05:10:00.000000.cam1.fits.fz",
        "20251107/notes.txt",
        "2025110/vgen2/VMPA00000009.fits.fz",
        ".incoming/20251108/vgen2/VMPA00425199.fits.fz",
        "moved/20251109/ARCHIVED/vgen2/VMPA00425300.fits.fz",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / "20251110").mkdir()
    (root / "20251110/vgen2").symlink_to(root / "20251105/vgen2")


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ("{root}/", "", {"20251105": [425189, 425191], "20251106": []}),
        ("{root}/moved/", "/ARCHIVED", {"20251109": [425300]}),
        ("{root}/moved/2025", "/ARCHIVED", {}),
        ("{root}/nothing/", "", {}),
    ],
)
def test_nights_and_their_frame_ids_are_told_the_same_with_and_without_the_helper(
    helper: Helper, before: str, after: str, found: dict[str, list[int]]
) -> None:
    nights_that_were_delivered(helper.root)
    place = Location(path=before.format(root=helper.root))

    words = ["vampd-remote", "numbers", place.path, after]
    by_helper = helper.ask(shlex.join(words))
    by_shell = run(remote.numbers_command(place, after, Reach()), deadline_seconds=20)

    finished = Finished(
        code=by_helper.returncode, stdout=by_helper.stdout, stderr_tail=str(by_helper.stderr)
    )
    told = remote.parse_numbers(finished)
    assert {night: sorted(numbers) for night, numbers in told.items()} == found
    told = remote.parse_numbers(by_shell)
    assert {night: sorted(numbers) for night, numbers in told.items()} == found


@pytest.mark.parametrize(("before", "after"), [("/etc/", ""), ("{root}/", "/../../x")])
def test_no_nights_are_told_of_elsewhere(helper: Helper, before: str, after: str) -> None:
    words = ["vampd-remote", "numbers", before.format(root=helper.root), after]

    assert helper.ask(shlex.join(words)).returncode == REFUSED


LINKS = (
    *(".incoming", ".incoming/{night}", ".incoming/{night}/vgen2", "{night}", "{night}/vgen2"),
    *(".evidence", ".evidence/{night}", ".published", "base", "base/deeper"),
)


@pytest.mark.parametrize("link", LINKS)
def test_no_verb_reads_writes_or_removes_anything_through_a_link(
    helper: Helper, tmp_path: Path, link: str
) -> None:
    """Each link leads out, to a place that is furnished just as what it stands for."""
    base = helper.root / "base" / "deeper" if link.startswith("base") else helper.root
    base.mkdir(parents=True, exist_ok=True)
    place = helper.root / link.format(night=NIGHT)
    for path in (f".incoming/{NIGHT}/vgen2/a", f"{NIGHT}/vgen2/a", f".evidence/{NIGHT}/vgen2/a.x"):
        (base / path).parent.mkdir(parents=True, exist_ok=True)
        (base / path).write_bytes(b"outside" if path.startswith(".") else b"there")
    (base / ".published").mkdir(exist_ok=True)
    (base / f".incoming/{NIGHT}/empty").mkdir()
    number = (base / NIGHT / "vgen2/a").stat().st_ino
    (base / ".published" / NIGHT).write_text(f"{number} vgen2/a\n")
    place.rename(tmp_path / "outside")
    place.symlink_to(tmp_path / "outside")
    before = whole(tmp_path / "outside")
    quoted = shlex.quote(str(base))

    told = [
        helper.ask(f"vampd-remote prepare {quoted} {NIGHT}"),
        helper.ask(f"vampd-remote publish {quoted} {NIGHT}", b"vgen2/a\0\0"),
        helper.ask(f"vampd-remote publish {quoted} {NIGHT}", b"vgen2/a\0x\0"),
        helper.ask(f"vampd-remote evidence {quoted} {NIGHT}"),
        helper.ask(f"vampd-remote marker {quoted}"),
        helper.ask(f"vampd-remote claim {quoted} {UUID}"),
        helper.ask("vampd-remote digest", f"{base}/{NIGHT}/vgen2/a\0".encode()),
        helper.ask(
            f"rsync --server -Oce.LsfxCIvu . {shlex.quote(f'{base}/.incoming/{NIGHT}/vgen2/')}"
        ),
    ]

    assert whole(tmp_path / "outside") == before
    if link.startswith("base"):
        assert not any(done.stdout for done in told)
    if link.startswith(".evidence"):
        assert b"a.x" not in told[3].stdout


def test_a_record_that_is_a_link_or_a_pipe_is_not_written_to(helper: Helper) -> None:
    for make in (lambda path: path.symlink_to(helper.root.parent / "x"), os.mkfifo):
        helper.arrive("vgen2/a")
        (helper.root / ".published").mkdir(exist_ok=True)
        record = helper.root / ".published" / NIGHT
        make(record)

        done = helper.ask(helper.publishing, b"vgen2/a\0\0")

        assert done.returncode == 1
        assert not done.stdout
        assert not (helper.root.parent / "x").exists()
        record.unlink()


@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_what_arrives_and_is_no_file_is_absent(helper: Helper, kind: str) -> None:
    place = helper.arrive("vgen2/a")
    arriving = helper.incoming / "vgen2" / "b"
    if kind == "pipe":
        os.mkfifo(arriving)
    elif kind == "folder":
        arriving.mkdir()
    else:
        arriving.symlink_to("/etc/passwd")

    done = helper.ask(helper.publishing, b"vgen2/b\0\0vgen2/a\0\0")

    assert done.stdout == b"absent vgen2/b\0published vgen2/a\0"
    assert place.is_file()
    assert not place.with_name("b").exists()


@pytest.mark.parametrize("base", ["20251106", "x/20251106", ".published", ".evidence"])
def test_a_night_or_a_folder_of_the_helpers_own_is_no_destination(
    helper: Helper, base: str
) -> None:
    (helper.root / base).mkdir(parents=True)
    for verb in ("prepare", "publish", "evidence"):
        done = helper.ask(f"vampd-remote {verb} {shlex.quote(str(helper.root / base))} {NIGHT}")

        assert done.returncode == REFUSED


def test_a_path_without_end_is_refused_and_not_gone_down(helper: Helper) -> None:
    deep = "/".join("a" * 3000)

    published = helper.ask(helper.publishing, f"{deep}\0\0".encode())
    digested = helper.ask("vampd-remote digest", f"{helper.root}/{deep}\0".encode())

    assert (published.returncode, digested.returncode) == (REFUSED, REFUSED)
    assert b"Traceback" not in published.stderr + digested.stderr


def test_a_disk_is_claimed_once_and_keeps_its_marker(helper: Helper) -> None:
    base = shlex.quote(str(helper.root))

    bare = helper.ask(f"vampd-remote marker {base}")
    claimed = helper.ask(f"vampd-remote claim {base} {UUID}")
    again = helper.ask(f"vampd-remote claim {base} {UUID.replace('1', '2')}")

    assert bare.stdout == b"bare\n"
    assert claimed.stdout == b"used\n" + vampd_remote.marker_text(UUID).encode()
    assert again.stdout == claimed.stdout
    assert [path.name for path in helper.root.iterdir()] == [".vampd-destination"]
    assert destination_marker.marker_text(UUID) == vampd_remote.marker_text(UUID)


@pytest.mark.parametrize("identifier", ["x", "../x", "", UUID.upper(), f"{UUID}x"])
def test_a_marker_is_a_uuid(helper: Helper, identifier: str) -> None:
    base = shlex.quote(str(helper.root))

    done = helper.ask(f"vampd-remote claim {base} {shlex.quote(identifier)}")

    assert done.returncode == REFUSED
    assert not list(helper.root.iterdir())


def test_the_marker_is_digested_as_any_file(helper: Helper) -> None:
    helper.ask(f"vampd-remote claim {shlex.quote(str(helper.root))} {UUID}")

    done = helper.ask("vampd-remote digest", f"{helper.root}/.vampd-destination\0".encode())

    digest = hashlib.sha256(vampd_remote.marker_text(UUID).encode()).hexdigest()
    assert done.stdout.decode().startswith(digest)


@pytest.mark.skipif(not PYTHONS_3_6, reason="no Python 3.6 here")
def test_python_3_6_runs_it(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    old = Helper(root=root, python=str(PYTHONS_3_6[0]))

    final = old.publish("vgen2/a", b"old")
    old.arrive("vgen2/a", b"new")
    freed = old.ask(old.publishing, f"vgen2/a\0{tag(b'old')}\0".encode())
    listed = old.ask(f"vampd-remote evidence {root} {NIGHT}")
    claimed = old.ask(f"vampd-remote claim {root} {UUID}")
    checked = old.ask(f"vampd-remote check {root}")

    assert freed.stdout == b"published vgen2/a\0", freed.stderr
    assert final.read_bytes() == b"new"
    assert listed.stdout.decode() == f"vgen2/a.{tag(b'old')}\0"
    assert claimed.stdout.startswith(b"used\n"), claimed.stderr
    assert (checked.stdout, checked.returncode) == (b"", 0)


def test_where_there_are_no_hard_links_a_move_replaces_nothing_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)
    for name in ("mine", "other"):
        (tmp_path / name).write_text(name)
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(FileExistsError):
            vampd_remote.move_without_replacing("mine", folder, "other", folder)
        vampd_remote.move_without_replacing("mine", folder, "new", folder)
    finally:
        os.close(folder)

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "other": "other",
        "new": "mine",
    }
