from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.far_side import (
    SIDES,
    FarSide,
    fill,
    flip_one_byte,
    liar,
    lie,
    local_side,
    powerless,
    ssh_side,
)
from vampd.errors import OperatorError, RetryableError, VampdError
from vampd.io.process import run
from vampd.remote.commands import Reach
from vampd.remote.digests import digest_command, parse_digests
from vampd.remote.location import Location
from vampd.stages import verify


@pytest.fixture(params=["local", "ssh", "helper"])
def any_side(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FarSide]:
    with SIDES[request.param](tmp_path) as each:
        yield each


@pytest.fixture(params=["local", "helper"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FarSide]:
    with SIDES[request.param](tmp_path) as each:
        yield each


@pytest.fixture
def side(tmp_path: Path) -> FarSide:
    return local_side(tmp_path)


@pytest.fixture
def far(tmp_path: Path) -> Iterator[FarSide]:
    with ssh_side(tmp_path) as far_side:
        yield far_side


def test_what_arrived_whole_is_verified_with_its_own_digest(side: FarSide) -> None:
    fill(side)
    side.send()

    results = verify.work(side.verify_job()).results

    assert [result.verdict for result in results] == ["verified"] * 4
    assert [result.sha256 for result in results] == [file.sha256 for file in side.files]
    assert [result.path for result in results] == [file.path for file in side.files]


def test_one_flipped_byte_is_found_and_a_resend_mends_it(any_side: FarSide) -> None:
    side = any_side
    fill(side)
    side.send()
    path = side.files[1].path
    flip_one_byte(side.arrived / path)

    before = side.verdicts()
    side.send()

    assert [name for name, verdict in before.items() if verdict != "verified"] == [path]
    assert before[path] == "different"
    assert set(side.verdicts().values()) == {"verified"}


def test_what_is_not_there_is_missing_and_the_rest_is_verified(side: FarSide) -> None:
    fill(side)
    side.send()
    (side.arrived / side.files[0].path).unlink()

    assert list(side.verdicts().values()) == ["missing", "verified", "verified", "verified"]


def test_a_night_that_never_arrived_is_missing(side: FarSide) -> None:
    fill(side)

    assert set(side.verdicts().values()) == {"missing"}


def test_a_folder_under_a_files_name_is_different(side: FarSide) -> None:
    fill(side, files=1)
    (side.arrived / side.files[0].path).mkdir(parents=True)

    assert side.verdicts()[side.files[0].path] == "different"


def test_a_truncated_file_is_different(side: FarSide) -> None:
    fill(side)
    side.send()
    os.truncate(side.arrived / side.files[0].path, 0)

    assert side.verdicts()[side.files[0].path] == "different"


def test_files_count_as_safe_only_where_they_are_moved_to(pair: FarSide) -> None:
    side = pair
    fill(side, files=4)
    side.send()
    safe = side.destination / "sdata" / "ARCHIVED"
    (safe / "vgen2").mkdir(parents=True)
    moved, wrong, lost, spoilt = (file.path for file in side.files[:4])
    shutil.move(side.arrived / moved, safe / moved)
    (safe / wrong).write_bytes(b"wrong")
    (side.arrived / lost).unlink()
    flip_one_byte(side.arrived / spoilt)

    verdicts = side.verdicts(verify_at=safe)

    assert verdicts == {
        moved: "verified",
        wrong: "different",
        lost: "missing",
        spoilt: "different",
        side.files[4].path: "elsewhere",
    }


def test_thousands_of_files_are_verified_in_batches(
    far: FarSide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(far, files=1100, size_bytes=20)
    shutil.copytree(far.night, far.arrived)
    (far.arrived / far.files[1050].path).unlink()
    calls = tmp_path / "calls"
    log_call = f'echo >> {calls}; exec {shutil.which("ssh")} "$@"'
    lie(monkeypatch, liar(tmp_path / "bin", "ssh", log_call))

    verdicts = far.verdicts()

    assert calls.read_text() == "\n" * 3
    assert verdicts.pop(far.files[1050].path) == "missing"
    assert set(verdicts.values()) == {"verified"}
    assert len(verdicts) == 1100


def test_hundreds_of_absent_files_fit_in_the_last_words(far: FarSide) -> None:
    fill(far, files=600, size_bytes=1)

    assert set(far.verdicts().values()) == {"missing"}


def test_the_bytes_are_read_from_the_disk_and_not_from_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = local_side(tmp_path)
    fill(side, files=1, size_bytes=8_000_000)
    side.send()
    resident = tmp_path / "resident"
    there = side.arrived / side.files[0].path
    count = f"fincore --noheadings --bytes --output RES '{there}' > {resident}"
    lie(
        monkeypatch,
        liar(tmp_path / "bin", "sha256sum", f'{count}\nexec {shutil.which("sha256sum")} "$@"'),
    )
    if shutil.which("fincore") is None:
        pytest.skip("fincore is not installed")
    if _file_system(tmp_path) == "tmpfs":
        pytest.skip("a tmpfs is nothing but memory")

    assert set(side.verdicts().values()) == {"verified"}

    assert int(resident.read_text()) == 0


def _file_system(folder: Path) -> str:
    command = ["stat", "--file-system", "--format=%T", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("program", ["sha256sum", "openssl", "xargs", "env"])
@pytest.mark.parametrize("script", ["exit 0", "cat > /dev/null; exit 0", "echo OK; exit 0"])
def test_a_far_program_that_only_pretends_verifies_nothing(
    tmp_path: Path, program: str, script: str
) -> None:
    bin_folder = liar(tmp_path / "bin", program, script)
    with ssh_side(tmp_path, path=f"{bin_folder}:/usr/bin:/bin") as side:
        fill(side)
        with suppress(OperatorError):
            side.send()

        with pytest.raises(OperatorError, match=r"archive 20251106 .*sha256sum"):
            side.verdicts()


@pytest.mark.parametrize("program", ["ssh", "sha256sum", "openssl", "rsync"])
@pytest.mark.parametrize(
    "script",
    ["exit 0", '{real} "$@" | head -c 60', '{real} "$@" | tr 0-8a-e 1-9b-f'],
    ids=["does nothing", "truncates", "changes bytes"],
)
def test_a_liar_on_our_path_never_gives_verified_nor_publishes_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, script: str
) -> None:
    with SIDES["ssh" if program == "ssh" else "local"](tmp_path) as side:
        fill(side)
        if program == "ssh" and script != "exit 0":
            side.send()  # rsync itself would wait two minutes for what such an ssh swallowed
        real = shutil.which(program)
        lie(monkeypatch, liar(tmp_path / "bin", program, script.format(real=real)))
        verdicts: set[str] = set()

        if not side.own:
            with suppress(VampdError):
                side.send()
        with suppress(VampdError):
            verdicts = set(side.verdicts().values())

        arrived = {path for path in side.arrived.rglob("*") if path.is_file()}
        for path in arrived:
            here = side.night / path.relative_to(side.arrived)
            assert path.read_bytes() == here.read_bytes()
        # Only rsync's output may be spoilt without harm: bytes are judged by their digests.
        assert "verified" not in verdicts or (program == "rsync" and arrived)


def test_a_sha256sum_that_makes_digests_up_finds_everything_different(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = local_side(tmp_path)
    fill(side)
    side.send()
    invent = 'shift 2; for f do printf "%064d  %s\\0" 0 "$f"; done'
    lie(monkeypatch, liar(tmp_path / "bin", "sha256sum", invent))

    assert set(side.verdicts().values()) == {"different"}


def test_openssl_digests_where_it_is_installed_and_sha256sum_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = local_side(tmp_path)
    fill(side)
    side.send()
    bin_folder = liar(tmp_path / "bin", "sha256sum", "exit 1")
    (bin_folder / "openssl").unlink()
    lie(monkeypatch, bin_folder)

    assert set(side.verdicts().values()) == {"verified"}


@pytest.mark.parametrize(
    "script",
    ["exit 1", "kill -9 $$", 'echo "Error setting digest" >&2; exit 1'],
    ids=["fails", "is killed", "knows no such digest"],
)
def test_what_openssl_cannot_do_sha256sum_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    side = local_side(tmp_path)
    fill(side)
    side.send()
    (side.arrived / side.files[0].path).unlink()
    lie(monkeypatch, liar(tmp_path / "bin", "openssl", script))

    assert list(side.verdicts().values()) == ["missing", "verified", "verified", "verified"]


def test_a_far_folder_with_a_newline_in_its_name_is_digested_as_any_other(tmp_path: Path) -> None:
    file = tmp_path / "odd\nname"
    file.write_bytes(b"bytes")
    name = str(file)

    command = digest_command(Location.parse(str(tmp_path)), Reach())
    answers = parse_digests(run(command, stdin=name.encode() + b"\0", deadline_seconds=60), {name})

    assert answers[name].sha256 == hashlib.sha256(b"bytes").hexdigest()


@pytest.mark.parametrize(
    ("files", "kernel", "system", "expected"),
    [
        (20, "6.1.0-9-amd64", "xfs", 1),
        (20, "5.8.0", "ext2/ext3", 1),
        (20, "5.4.0-42-generic", "ext2/ext3", 20),  # it does not tell syncfs of failed writes
        (20, "6.1.0", "nfs", 20),
        (3, "6.1.0", "xfs", 3),
    ],
)
def test_many_files_of_one_file_system_are_made_durable_at_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: int,
    kernel: str,
    system: str,
    expected: int,
) -> None:
    names = [tmp_path / f"cube {number}" for number in range(files)]
    for name in names:
        name.write_bytes(b"bytes")
    seen, real = tmp_path / "seen", shutil.which("stat")
    lie(monkeypatch, liar(tmp_path / "bin", "uname", f"echo {kernel}"))
    lie(monkeypatch, liar(tmp_path / "bin", "sync", f'for f do echo "$f" >> {seen}; done'))
    told = f'if [ "$1" = -f ]; then echo {system}; else exec {real} "$@"; fi'
    lie(monkeypatch, liar(tmp_path / "bin", "stat", told))

    command = digest_command(Location.parse(str(tmp_path)), Reach())
    asked = "".join(f"{name}\0" for name in names).encode()
    finished = run(command, stdin=asked, deadline_seconds=60)

    words = [word for word in seen.read_text().splitlines() if word != "--"]
    assert len(finished.stdout.split(b"\0")) == files + 1
    if expected == 1:
        assert words == ["-f", str(names[0])]
    else:
        assert words == [str(name) for name in names]


def test_the_far_side_is_never_told_what_we_expect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"
    with ssh_side(tmp_path) as side:
        fill(side)
        side.send()
        real = shutil.which("ssh")
        record = f'echo "$@" >> {seen}; tee -a {seen} | {real} "$@"'
        lie(monkeypatch, liar(tmp_path / "bin", "ssh", record))

        assert set(side.verdicts().values()) == {"verified"}

        told = seen.read_bytes()
        assert side.files[0].path.encode() in told
        assert not any(file.sha256.encode() in told for file in side.files)


def test_a_login_file_that_talks_is_for_an_operator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ssh_side(tmp_path) as side:
        fill(side)
        side.send()
        real = shutil.which("ssh")
        lie(
            monkeypatch,
            liar(tmp_path / "bin", "ssh", f'echo "Welcome to scexao6"; exec {real} "$@"'),
        )

        with pytest.raises(OperatorError, match="Welcome to scexao6"):
            side.verdicts()


def test_an_absent_machine_says_nothing_about_any_file(far: FarSide) -> None:
    fill(far)
    far.send()
    assert far.sshd is not None
    far.sshd.process.kill()
    far.sshd.process.wait()

    with pytest.raises(RetryableError, match="Connection refused"):
        far.verdicts()


def test_a_changed_host_key_is_for_an_operator(far: FarSide) -> None:
    fill(far)
    assert far.sshd is not None
    far.sshd.change_host_key()

    with pytest.raises(OperatorError, match="Host key verification failed"):
        far.verdicts()


def test_a_forbidden_folder_is_for_an_operator_and_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = local_side(tmp_path)
    fill(side)
    side.send()
    (side.arrived / "vgen2").chmod(0)
    lie(monkeypatch, powerless(tmp_path / "bin", "sha256sum"))

    with pytest.raises(OperatorError, match=r"Permission denied for [34] files at"):
        side.verdicts()


def test_a_sha256sum_killed_midway_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = local_side(tmp_path)
    fill(side)
    side.send()
    lie(monkeypatch, liar(tmp_path / "bin", "sha256sum", "kill -9 $$"))

    with pytest.raises(RetryableError):
        side.verdicts()
