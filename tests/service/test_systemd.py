"""What the service says to systemd, and what its unit file asks for."""

from __future__ import annotations

import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from vampd import __version__
from vampd.errors import ConfigError
from vampd.io import systemd
from vampd.settings.load import DEFAULT_PATH
from vampd.settings.sections import Config
from vampd.shipped import default_config, unit_file

UNIT = unit_file().read_text()

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket on which a service manager would listen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


@pytest.fixture
def restored_logging() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("vampd")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    logging.captureWarnings(capture=False)


def test_a_notification_reaches_the_manager(manager: socket.socket) -> None:
    systemd.notify("READY=1")

    assert manager.recv(100) == b"READY=1"


def test_without_a_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)

    systemd.notify("READY=1")


def test_a_manager_that_went_away_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))

    systemd.notify("WATCHDOG=1")


def test_without_systemd_python_the_log_says_so(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "systemd.daemon", None)

    systemd.notify("READY=1")

    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(100)
    assert "systemd-python is missing" in caplog.text


def _journal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, exists: bool, stream: str | None
) -> None:
    """Arrange what a process sees of the journal."""
    if exists:
        (tmp_path / "socket").touch()
    monkeypatch.setattr(systemd, "_JOURNAL_SOCKET", tmp_path / "socket")
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    if stream is not None:
        monkeypatch.setenv("JOURNAL_STREAM", stream)


def _stream_of_stderr() -> str:
    status = os.fstat(2)
    return f"{status.st_dev}:{status.st_ino}"


def test_stderr_is_the_journal_only_if_it_is_that_stream_and_there_is_a_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {}
    for exists in (True, False):
        for stream in (_stream_of_stderr(), "1:2", None):
            with monkeypatch.context() as patch:
                folder = tmp_path / str(exists)
                folder.mkdir(exist_ok=True)
                _journal(patch, folder, exists=exists, stream=stream)
                answers[exists, stream] = systemd.is_stderr_the_journal()

    assert [case for case, answer in answers.items() if answer] == [(True, _stream_of_stderr())]


@pytest.mark.usefixtures("restored_logging")
def test_in_the_journal_capitals_become_fields(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = pytest.importorskip("systemd.journal")
    sent: list[dict[str, object]] = []
    _journal(monkeypatch, tmp_path, exists=True, stream=_stream_of_stderr())
    monkeypatch.setattr(
        journal.JournalHandler.__init__,
        "__defaults__",
        (logging.NOTSET, lambda text, /, **fields: sent.append({**fields, "MESSAGE": text})),
    )

    systemd.set_up_logging()
    logging.getLogger("vampd.stages").info("%s is done", "x", extra={"NIGHT": "20251106"})

    assert [(each["MESSAGE"], each["NIGHT"]) for each in sent] == [("x is done", "20251106")]
    assert (sent[0]["SYSLOG_IDENTIFIER"], sent[0]["VERSION"]) == ("vampd", __version__)


@pytest.mark.usefixtures("restored_logging")
@pytest.mark.parametrize("has_package", [True, False])
def test_elsewhere_the_log_goes_to_stderr_with_universal_time(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    has_package: bool,
) -> None:
    # Without systemd-python, even where the journal is connected: stderr leads there too.
    _journal(
        monkeypatch, tmp_path, exists=True, stream=None if has_package else _stream_of_stderr()
    )
    if not has_package:
        monkeypatch.setitem(sys.modules, "systemd.journal", None)
    monkeypatch.setenv("TZ", "HST10")
    time.tzset()

    systemd.set_up_logging()
    record = logging.makeLogRecord(
        {"name": "vampd", "levelno": 20, "levelname": "INFO", "msg": "seen", "created": 0.25}
    )
    record.msecs = 250
    logging.getLogger("vampd").handle(record)
    monkeypatch.delenv("TZ")
    time.tzset()

    line = f"1970-01-01 00:00:00.250 UT vampd {__version__} INFO: seen\n"
    assert capsys.readouterr().err == line


@pytest.mark.usefixtures("restored_logging")
def test_others_are_heard_only_when_something_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _journal(monkeypatch, tmp_path, exists=False, stream=None)

    systemd.set_up_logging()
    logging.getLogger("apscheduler").info("next wakeup is due")
    logging.getLogger("watchdog").warning("overflow")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("an odd card", stacklevel=1)

    said = capsys.readouterr().err
    assert "wakeup" not in said
    assert "WARNING: overflow" in said
    assert "an odd card" in said


def _installed(folder: Path, text: str) -> Path:
    """The unit, with a programme that exists."""
    path = folder / "vampd.service"
    path.write_text(text.replace("/opt/vampd/current/bin/vampd", "/bin/true"))
    return path


def _verify(path: Path) -> str:
    """What systemd has to say against a unit. It exits 0 on misspelt keys, so only words count."""
    command = ["systemd-analyze", "verify", "--man=no", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stderr


@needs_systemd
def test_systemd_has_nothing_against_the_unit(tmp_path: Path) -> None:
    found = _verify(_installed(tmp_path, UNIT))

    assert found == ""


@needs_systemd
def test_systemd_would_see_a_misspelt_key(tmp_path: Path) -> None:
    found = _verify(_installed(tmp_path, UNIT.replace("ProtectClock", "ProtectClocks")))

    assert "ProtectClocks" in found


@needs_systemd
def test_the_unit_exposes_little(tmp_path: Path) -> None:
    path = _installed(tmp_path, UNIT)
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(path)]

    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    exposure = re.search(r"exposure level for vampd\.service: ([0-9.]+)", said)
    assert exposure is not None
    assert float(exposure.group(1)) <= 1.8


def test_every_group_of_lines_of_the_unit_is_explained() -> None:
    unexplained = [
        paragraph.splitlines()
        for paragraph in UNIT.split("\n\n")
        if "=" in paragraph and "#" not in paragraph and "[Install]" not in paragraph
    ]

    assert unexplained == []


def test_the_unit_does_not_start_again_with_a_wrong_configuration() -> None:
    assert f"RestartPreventExitStatus={ConfigError.exit_code}\n" in UNIT


def test_the_unit_and_the_shipped_settings_name_the_same_places() -> None:
    settings = tomllib.loads(default_config().read_text())
    state_directory = re.search(r"^StateDirectory=(.*)$", UNIT, re.MULTILINE)
    writable = re.search(r"^ReadWritePaths=-(.*)$", UNIT, re.MULTILINE)

    assert state_directory is not None
    assert settings["state_dir"] == f"/var/lib/{state_directory.group(1)}"
    assert writable is not None
    for root in settings["roots"]:
        assert Path(root["path"]).is_relative_to(writable.group(1))
    sockets = re.search(r"^RuntimeDirectory=(.*)$", UNIT, re.MULTILINE)
    assert sockets is not None
    assert Config().socket.parent == Config().reading_socket.parent == Path("/run", sockets[1])
    # The unit names no file, so the commands and the daemon read the same one.
    assert "--config" not in UNIT
    assert str(DEFAULT_PATH) == "/etc/vampd/vampd.toml"


def _of_the_receiver() -> Path:
    """It has a state directory of its own."""
    return unit_file().parent / "vampd-receive.service"


def test_nobody_but_the_services_user_enters_the_state_directory() -> None:
    units = sorted(set(unit_file().parent.glob("*.service")) - {_of_the_receiver()})
    made = (unit_file().parent / "vampd.tmpfiles").read_text()

    assert len(units) == 3
    for unit in units:
        assert "\nStateDirectory=vampd\nStateDirectoryMode=0700\n" in unit.read_text(), unit
    assert "d /var/lib/vampd 0700 vampd vampd" in made
