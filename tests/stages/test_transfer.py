from __future__ import annotations

import os
import pickle
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.support.far_side import (
    DATE,
    SIDES,
    FarSide,
    fill,
    flip_one_byte,
    helper_side,
    liar,
    lie,
    local_side,
    powerless,
    ssh_side,
)
from tests.support.waiting import wait_for, wait_until
from vampd.errors import IntegrityError, OperatorError, RetryableError, VampdError
from vampd.remote.commands import Reach
from vampd.remote.location import Location
from vampd.remote.rsync import PARTIAL_FOLDER
from vampd.remote.table import store_of
from vampd.stages import transfer
from vampd.states import ErrorCode


@pytest.fixture
def far(tmp_path: Path) -> Iterator[FarSide]:
    with ssh_side(tmp_path) as side:
        yield side


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


def identity(path: Path) -> tuple[int, int, int]:
    found = path.lstat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def here(side: FarSide) -> dict[str, bytes]:
    return {file.path: (side.night / file.path).read_bytes() for file in side.files}


def test_what_is_listed_arrives_and_nothing_else(any_side: FarSide) -> None:
    side = any_side
    fill(side)
    side.add("vgen2/vcam1_05:11:38.080947.txt", b"# solo\n")
    raw = side.night / "vcam1" / "vcam1_05:11:38.080947123.fits"
    raw.parent.mkdir()
    raw.write_bytes(b"raw")

    result = side.send()

    assert arrived(side) == here(side)
    assert sorted(result.sent) == sorted(file.path for file in side.files)
    assert result.bytes == sum(file.size_bytes for file in side.files)


def test_times_are_kept_and_modes_are_sane(side: FarSide) -> None:
    fill(side, files=1)
    path = side.files[0].path
    (side.night / path).chmod(0o400)
    os.utime(side.night / path, ns=(0, 1_762_400_000_123_456_789))

    side.send()

    found = (side.arrived / path).stat()
    assert found.st_mtime_ns == 1_762_400_000_123_456_789
    assert found.st_mode & 0o777 & ~0o020 == 0o644


def test_sending_twice_sends_nothing_the_second_time(side: FarSide) -> None:
    fill(side)
    side.send()

    assert side.send().sent == []


def test_hundreds_of_files_go_in_batches(far: FarSide) -> None:
    fill(far, files=600, size_bytes=20)

    result = far.send()

    assert len(result.sent) == 601
    assert arrived(far) == here(far)


def test_files_get_their_names_in_the_order_of_the_list(
    side: FarSide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(side)
    side.add("vgen2/last.txt", b"")
    names = tmp_path / "names"
    real = shutil.which("ln")
    log_call = f'for f do :; done; echo "$f" >> {names}; exec {real} "$@"'
    lie(monkeypatch, liar(tmp_path / "bin", "ln", log_call))

    side.send()

    order = [str(Path(line).relative_to(side.arrived)) for line in names.read_text().splitlines()]
    assert order == [file.path for file in side.files]


def test_what_is_moved_on_as_soon_as_it_has_its_name_was_published(
    side: FarSide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(side)
    (tmp_path / "moved").mkdir()
    move_on = f'{shutil.which("ln")} "$@" && for f do :; done && mv "$f" {tmp_path}/moved'
    lie(monkeypatch, liar(tmp_path / "bin", "ln", move_on))

    result = side.send()

    assert result.published == side.files
    assert arrived(side) == {}
    assert len(list((tmp_path / "moved").iterdir())) == len(side.files)
    assert not side.incoming.exists()


def test_a_copy_of_ours_that_is_newer_and_wrong_is_set_aside_and_sent_again(
    any_side: FarSide,
) -> None:
    side = any_side
    fill(side, files=1)
    side.send()
    there = side.arrived / side.files[0].path
    there.write_bytes(b"newer, and wrong")
    os.utime(there, (time.time() + 9999,) * 2)

    result = side.send()

    assert arrived(side) == here(side)
    (name,) = result.evidence
    assert name.startswith(f"{side.files[0].path}.sha256-")
    assert side.evidence == {name: b"newer, and wrong"}


def test_the_same_damage_twice_is_kept_twice(pair: FarSide) -> None:
    side = pair
    fill(side, files=1)
    side.send()
    for _ in range(2):
        flip_one_byte(side.arrived / side.files[0].path)
        side.send()

    assert arrived(side) == here(side)
    assert len(side.evidence) == 2
    assert len(set(side.evidence.values())) == 1


def test_another_file_is_not_touched_by_the_helper_either(tmp_path: Path) -> None:
    with helper_side(tmp_path) as side:
        test_what_vampd_never_published_is_never_touched(side, "other bytes")


@pytest.mark.parametrize("make", ["other bytes", "same size and time", "folder", "link"])
def test_what_vampd_never_published_is_never_touched(side: FarSide, make: str) -> None:
    fill(side)
    foreign, source = side.arrived / side.files[1].path, side.night / side.files[1].path
    foreign.parent.mkdir(parents=True)
    if make == "folder":
        foreign.mkdir()
    elif make == "link":
        foreign.symlink_to(foreign.parent)
    else:
        foreign.write_bytes(b"another's" if make == "other bytes" else b"x" * 1000)
        os.utime(foreign, ns=(source.stat().st_mtime_ns,) * 2)
    before = identity(foreign)

    with pytest.raises(IntegrityError, match=r"1 files at .* are not vampd's.*000001"):
        side.send()

    assert identity(foreign) == before
    assert side.evidence == {}
    others = {path: content for path, content in here(side).items() if "000001" not in path}
    assert arrived(side).items() >= others.items()


def test_a_name_that_is_taken_while_it_is_sent_is_a_conflict(
    pair: FarSide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = pair
    fill(side, files=1)
    taken = side.arrived / side.files[0].path
    real = shutil.which("rsync")
    intrude = f"mkdir -p '{taken.parent}'; echo theirs > '{taken}'"
    lie(monkeypatch, liar(tmp_path / "bin", "rsync", f'{intrude}; exec {real} "$@"'))

    with pytest.raises(IntegrityError, match="it appeared just now"):
        side.send()

    assert taken.read_text() == "theirs\n"


def test_what_lies_there_already_with_the_right_bytes_is_not_sent(side: FarSide) -> None:
    fill(side)
    for path, content in here(side).items():
        (side.arrived / path).parent.mkdir(parents=True, exist_ok=True)
        (side.arrived / path).write_bytes(content)

    result = side.send()

    assert result.sent == []
    assert result.published == side.files


def test_nothing_is_left_in_the_folder_in_which_files_arrive(side: FarSide) -> None:
    fill(side)

    side.send()

    assert not side.incoming.exists()


def test_a_publishing_that_was_cut_between_its_two_steps_is_finished(pair: FarSide) -> None:
    side = pair
    fill(side)
    side.send()
    path = side.files[0].path
    (side.incoming / path).parent.mkdir(parents=True)
    os.link(side.arrived / path, side.incoming / path)

    words = store_of(side.transfer_job(), Location.parse(side.place)).publish(DATE, {path: ""})

    assert words == {path: "published"}
    assert arrived(side) == here(side)
    assert not (side.incoming / path).exists()


def test_a_cut_transfer_leaves_no_partial_file_under_a_final_name_and_is_resumed(
    far: FarSide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(far, files=1, size_bytes=6_000_000)

    with (
        far.cut_once_data_flow(),
        pytest.raises(RetryableError, match=f"rsync of archive {DATE} exited"),
    ):
        far.send(bandwidth_kib=1500)
    path = Path(far.files[0].path)
    partial = far.incoming / path.parent / PARTIAL_FOLDER / path.name

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
    job = pickle.dumps(far.transfer_job(bandwidth_kib=1500))
    script = f"import pickle, vampd.stages.transfer as it; it.work(pickle.loads({job!r}))"
    worker = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[2])
    wait_for(far.incoming / "vgen2")
    time.sleep(1.0)

    worker.kill()
    worker.wait()

    assert far.sshd is not None
    connections = far.sshd.connections
    wait_until(lambda: not connections(), lambda: "rsync and ssh outlive their worker")
    whole = here(far)
    assert all(content == whole[path] for path, content in arrived(far).items())
    far.send()
    assert arrived(far) == whole


def test_a_missing_destination_is_for_an_operator(pair: FarSide) -> None:
    side = pair
    fill(side)
    side.destination.rmdir()

    with pytest.raises(OperatorError, match=r"exited 1: there is no such folder") as caught:
        side.send()

    assert caught.value.code is ErrorCode.NO_FOLDER
    assert not side.destination.exists()


def test_a_file_in_the_way_is_for_an_operator(side: FarSide) -> None:
    fill(side)
    side.arrived.write_text("in the way")

    with pytest.raises(OperatorError, match=r"Not a directory|File exists") as caught:
        side.send()

    assert caught.value.code is ErrorCode.IN_THE_WAY


def test_a_read_only_far_disk_is_for_an_operator(side: FarSide) -> None:
    fill(side)

    with (
        mounted(side.destination, "ro"),
        pytest.raises(OperatorError, match="Read-only") as caught,
    ):
        side.send()

    assert caught.value.code is ErrorCode.NO_RIGHTS


def test_a_full_far_disk_is_retried_and_leaves_nothing_under_a_final_name(pair: FarSide) -> None:
    side = pair
    fill(side, files=2, size_bytes=900_000)

    with mounted(side.destination, "size=1m"):
        with pytest.raises(RetryableError, match=r"No space left|a full disk") as caught:
            side.send()
        assert caught.value.code is ErrorCode.FAR_FULL
        whole = here(side)
        for path, content in arrived(side).items():
            assert content == whole[path]


def test_a_forbidden_destination_is_for_an_operator(tmp_path: Path) -> None:
    with ssh_side(tmp_path, path=f"{powerless(tmp_path / 'bin', 'rsync')}:/usr/bin:/bin") as side:
        fill(side)
        side.destination.chmod(0o500)

        with pytest.raises(OperatorError, match=r"Permission denied \(13\)") as caught:
            side.send()

    assert caught.value.code is ErrorCode.NO_RIGHTS


def test_a_changed_host_key_is_for_an_operator(far: FarSide) -> None:
    fill(far)
    assert far.sshd is not None
    far.sshd.change_host_key()

    with pytest.raises(OperatorError, match="IDENTIFICATION HAS CHANGED") as caught:
        far.send()

    assert caught.value.code is ErrorCode.HOST_KEY
    line = str(caught.value).splitlines()[0]
    assert "is another than the one that is known here" in line


def test_a_refused_login_is_for_an_operator_and_asks_nobody(far: FarSide) -> None:
    fill(far)
    assert far.sshd is not None
    far.sshd.forget_client_key()

    with pytest.raises(OperatorError, match="Permission denied") as caught:
        far.send()

    assert caught.value.code is ErrorCode.LOGIN


def test_an_absent_machine_is_tried_again(far: FarSide) -> None:
    fill(far)
    assert far.sshd is not None
    far.sshd.process.kill()
    far.sshd.process.wait()

    with pytest.raises(RetryableError, match="Connection refused") as caught:
        far.send()

    assert caught.value.code is ErrorCode.UNREACHABLE


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
    job = replace(side.transfer_job(), deadline_seconds=0.5)

    with pytest.raises(RetryableError, match="rsync was ended"):
        transfer.work(job)


def test_a_machine_without_rsync_is_for_an_operator(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    with ssh_side(tmp_path, path=str(nothing)) as side:
        fill(side)

        with pytest.raises(OperatorError, match="not found") as caught:
            side.send()

    assert caught.value.code is ErrorCode.NO_PROGRAM


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
    side: FarSide, damage: Callable[[Path], None]
) -> None:
    fill(side)
    damage(side.night / side.files[1].path)

    with pytest.raises(IntegrityError, match="000001"):
        side.send()

    assert not side.arrived.exists()


def test_same_size_and_time_in_the_folder_of_arrivals_fools_nobody(side: FarSide) -> None:
    fill(side)
    path = side.files[1].path
    (side.incoming / path).parent.mkdir(parents=True)
    shutil.copy2(side.night / path, side.incoming / path)
    flip_one_byte(side.incoming / path)

    side.send()

    assert arrived(side) == here(side)


def test_progress_is_told_with_the_error(
    side: FarSide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(side, files=510, size_bytes=1)
    real = shutil.which("rsync")
    names = tmp_path / "names"
    script = f'cat > {names}; grep -qa 000505 {names} && exit 12; {real} "$@" < {names}'
    lie(monkeypatch, liar(tmp_path / "bin", "rsync", script))

    with pytest.raises(RetryableError) as caught:
        side.send()

    published = [file.path for file in caught.value.progress.published]
    assert sorted(published) == sorted(arrived(side))
    assert len(published) == 500


LIES = {
    "does nothing": "exit 0",
    "truncates": '{real} "$@"; code=$?; for f in $(find {there} -type f); do : > "$f"; done;'
    " exit $code",
    "flips a byte": '{real} "$@"; code=$?; for f in $(find {there} -type f); do'
    ' printf X | dd of="$f" bs=1 seek=7 conv=notrunc 2>/dev/null; done; exit $code',
}


@pytest.mark.parametrize("what", LIES)
def test_an_rsync_that_lies_publishes_nothing(
    side: FarSide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    fill(side)
    script = LIES[what].format(real=shutil.which("rsync"), there=shlex.quote(str(side.incoming)))
    lie(monkeypatch, liar(tmp_path / "bin", "rsync", f"IFS='\n'; {script}"))

    with pytest.raises(OperatorError, match="did not arrive"):
        side.send()

    assert arrived(side) == {}


@pytest.mark.parametrize("program", ["ln", "mkdir", "rm", "sync"])
def test_a_far_program_that_lies_takes_no_file_away(tmp_path: Path, program: str) -> None:
    bin_folder = liar(tmp_path / "bin", program)
    with ssh_side(tmp_path, path=f"{bin_folder}:/usr/bin:/bin") as side:
        fill(side)

        with suppress(VampdError):
            side.send()

        whole = here(side)
        assert all(content == whole[path] for path, content in arrived(side).items())


def test_key_files_may_have_spaces_and_quotes_in_their_names(tmp_path: Path) -> None:
    folder = tmp_path / 'it\'s a "folder"'
    with ssh_side(tmp_path) as side:
        fill(side)
        folder.mkdir()
        assert side.sshd is not None
        config = folder / "ssh config"
        shutil.copy(side.sshd.folder / "ssh_config", config)
        side.ssh_options[:] = []
        job = replace(side.transfer_job(), reach=Reach(ssh_options=("-F", str(config))))

        transfer.work(job)

        assert arrived(side) == here(side)


def test_an_error_names_the_night_and_keeps_rsyncs_words(side: FarSide) -> None:
    fill(side)
    side.destination.rmdir()

    with pytest.raises(VampdError, match=rf"for archive {DATE} exited 1: .*\n/.*: No such file"):
        side.send()
