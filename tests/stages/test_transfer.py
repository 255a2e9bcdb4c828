from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.stages.far_side import (
    DATE,
    FarSide,
    fill,
    flip_one_byte,
    liar,
    lie,
    local_side,
    powerless,
    ssh_side,
)
from vampd.errors import IntegrityError, OperatorError, RetryableError, VampdError
from vampd.io.rsync import PARTIAL_FOLDER
from vampd.stages import transfer


@pytest.fixture
def local(tmp_path: Path) -> FarSide:
    return local_side(tmp_path)


@pytest.fixture
def far(tmp_path: Path) -> Iterator[FarSide]:
    with ssh_side(tmp_path) as side:
        yield side


@pytest.fixture(params=["local", "ssh"])
def side(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FarSide]:
    if request.param == "local":
        yield local_side(tmp_path)
    else:
        with ssh_side(tmp_path) as far_side:
            yield far_side


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """A small file system of its own on *folder*; skips where mounting is not allowed."""
    command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def arrived(side: FarSide) -> dict[str, bytes]:
    return {
        str(path.relative_to(side.arrived)): path.read_bytes()
        for path in side.arrived.rglob("*")
        if path.is_file()
    }


def here(side: FarSide) -> dict[str, bytes]:
    return {file["path"]: (side.night / file["path"]).read_bytes() for file in side.files}


def test_what_is_listed_arrives_and_nothing_else(side: FarSide) -> None:
    fill(side)
    side.add("vgen2/vcam1_05:11:38.080947.txt", b"# solo\n")
    raw = side.night / "vcam1" / "vcam1_05:11:38.080947123.fits"
    raw.parent.mkdir()
    raw.write_bytes(b"raw")

    result = side.send()

    assert arrived(side) == here(side)
    assert sorted(result["sent"]) == sorted(file["path"] for file in side.files)
    assert result["bytes"] == sum(file["size_bytes"] for file in side.files)


def test_times_are_kept_and_modes_are_sane(side: FarSide) -> None:
    fill(side, files=1)
    path = side.files[0]["path"]
    (side.night / path).chmod(0o400)
    os.utime(side.night / path, ns=(0, 1_762_400_000_123_456_789))

    side.send()

    found = (side.arrived / path).stat()
    assert found.st_mtime_ns == 1_762_400_000_123_456_789
    assert found.st_mode & 0o777 & ~0o020 == 0o644


def test_sending_twice_sends_nothing_the_second_time(side: FarSide) -> None:
    fill(side)
    side.send()

    assert side.send()["sent"] == []


def test_five_thousand_files_go_at_once(far: FarSide) -> None:
    fill(far, files=5000, size_bytes=20)

    result = far.send()

    assert len(result["sent"]) == 5001
    assert arrived(far) == here(far)


def test_folders_arrive_in_the_order_of_the_list(
    local: FarSide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(local)
    local.add("vgen2/last.txt", b"")
    names = tmp_path / "names"
    real = shutil.which("rsync")
    lie(monkeypatch, liar(tmp_path / "bin", "rsync", f'tee -a {names} | {real} "$@"'))

    local.send()

    order = names.read_bytes().rstrip(b"\0").decode().split("\0")
    assert [Path(name).parent.name for name in order] == ["vgen2"] * 4 + [""]


def test_an_old_copy_is_replaced_even_when_it_is_newer_and_of_another_size(side: FarSide) -> None:
    fill(side, files=1)
    side.send()
    there = side.arrived / side.files[0]["path"]
    there.write_bytes(b"newer, and wrong")
    os.utime(there, (time.time() + 9999,) * 2)

    side.send()

    assert arrived(side) == here(side)


def test_a_cut_transfer_leaves_no_partial_file_under_a_final_name_and_is_resumed(
    far: FarSide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(far, files=1, size_bytes=6_000_000)

    with (
        far.cut_once_data_flow(),
        pytest.raises(RetryableError, match=f"rsync of archive {DATE} exited"),
    ):
        far.send(bandwidth_kib=1500)
    path = Path(far.files[0]["path"])
    partial = far.arrived / path.parent / PARTIAL_FOLDER / path.name

    wait_for(partial)
    assert not (far.arrived / path).exists()
    kept_bytes = partial.stat().st_size
    assert 0 < kept_bytes < 6_000_000
    stats = tmp_path / "stats"
    real = shutil.which("rsync")
    lie(monkeypatch, liar(tmp_path / "bin", "rsync", f'{real} --stats "$@" | tee -a {stats}'))
    far.send()
    assert arrived(far) == here(far)
    assert not partial.parent.exists()
    matched = re.findall(r"Matched data: ([\d,]+) bytes", stats.read_text())
    assert sum(int(count.replace(",", "")) for count in matched) > 0.9 * kept_bytes


def test_a_killed_worker_takes_its_rsync_along_and_the_next_one_finishes(far: FarSide) -> None:
    fill(far, files=2, size_bytes=3_000_000)
    script = (
        f"from vampd.stages import transfer; transfer.work({far.transfer_job(bandwidth_kib=1500)})"
    )
    worker = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[2])
    wait_for(far.arrived / "vgen2")
    time.sleep(1.0)

    worker.kill()
    worker.wait()

    assert far.sshd is not None
    deadline = time.monotonic() + 10
    while far.sshd.connections():
        assert time.monotonic() < deadline, "rsync and ssh outlive their worker"
        time.sleep(0.05)
    whole = here(far)
    assert all(
        PARTIAL_FOLDER in path or content == whole[path] for path, content in arrived(far).items()
    )
    far.send()
    assert arrived(far) == whole


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not appear"
        time.sleep(0.02)


def test_a_missing_destination_is_for_an_operator(side: FarSide) -> None:
    fill(side)
    side.destination.rmdir()

    with pytest.raises(OperatorError, match=r"exited \d+:\n.*No such file or directory"):
        side.send()

    assert not side.destination.exists()


def test_a_file_in_the_way_is_for_an_operator(side: FarSide) -> None:
    fill(side)
    side.arrived.write_text("in the way")

    with pytest.raises(OperatorError, match="Not a directory"):
        side.send()


def test_a_folder_in_the_way_of_a_file_is_for_an_operator(side: FarSide) -> None:
    fill(side)
    (side.arrived / side.files[0]["path"] / "x").mkdir(parents=True)

    with pytest.raises(OperatorError):
        side.send()


def test_a_read_only_far_disk_is_for_an_operator(side: FarSide) -> None:
    fill(side)

    with mounted(side.destination, "ro"), pytest.raises(OperatorError, match="Read-only"):
        side.send()


def test_a_full_far_disk_is_retried_and_leaves_nothing_under_a_final_name(side: FarSide) -> None:
    fill(side, files=2, size_bytes=900_000)

    with mounted(side.destination, "size=1m"):
        with pytest.raises(RetryableError, match=r"No space left|a full disk"):
            side.send()
        whole = here(side)
        for path, content in arrived(side).items():
            assert PARTIAL_FOLDER in path or content == whole[path]


def test_a_forbidden_destination_is_for_an_operator(tmp_path: Path) -> None:
    with ssh_side(tmp_path, path=f"{powerless(tmp_path / 'bin', 'rsync')}:/usr/bin:/bin") as side:
        fill(side)
        side.destination.chmod(0o500)

        with pytest.raises(OperatorError, match=r"Permission denied \(13\)"):
            side.send()


def test_a_changed_host_key_is_for_an_operator(far: FarSide) -> None:
    fill(far)
    assert far.sshd is not None
    far.sshd.change_host_key()

    with pytest.raises(OperatorError, match="IDENTIFICATION HAS CHANGED"):
        far.send()


def test_a_refused_login_is_for_an_operator_and_asks_nobody(far: FarSide) -> None:
    fill(far)
    assert far.sshd is not None
    far.sshd.forget_client_key()

    with pytest.raises(OperatorError, match="Permission denied"):
        far.send()


def test_an_absent_machine_is_tried_again(far: FarSide) -> None:
    fill(far)
    assert far.sshd is not None
    far.sshd.process.kill()
    far.sshd.process.wait()

    with pytest.raises(RetryableError, match="Connection refused"):
        far.send()


def test_a_connection_that_freezes_is_given_up(far: FarSide) -> None:
    fill(far, files=1, size_bytes=6_000_000)
    far.ssh_options.extend(["-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=2"])

    with far.frozen_once_data_flow(), pytest.raises(RetryableError, match="not responding"):
        far.send(bandwidth_kib=500)


def test_an_rsync_that_hangs_is_ended_at_its_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = local_side(tmp_path)
    fill(side)
    lie(monkeypatch, liar(tmp_path / "bin", "rsync", "exec sleep 60"))
    job = side.transfer_job()
    job["deadline_seconds"] = 0.5

    with pytest.raises(RetryableError, match="rsync was ended"):
        transfer.work(job)


def test_a_machine_without_rsync_is_for_an_operator(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    with ssh_side(tmp_path, path=str(nothing)) as side:
        fill(side)

        with pytest.raises(OperatorError, match=r"rsync.*not found"):
            side.send()


def remove(path: Path) -> None:
    path.unlink()


def shorten(path: Path) -> None:
    path.write_bytes(b"short")


def make_link(path: Path) -> None:
    """A link of the file's own size: that of its target's name."""
    size_bytes = path.stat().st_size
    path.unlink()
    path.symlink_to("x" * size_bytes)


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [remove, shorten, make_link, make_folder])
def test_a_damaged_file_here_is_named_and_nothing_is_sent(
    local: FarSide, damage: Callable[[Path], None]
) -> None:
    fill(local)
    damage(local.night / local.files[1]["path"])

    with pytest.raises(IntegrityError, match="000001"):
        local.send()

    assert not local.arrived.exists()


def test_same_size_and_time_fools_a_first_sending_but_not_a_resend(side: FarSide) -> None:
    fill(side)
    side.send()
    flip_one_byte(side.arrived / side.files[1]["path"])

    fooled = side.send()
    mended = side.send(resend=True)

    assert fooled["sent"] == []
    assert mended["sent"] == [side.files[1]["path"]]
    assert arrived(side) == here(side)


def test_key_files_may_have_spaces_and_quotes_in_their_names(tmp_path: Path) -> None:
    folder = tmp_path / 'it\'s a "folder"'
    with ssh_side(tmp_path) as side:
        fill(side)
        folder.mkdir()
        assert side.sshd is not None
        config = folder / "ssh config"
        shutil.copy(side.sshd.folder / "ssh_config", config)
        side.ssh_options[:] = []
        job = side.transfer_job()
        job["ssh_options"] = ["-F", str(config)]

        transfer.work(job)

        assert arrived(side) == here(side)


def test_an_error_names_the_night_and_keeps_rsyncs_words(local: FarSide) -> None:
    fill(local)
    local.destination.rmdir()

    with pytest.raises(
        VampdError, match=rf"rsync of archive {DATE} exited 11:\nrsync: \[Receiver\]"
    ):
        local.send()
