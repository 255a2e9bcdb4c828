from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.support.waiting import wait_until
from vampd.errors import OperatorError, RetryableError
from vampd.io.process import run


def lives(process: int) -> bool:
    """Whether *process* runs: a zombie does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_for_number(path: Path) -> int:
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


def wait_until_dead(process: int) -> None:
    wait_until(lambda: not lives(process), lambda: f"process {process} lives on")


def test_status_output_and_last_words_come_back() -> None:
    finished = run(["sh", "-c", "cat; echo sorry >&2; exit 3"], stdin=b"hi", deadline_seconds=10)

    assert (finished.code, finished.stdout, finished.stderr_tail) == (3, b"hi", "sorry")


def test_a_program_ended_by_a_signal_has_a_negative_status() -> None:
    finished = run(["sh", "-c", "kill -9 $$"], deadline_seconds=10)

    assert finished.code == -signal.SIGKILL


def test_more_than_a_pipe_holds_goes_in_and_out_at_once() -> None:
    much = os.urandom(3_000_000)

    finished = run(["cat"], stdin=much, deadline_seconds=20)

    assert finished.stdout == much


def test_a_program_that_reads_none_of_its_input_is_no_error() -> None:
    finished = run(["true"], stdin=bytes(3_000_000), deadline_seconds=10)

    assert finished.code == 0


def test_the_deadline_ends_the_whole_group_and_keeps_its_last_words(tmp_path: Path) -> None:
    grandchild = tmp_path / "grandchild"
    script = f"echo working >&2; sleep 60 & echo $! > {grandchild}; wait"

    with pytest.raises(RetryableError, match=r"sh was ended: not done after 0.5 s\nworking"):
        run(["sh", "-c", script], deadline_seconds=0.5)

    wait_until_dead(wait_for_number(grandchild))


def test_a_program_that_ignores_the_polite_signal_is_killed() -> None:
    started = time.monotonic()

    with pytest.raises(RetryableError):
        run(["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"], deadline_seconds=0.3)

    assert time.monotonic() - started < 9


def test_the_polite_signal_leaves_time_to_tidy_up(tmp_path: Path) -> None:
    tidy = tmp_path / "tidy"

    with pytest.raises(RetryableError):
        run(
            ["sh", "-c", f"trap 'echo 1 > {tidy}; exit' TERM; while :; do sleep 0.05; done"],
            deadline_seconds=0.5,
        )

    assert tidy.exists()


def test_silence_ends_a_program_and_noise_does_not() -> None:
    noisy = run(
        ["sh", "-c", "for i in 1 2 3 4 5 6; do echo; sleep 0.2; done"],
        deadline_seconds=20,
        idle_seconds=0.8,
    )

    assert noisy.code == 0
    with pytest.raises(RetryableError, match="silent"):
        run(["sleep", "60"], deadline_seconds=20, idle_seconds=0.3)


def test_a_heir_of_the_pipes_neither_delays_the_answer_nor_lives_on(tmp_path: Path) -> None:
    heir = tmp_path / "heir"
    started = time.monotonic()

    finished = run(["sh", "-c", f"sleep 60 & echo $! > {heir}; echo done"], deadline_seconds=30)

    assert finished.stdout == b"done\n"
    assert time.monotonic() - started < 5
    wait_until_dead(wait_for_number(heir))


def test_a_child_dies_with_its_killed_parent(tmp_path: Path) -> None:
    number = tmp_path / "number"
    script = textwrap.dedent(f"""
        from vampd.io.process import run
        run(["sh", "-c", "echo $$ > {number}; exec sleep 60"], deadline_seconds=60)
    """)
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[2])
    child = wait_for_number(number)

    parent.kill()
    parent.wait()

    wait_until_dead(child)


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    with pytest.raises(OperatorError, match=r"rsync is not installed.*Debian package rsync"):
        run(["rsync"], deadline_seconds=1)


def test_a_file_that_cannot_be_executed_does_not_look_like_success(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF nonsense")
    broken.chmod(0o755)

    finished = run([str(broken)], deadline_seconds=5)

    assert finished.code != 0


def test_endless_output_is_stopped() -> None:
    with pytest.raises(OperatorError, match="more than 100000 bytes"):
        run(["yes"], deadline_seconds=10, stdout_limit_bytes=100_000)


def test_endless_complaints_are_kept_to_their_end() -> None:
    script = "i=0; while [ $i -lt 5000 ]; do echo complaint $i >&2; i=$((i+1)); done"

    finished = run(["sh", "-c", script], deadline_seconds=20, stderr_limit_bytes=100)

    assert finished.stderr_tail.endswith("complaint 4999")
    assert len(finished.stderr_tail) <= 100


def test_lines_are_handed_over_as_they_come() -> None:
    lines: list[bytes] = []

    finished = run(
        ["printf", r"one\r\ntwo\r 50%%\rthree"],
        deadline_seconds=10,
        on_line=lines.append,
        stdout_limit_bytes=100,
    )

    assert lines == [b"one", b"two", b" 50%", b"three"]
    assert finished.stdout == b""


def test_it_speaks_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "ja_JP.UTF-8")

    finished = run(["sh", "-c", "echo $LC_ALL"], deadline_seconds=10)

    assert finished.stdout == b"C\n"


def test_it_cannot_ask_the_operators_terminal(tmp_path: Path) -> None:
    answer = tmp_path / "answer"
    ask = f"(: < /dev/tty) 2> /dev/null && echo asked > {answer} || echo none > {answer}"
    script = tmp_path / "script.py"
    script.write_text(
        f"from vampd.io.process import run\nrun(['sh', '-c', {ask!r}], deadline_seconds=10)\n"
    )

    subprocess.run(  # script(1) gives its command a terminal
        ["script", "--quiet", "--command", f"{sys.executable} {script}", "/dev/null"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        check=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )

    assert answer.read_text() == "none\n"


def test_last_words_cannot_drive_a_terminal() -> None:
    finished = run(["printf", r"\033[2Jgone\n"], deadline_seconds=10)
    spoken = run(["sh", "-c", r"printf '\033[2Jgone\n' >&2"], deadline_seconds=10)

    assert finished.stdout == b"\x1b[2Jgone\n"
    assert spoken.stderr_tail == "?[2Jgone"


def test_no_descriptor_is_left_open() -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()

    for _ in range(3):
        run(["true"], deadline_seconds=10)
        with pytest.raises(RetryableError):
            run(["sleep", "9"], deadline_seconds=0.05)

    assert descriptors() == before
