from __future__ import annotations

import hashlib
import itertools
import os
import pickle
import random
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from msgspec.structs import replace
from numpy.typing import NDArray

from tests.support.raw_cubes import FIRST_US, PERIOD_US, build_job, with_output, write_raw_cube
from vampd.errors import InputError, IntegrityError, ResourceError, VampdError
from vampd.io import beneath
from vampd.io import publish as publishing
from vampd.io.fits import Tiles
from vampd.io.scratch import own
from vampd.records import BuiltOutput
from vampd.stages.build_cube import build_cube as work
from vampd.stages.build_job import BuildJob, BuildResult
from vampd.stages.compare import compare_all_frames
from vampd.states import FlcState

NAME = "vcam1_05:10:00.000000"
TILES = pytest.mark.parametrize("tiles", ["frame", "row"])


def noise(frames: int, height: int = 6, width: int = 9, *, seed: int = 1) -> NDArray[np.uint16]:
    cube = np.random.default_rng(seed).integers(0, 65536, (frames, height, width))
    return cube.astype(np.uint16)


def read(path: Path) -> NDArray[np.uint16]:
    with fits.open(path, checksum=True) as units:
        pixels: NDArray[np.uint16] = units[1].data
    return pixels


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def dead_pid() -> int:
    with subprocess.Popen(["true"]) as ended:
        return ended.pid


@pytest.fixture
def night(tmp_path: Path) -> Path:
    folder = tmp_path / "20251106"
    folder.mkdir()
    return folder


@TILES
@pytest.mark.parametrize("shape", [(1, 6, 9), (11, 5, 7), (4, 9, 1), (2, 536, 536)])
def test_an_output_holds_the_frames_of_its_raw_cube(
    night: Path, shape: tuple[int, int, int], tiles: Tiles
) -> None:
    cube = noise(*shape)
    job = build_job(night, [write_raw_cube(night, cube)], tiles=tiles)

    result = work(job)

    path = night / "vgen2" / f"{NAME}.fits.fz"
    assert np.array_equal(read(path), cube)
    assert result.outputs == (
        BuiltOutput(
            output=100,
            size_bytes=path.stat().st_size,
            sha256=sha256(path),
            timing_size_bytes=(night / "vgen2" / f"{NAME}.txt").stat().st_size,
            timing_sha256=sha256(night / "vgen2" / f"{NAME}.txt"),
        ),
    )
    assert names(night / "vgen2") == [f"{NAME}.fits.fz", f"{NAME}.txt"]
    assert names(night / ".vampd" / "scratch") == []


def test_a_raw_cube_of_two_axes_becomes_one_of_three(night: Path) -> None:
    cube = noise(1)
    work(build_job(night, [write_raw_cube(night, cube, axes=2)]))

    with fits.open(night / "vgen2" / f"{NAME}.fits.fz") as units:
        assert units[1].header["NAXIS"] == 3
        assert np.array_equal(units[1].data, cube)


@TILES
def test_frames_of_several_raw_cubes_are_dealt_to_their_states_in_one_pass(
    night: Path, tiles: Tiles
) -> None:
    first, second = noise(5, seed=1), noise(4, seed=2)
    paths = [
        write_raw_cube(night, first, stem="vcam1_05:10:00.000000000"),
        write_raw_cube(
            night, second, stem="vcam1_05:10:01.000000000", first_us=FIRST_US + 5 * PERIOD_US
        ),
    ]
    job = build_job(night, paths, tiles=tiles, states=True)
    of_a, of_b = job.outputs
    (raw_file, start, step, count), *others = of_b.segments
    of_b = replace(  # the last frame of B in the first cube becomes D
        of_b,
        segments=((raw_file, start, step, count - 1), *others),
        acquired_us=np.delete(of_b.acquired_us, count - 1),
    )
    dubious = replace(
        of_a,
        output=102,
        file_name=f"{NAME}.D",
        flc_state=FlcState.DUBIOUS,
        segments=((1, 3, 1, 1),),
        acquired_us=np.array([FIRST_US + 3 * PERIOD_US]),
    )
    job = replace(job, outputs=(of_a, of_b, dubious))

    work(job)

    folder = night / "vgen2"
    assert np.array_equal(
        read(folder / f"{NAME}.A.fits.fz"), np.concatenate([first[::2], second[::2]])
    )
    assert np.array_equal(
        read(folder / f"{NAME}.B.fits.fz"), np.concatenate([first[1:3:2], second[1::2]])
    )
    assert np.array_equal(read(folder / f"{NAME}.D.fits.fz"), first[3:4])
    times = {}
    for state in "ABD":
        header = fits.getheader(folder / f"{NAME}.{state}.fits.fz", 1)
        assert header["U_FLC"] == state
        times[state] = [header[key] for key in ("MJD", "UT-STR", "UT-END")]
    assert times["A"] == times["B"] == times["D"]


def test_the_timing_file_has_the_rows_of_just_those_frames(night: Path) -> None:
    job = build_job(night, [write_raw_cube(night, noise(5))], states=True)
    of_a, of_b = job.outputs
    job = replace(job, outputs=(of_a, replace(of_b, acquired_us=of_b.acquired_us + 7)))

    work(job)

    lines = (night / "vgen2" / f"{NAME}.B.txt").read_text().splitlines()
    rows = [line.split() for line in lines if not line.startswith("#")]
    assert lines[:2] == ["# Telemetry stream timing data", "#"]
    assert [row[0] for row in rows] == ["0", "1"]
    assert [row[1] for row in rows] == ["1001", "1003"]
    assert [row[4] for row in rows] == ["1762405800.010007", "1762405800.030007"]


IN_A_PROCESS = """
import pickle, sys
from vampd.stages.build_cube import build_cube as work
result = work(pickle.load(open(sys.argv[1], "rb")))
# Not ru_maxrss: exec hands the parent's peak on to the child.
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
sys.stdout.buffer.write(pickle.dumps((result, int(status["VmHWM"].split()[0]))))
"""


def work_in_a_process(
    job: BuildJob, folder: Path, surroundings: dict[str, str] | None = None
) -> tuple[BuildResult, int]:
    """The result, and the most memory in KiB."""
    file = folder / "job.pickle"
    file.write_bytes(pickle.dumps(job))
    done = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS, str(file)],
        env=os.environ | (surroundings or {}),
        stdout=subprocess.PIPE,
        check=True,
    )
    answer: tuple[BuildResult, int] = pickle.loads(done.stdout)
    return answer


def test_two_builds_of_the_same_frames_are_identical_whatever_the_surroundings(
    night: Path, tmp_path: Path
) -> None:
    job = build_job(night, [write_raw_cube(night, noise(5))])
    results = []
    for zone, language in (("UTC", "C"), ("Asia/Tokyo", "de_DE.UTF-8")):
        surroundings = {"TZ": zone, "LC_ALL": language, "HOME": "/nonexistent"}
        results.append(work_in_a_process(job, tmp_path, surroundings)[0])
        for path in (night / "vgen2").iterdir():
            path.unlink()

    assert results[0] == results[1] == work(job)


def test_files_that_a_start_before_the_crash_published_are_adopted(night: Path) -> None:
    job = build_job(night, [write_raw_cube(night, noise(5))], states=True)
    first = work(job)
    (night / "vgen2" / f"{NAME}.B.fits.fz").unlink()
    inode = (night / "vgen2" / f"{NAME}.A.fits.fz").stat().st_ino

    assert work(job) == first

    assert (night / "vgen2" / f"{NAME}.A.fits.fz").stat().st_ino == inode
    assert len(names(night / "vgen2")) == 4
    assert names(night / ".vampd" / "scratch") == []


@pytest.mark.parametrize("ending", [".fits.fz", ".txt"])
def test_a_different_file_under_the_final_name_is_not_replaced(night: Path, ending: str) -> None:
    job = build_job(night, [write_raw_cube(night, noise(5))])
    (night / "vgen2").mkdir()
    (night / "vgen2" / f"{NAME}{ending}").write_bytes(b"somebody's")

    with pytest.raises(IntegrityError, match="exists with other bytes"):
        work(job)

    assert (night / "vgen2" / f"{NAME}{ending}").read_bytes() == b"somebody's"
    assert names(night / ".vampd" / "scratch") == []


def test_left_overs_of_killed_builders_are_cleared(night: Path) -> None:
    job = build_job(night, [write_raw_cube(night, noise(5))])
    scratch = night / ".vampd" / "scratch"
    scratch.mkdir(parents=True)
    dead, alive = replace(own(), pid=dead_pid()), replace(own(), pid=os.getppid())
    earlier = [f"{job.unit}.0.elsewhere.{own().life}.1", f"else.7.{dead}"]
    others = [f"{job.unit}.1.elsewhere.{own().life}.1", f"else.0.{alive}"]
    for name in (*earlier, *others):
        (scratch / name).mkdir()
        (scratch / name / f"{NAME}.fits.fz").write_bytes(b"half")
    (scratch / f"{NAME}.fits.fz.123").write_bytes(b"half, of an earlier version")

    work(job)

    assert names(scratch) == sorted(others)


def test_raw_files_keep_their_bytes_and_all_their_times(night: Path) -> None:
    paths = [write_raw_cube(night, noise(5))]
    paths.append(paths[0].with_suffix(".txt"))
    job = build_job(night, paths[:1])
    digests = [sha256(path) for path in paths]
    for path in paths:
        os.utime(path, ns=(0, path.stat().st_mtime_ns))
    before = [path.stat() for path in paths]

    work(job)

    assert [path.stat() for path in paths] == before
    assert [sha256(path) for path in paths] == digests


def at_fsync_of_a_cube(monkeypatch: pytest.MonkeyPatch, happens: Callable[[int], object]) -> None:
    """Let something happen in the world while the cube is being synchronised."""
    honest_fsync = os.fsync

    def fsync(descriptor: int) -> None:
        honest_fsync(descriptor)
        if ".fits.fz." in Path(f"/proc/self/fd/{descriptor}").readlink().name:
            happens(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


def flip(descriptor: int, position: int) -> None:
    byte = os.pread(descriptor, 1, position)[0]
    os.pwrite(descriptor, bytes([byte ^ 1]), position)


@pytest.mark.parametrize("where", ["header", "table", "heap", "padding"])
def test_a_byte_that_the_disk_flips_is_caught_before_anything_is_published(
    night: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = build_job(night, [write_raw_cube(night, noise(5))])
    position = {"header": 100, "table": 5760 + 5, "heap": 5760 + 45, "padding": -1}[where]
    at_fsync_of_a_cube(
        monkeypatch,
        lambda descriptor: flip(
            descriptor, position if position >= 0 else os.fstat(descriptor).st_size - 1
        ),
    )

    with pytest.raises(IntegrityError, match="read back differ from those written"):
        work(job)

    assert names(night / "vgen2") == []
    assert names(night / ".vampd" / "scratch") == []


@pytest.mark.parametrize("change", ["touched", "appended", "one byte"])
def test_a_raw_cube_that_changes_while_it_is_built_is_caught(
    night: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_raw_cube(night, noise(5))
    job = build_job(night, [path])

    def happens(_: int) -> None:
        if change == "touched":
            os.utime(path)
        elif change == "appended":
            os.truncate(path, path.stat().st_size + 1)
        else:
            with path.open("r+b") as file:
                file.seek(3000)
                file.write(b"!")

    at_fsync_of_a_cube(monkeypatch, happens)

    with pytest.raises(IntegrityError):
        work(job)

    assert names(night / "vgen2") == []


@pytest.mark.parametrize("which", ["cube", "timing"])
@pytest.mark.parametrize("change", ["touched", "gone"])
def test_a_raw_file_that_changed_since_it_was_planned_for_is_refused(
    night: Path, which: str, change: str
) -> None:
    path = write_raw_cube(night, noise(5))
    job = build_job(night, [path])
    changed = path if which == "cube" else path.with_suffix(".txt")
    if change == "touched":
        os.utime(changed, ns=(0, 0))
    else:
        changed.unlink()

    with pytest.raises(IntegrityError, match=changed.name):
        work(job)

    assert names(night / "vgen2") == []


def test_a_frame_that_the_raw_cube_has_not_is_refused(night: Path) -> None:
    job = with_output(build_job(night, [write_raw_cube(night, noise(5))]), segments=((1, 1, 1, 5),))

    with pytest.raises(IntegrityError, match="frame 5 was planned for"):
        work(job)


def test_raw_cubes_of_two_shapes_are_refused(night: Path) -> None:
    paths = [
        write_raw_cube(night, noise(2), stem="vcam1_05:10:00.000000000"),
        write_raw_cube(night, noise(2, 9, 6), stem="vcam1_05:10:01.000000000"),
    ]

    with pytest.raises(IntegrityError, match="frames of another shape"):
        work(build_job(night, paths))

    assert names(night / ".vampd" / "scratch") == []


def test_a_cube_that_is_cut_short_is_its_own_error(night: Path) -> None:
    path = write_raw_cube(night, noise(500))
    os.truncate(path, path.stat().st_size - 2880)
    job = build_job(night, [path])

    with pytest.raises(InputError, match="demands") as caught:
        work(job)

    assert caught.value.path == f"vcam1/{path.name}"


def test_cards_that_do_not_suit_their_format_are_reported_once_with_their_file(
    night: Path,
) -> None:
    path = write_raw_cube(night, noise(4), extra=["AIRMASS = 'high    '"])

    result = work(build_job(night, [path], states=True))

    assert result.reports == (
        (
            "AIRMASS does not suit %20.3f; left as it is",
            f"vcam1/{path.name}: AIRMASS = 'high '",
        ),
    )


@pytest.fixture
def small_disk(night: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root mounts a small disk")
    size = "size=600k"
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(night)], check=False)
    if mount.returncode != 0:
        pytest.skip("no mounts allowed here")
    yield night
    subprocess.run(["umount", str(night)], check=True)


def test_a_full_disk_is_a_shortage_and_leaves_nothing_behind(small_disk: Path) -> None:
    path = write_raw_cube(small_disk, noise(20, 100, 100))  # 400 kB that do not shrink
    job = build_job(small_disk, [path])

    with pytest.raises(ResourceError, match="No space left on device"):
        work(job)

    assert names(small_disk / "vgen2") == []
    assert names(small_disk / ".vampd" / "scratch") == []


def test_no_file_is_left_open_after_a_failure(night: Path) -> None:
    path = write_raw_cube(night, noise(5))
    job = with_output(build_job(night, [path]), segments=((1, 1, 1, 5),))
    with pytest.raises(VampdError):
        work(job)
    before = names(Path("/proc/self/fd"))

    with pytest.raises(VampdError):
        work(job)

    assert len(names(Path("/proc/self/fd"))) == len(before)


def test_published_files_are_readable_by_all(night: Path) -> None:
    before = os.umask(0o077)
    try:
        work(build_job(night, [write_raw_cube(night, noise(2))]))
    finally:
        os.umask(before)

    for path in (night / "vgen2").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o644


def built(night: Path, *, tiles: Tiles = "frame", states: bool = False) -> BuildJob:
    """A job that was done, with the digests that the ledger records."""
    job = build_job(night, [write_raw_cube(night, noise(7))], tiles=tiles, states=states)
    done = zip(job.outputs, work(job).outputs, strict=True)
    return replace(
        job, outputs=tuple(replace(output, sha256=found.sha256) for output, found in done)
    )


@TILES
def test_a_full_comparison_finds_nothing_where_nothing_differs(night: Path, tiles: Tiles) -> None:
    assert compare_all_frames(built(night, tiles=tiles, states=True)) == []
    assert names(night / ".vampd" / "scratch") == []


@TILES
def test_a_full_comparison_names_every_frame_that_differs(night: Path, tiles: Tiles) -> None:
    job = with_output(
        built(night, tiles=tiles), segments=((1, 0, 1, 3), (1, 2, 1, 2), (1, 5, 1, 2))
    )

    differences = compare_all_frames(job)

    assert differences == [
        f"{NAME}.fits.fz: frame 3 differs from frame 2 of vcam1/{NAME}000.fits",
        f"{NAME}.fits.fz: frame 4 differs from frame 3 of vcam1/{NAME}000.fits",
    ]


@TILES
def test_a_full_comparison_sees_an_output_with_too_few_or_too_many_frames(
    night: Path, tiles: Tiles
) -> None:
    job = with_output(
        built(night, tiles=tiles),
        segments=((1, 0, 1, 7), (1, 6, 1, 1)),
        acquired_us=np.arange(8),
    )

    differences = compare_all_frames(job)

    assert len(differences) == 1
    assert f"{NAME}.fits.fz" in differences[0]


@pytest.mark.parametrize("damage", ["flipped", "missing", "a folder"])
def test_a_full_comparison_tells_of_a_damaged_output_and_goes_on(night: Path, damage: str) -> None:
    job = built(night, states=True)
    path = night / "vgen2" / f"{NAME}.A.fits.fz"
    if damage == "flipped":
        with path.open("r+b") as file:
            flip(file.fileno(), 6000)
    else:
        path.unlink()
        if damage == "a folder":
            path.mkdir()

    differences = compare_all_frames(job)

    assert len(differences) == 1
    assert differences[0].startswith(f"{path.name}: ")


def test_a_full_comparison_compares_with_the_raw_files_that_were_planned_for(night: Path) -> None:
    job = built(night)
    os.utime(night / job.raw[1].path, ns=(0, 0))

    with pytest.raises(IntegrityError, match="raw file changed"):
        compare_all_frames(job)


@pytest.mark.parametrize("read_whole", [None, frozenset()], ids=["by funpack too", "by astropy"])
def test_raw_pixels_that_read_differently_the_second_time_are_caught(
    night: Path, monkeypatch: pytest.MonkeyPatch, read_whole: frozenset[int] | None
) -> None:
    path = write_raw_cube(night, noise(5))
    job = replace(build_job(night, [path]), read_whole=read_whole)
    modified_ns = path.stat().st_mtime_ns

    def rot(_: int) -> None:
        with path.open("r+b") as file:
            flip(file.fileno(), 2880 + 7)
        os.utime(path, ns=(0, modified_ns))

    at_fsync_of_a_cube(monkeypatch, rot)

    with pytest.raises(IntegrityError, match="frame 0 differs from frame 0 of vcam1/"):
        work(job)

    assert names(night / "vgen2") == []


def test_a_timing_file_that_changes_while_it_is_read_is_caught(
    night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_raw_cube(night, noise(5)).with_suffix(".txt")
    job = build_job(night, [path.with_suffix(".fits")])
    honest_preadv = os.preadv

    def preadv(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        if Path(f"/proc/self/fd/{descriptor}").readlink().suffix == ".txt":
            os.utime(path)
        return honest_preadv(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", preadv)

    with pytest.raises(IntegrityError, match=path.name):
        work(job)


def test_frames_are_read_once_from_front_to_back(
    night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_raw_cube(night, noise(20))
    job = build_job(night, [path], states=True)
    offsets: list[int] = []
    honest_preadv = os.preadv

    def preadv(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            offsets.append(offset)
        return honest_preadv(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", preadv)
    work(job)

    assert offsets[:20] == [2880 + 2 * 6 * 9 * frame for frame in range(20)]


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.campaign)])
def test_a_builder_killed_at_any_step_leaves_only_whole_files_and_is_resumed(
    night: Path, every: int
) -> None:
    job = build_job(night, [write_raw_cube(night, noise(5))], states=True)
    result = work(job)
    # Nothing that is written depends on these, and the trials take their time.
    again = replace(job, tried=result.tried, read_whole=())
    folder, scratch = night / "vgen2", night / ".vampd" / "scratch"
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    killed = 0

    for step in itertools.count(random.randrange(every), every):
        for path in folder.iterdir():
            path.unlink()
        if not killed_at(step, job):
            break
        killed += 1
        for path in folder.iterdir():
            assert path.read_bytes() == whole[path.name], f"{path.name} after step {step}"
        assert work(again).outputs == result.outputs
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole
        assert names(scratch) == []

    assert killed > 60 // every


STEPS = ("open", "pwrite", "write", "fsync", "fchmod", "unlink", "close", "preadv", "mkdir", "stat")


def killed_at(step: int, job: BuildJob) -> bool:
    """Do the job in a child that is killed before its *step*-th call; whether it was."""
    child = os.fork()
    if child == 0:
        try:
            make_deadly(step)
            work(job)
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, -signal.SIGKILL}
    return code != 0


def make_deadly(step: int) -> None:
    calls = itertools.count()

    def deadly(honest: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            if next(calls) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return honest(*arguments, **options)

        return call

    for name in STEPS:
        setattr(os, name, deadly(getattr(os, name)))
    rename = deadly(beneath.rename_without_replacing)
    vars(publishing)["rename_without_replacing"] = rename


def test_memory_does_not_grow_with_the_cube(night: Path, tmp_path: Path) -> None:
    """The cube has 400 MB, the promise is 256 MiB; larger ones are the benchmark's."""
    first = np.full((1, 536, 536), 32768, dtype=np.uint16)
    job = build_job(night, [write_raw_cube(night, first, declared_frames=700)])

    assert work_in_a_process(job, tmp_path)[1] < 128 << 10


def funpack_that_says(folder: Path, words: str) -> dict[str, str]:
    """A PATH on which funpack does what the shell *words* say."""
    program = folder / "bin" / "funpack"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{words}\n")
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{os.environ['PATH']}"}


def test_funpack_reads_every_frame_of_the_outputs_that_are_asked_for(
    night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told"
    real = shutil.which("funpack")
    words = f'readlink -f "$3" >> {told}; exec {real} "$@"'
    for name, value in funpack_that_says(tmp_path, words).items():
        monkeypatch.setenv(name, value)
    job = build_job(night, [write_raw_cube(night, noise(5))], states=True)

    work(replace(job, read_whole=(101,)))

    outputs = [Path(line).name.partition(".fits")[0] for line in told.read_text().split()]
    assert outputs == ["trial", f"{NAME}.B"]
    assert names(night / ".vampd" / "scratch") == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ('echo "illegal character in keyword" >&2; exit 207', "illegal character"),
        ('cp "$3" "$2"', "reads other pixels"),
        ("exit 0", "made no file"),
        ("kill -SEGV $$", "exit -11"),
    ],
)
def test_what_funpack_cannot_read_is_never_published(
    night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, says: str
) -> None:
    for name, value in funpack_that_says(tmp_path, words).items():
        monkeypatch.setenv(name, value)
    job = build_job(night, [write_raw_cube(night, noise(5))])

    with pytest.raises(IntegrityError, match=says):
        work(job)

    assert names(night / "vgen2") == []
    assert names(night / ".vampd" / "scratch") == []


def test_a_frame_that_funpack_reads_otherwise_is_never_published(
    night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (
        f'{shutil.which("funpack")} "$@" || exit; printf x | dd of="$2" bs=1 seek=5000 conv=notrunc'
    )
    for name, value in funpack_that_says(tmp_path, words).items():
        monkeypatch.setenv(name, value)
    job = build_job(night, [write_raw_cube(night, noise(20, 20, 20))])

    with pytest.raises(IntegrityError, match=f"{NAME}.fits.fz: frame 2 differs from frame 2"):
        work(job)

    assert names(night / "vgen2") == []


def test_each_file_of_a_task_is_made_durable_once_and_their_folder_once_after_the_last(
    night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = build_job(night, [write_raw_cube(night, noise(6))], states=True)
    for folder in ("vgen2", ".vampd/scratch"):
        (night / folder).mkdir(parents=True)
    for old in (night, night / ".vampd"):
        os.utime(old, (1e9, 1e9))
    really, synced = os.fsync, []

    def noting(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        really(descriptor)

    monkeypatch.setattr(os, "fsync", noting)

    work(job)

    *files, last = synced
    assert last == night / "vgen2"
    assert sorted(file.name.rsplit(".", 3)[0] for file in files) == [
        f"{NAME}.{state}.{ending}" for state in ("A", "B") for ending in ("fits.fz", "txt")
    ]
    assert {file.parent.parent for file in files} == {night / ".vampd" / "scratch"}
