"""How much others wait for disk and memory, as the kernel tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from vampd.io.pressure import waiting_percent


def told(file: Path, some: float) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        f"some avg10={some:.2f} avg60=1.00 avg300=0.00 total=1\n"
        "full avg10=99.00 avg60=0.00 avg300=0.00 total=0\n",
        encoding="ascii",
    )


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    told(tmp_path / "proc/pressure/io", 70)
    (tmp_path / "proc/self").mkdir()
    return tmp_path / "proc"


def test_of_a_process_in_a_group_only_the_others_count(proc: Path, tmp_path: Path) -> None:
    (proc / "self/cgroup").write_text("0::/system.slice/vampd.service\n")
    groups = tmp_path / "cgroup"
    told(groups / "system.slice/io.pressure", 69)
    told(groups / "system.slice/vampd.service/io.pressure", 68)
    told(groups / "system.slice/cron.service/io.pressure", 3)
    told(groups / "user.slice/io.pressure", 12.5)
    (groups / "init.scope").mkdir()

    assert waiting_percent("io", proc, groups) == 12.5


@pytest.mark.parametrize("own", ["0::/\n", "4:memory:/some\n", ""])
def test_without_a_group_of_ones_own_all_tasks_count(proc: Path, tmp_path: Path, own: str) -> None:
    (proc / "self/cgroup").write_text(own)

    assert waiting_percent("io", proc, tmp_path / "cgroup") == 70


def test_a_kernel_that_tells_nothing_is_no_reason_to_wait(proc: Path, tmp_path: Path) -> None:
    assert waiting_percent("memory", proc, tmp_path) is None


@pytest.mark.skipif(not Path("/proc/pressure/io").exists(), reason="this kernel tells nothing")
def test_this_kernel_is_understood() -> None:
    found = waiting_percent("io")

    assert found is not None
    assert 0 <= found <= 100
