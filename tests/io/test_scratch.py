from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from vampd.io import no_replace
from vampd.io.beneath import Beneath, rename_without_replacing
from vampd.io.scratch import is_over, own, owned, owner_of


def test_a_name_of_scratch_tells_for_what_it_is_and_whose() -> None:
    assert owner_of(owned("a.b.fits.fz")) == ("a.b.fits.fz", own())


@pytest.mark.parametrize("name", ["a.fits.fz", "a.fits.fz.123", "mend-7", "a.host.0123.7"])
def test_another_name_is_nobodys(name: str) -> None:
    assert owner_of(name) is None


def test_only_a_dead_process_or_an_earlier_boot_of_this_host_is_over() -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    here = own()

    assert not is_over(here)
    assert not is_over(replace(here, pid=os.getppid()))
    assert is_over(replace(here, pid=ended.pid))
    assert is_over(replace(here, life="0" * 12))
    assert not is_over(replace(here, host="elsewhere", pid=ended.pid))
    assert not is_over(replace(here, host="elsewhere", life="0" * 12))


def test_a_link_that_was_made_although_the_server_denies_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_the_flag(monkeypatch)
    (tmp_path / "scratch").write_text("one")
    (tmp_path / "final").hardlink_to(tmp_path / "scratch")

    rename_without_replacing(Beneath(tmp_path) / "scratch", Beneath(tmp_path) / "final")

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"final": "one"}


def without_the_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on NFS, which knows no RENAME_NOREPLACE: any other flag is as unknown to the kernel."""
    monkeypatch.setattr(no_replace, "_RENAME_NOREPLACE", 1 << 20)
