"""The far side's helper, as sshd calls it: one command in the environment, names on its input."""

from __future__ import annotations

import ast
import hashlib
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from vampd.far import vampd_remote
from vampd.io import far, rsync
from vampd.io.far import Reach
from vampd.io.place import Place
from vampd.io.process import Finished, run

NIGHT = "20251106"
SOURCE = Path(vampd_remote.__file__)
REFUSED = 77


@dataclass(frozen=True, kw_only=True, slots=True)
class Helper:
    """A root below which the helper may work."""

    root: Path

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
            [sys.executable, "-I", "-S", str(SOURCE), str(self.root), *more],
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
    place = Place(host="far", path=f"{helper.root}/.incoming/{NIGHT}")
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


def test_what_has_the_name_stays_unless_a_tag_frees_it(helper: Helper) -> None:
    final = helper.arrive("vgen2/a", b"new")
    final.parent.mkdir(parents=True)
    final.write_bytes(b"old")
    command = f"vampd-remote publish {shlex.quote(str(helper.root))} {NIGHT}"

    kept = helper.ask(command, b"vgen2/a\0\0").stdout
    freed = helper.ask(command, b"vgen2/a\0sha256-0\0").stdout

    assert (kept, freed) == (b"exists vgen2/a\0", b"published vgen2/a\0")
    assert tree(helper.root) == {
        f".evidence/{NIGHT}/vgen2/a.sha256-0": b"old",
        f"{NIGHT}/vgen2/a": b"new",
    }


def test_evidence_is_never_replaced_either(helper: Helper) -> None:
    final = helper.arrive("a", b"new")
    final.parent.mkdir(parents=True)
    final.write_bytes(b"old")
    earlier = helper.root / ".evidence" / NIGHT / "a.sha256-0"
    earlier.parent.mkdir(parents=True)
    earlier.write_bytes(b"earlier")
    command = f"vampd-remote publish {shlex.quote(str(helper.root))} {NIGHT}"

    assert helper.ask(command, b"a\0sha256-0\0").stdout == b"failed a\0"

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
    place = Place(path=before.format(root=helper.root))

    words = ["vampd-remote", "numbers", place.path, after]
    by_helper = helper.ask(shlex.join(words))
    by_shell = run(far.numbers_command(place, after, Reach()), deadline_seconds=20)

    finished = Finished(
        code=by_helper.returncode, stdout=by_helper.stdout, stderr_tail=str(by_helper.stderr)
    )
    told = far.parse_numbers(finished)
    assert {night: sorted(numbers) for night, numbers in told.items()} == found
    told = far.parse_numbers(by_shell)
    assert {night: sorted(numbers) for night, numbers in told.items()} == found


@pytest.mark.parametrize(("before", "after"), [("/etc/", ""), ("{root}/", "/../../x")])
def test_no_nights_are_told_of_elsewhere(helper: Helper, before: str, after: str) -> None:
    words = ["vampd-remote", "numbers", before.format(root=helper.root), after]

    assert helper.ask(shlex.join(words)).returncode == REFUSED
