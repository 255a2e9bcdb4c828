"""`vampd admin demo`: a whole night goes through, from simulated cameras to verified copies."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import click
from msgspec import Struct
from msgspec.structs import replace

from vampd.commands.screen import Screen, count_text
from vampd.commands.status_picture import Wish, take
from vampd.commands.status_screen import lines
from vampd.errors import OperatorError, RetryableError, UsageError
from vampd.io.clock import SystemClock
from vampd.ledger.connection import ledger_path
from vampd.ledger.reading import reading
from vampd.settings.load import load as load_config
from vampd.shipped import default_config
from vampd.simulation.night import play, reference_night
from vampd.states import Stage, TaskState
from vampd.views.summaries import Summary, nights, summarise

#: The night's thirteen minutes take a quarter of one.
_SPEED = 60.0

#: Times this is longer than the longest silence of the cameras in it, 91 s, is at that speed.
_QUIET_SECONDS = 4.0

#: So many of the cameras' first steps are done before the daemon looks: it must find a night.
_HEAD_START = 3

#: A night is done in half a minute; a machine that needs longer than this is in trouble.
_DEADLINE_SECONDS = 300.0

_LOOK_SECONDS = 0.3

_LOOK_ROUND = (
    "show last",
    "data summary last",
    "admin page                      # in a browser; Ctrl-C ends it",
    "data audit last --digests",
    "data verify last --full",
    "restore last --force --dry-run",
    "admin run                       # the daemon again; Ctrl-C ends it",
    "admin simulate {root} --date 20251107  # another night for it",
)

# Faster than a real night, on a disk of this machine; everything else as it is shipped.
_SETTINGS = """\
# The settings of `vampd admin demo`: a night is over {quiet_seconds:g} s after its last file.
state_dir = "{folder}/state"

[[roots]]
kind = "archive"
path = "{folder}/scexao5/ARCHIVED_DATA"

[[roots]]
kind = "engineering"
path = "{folder}/scexao5"

[night]
settle_seconds = 0.5
quiet_minutes = {quiet_minutes:.4f}
grace_minutes = 0.0
scan_seconds = 1.0

[workers]
pause_above_io_percent = 0
pause_above_memory_percent = 0

[frame_ids]
first = 425189

[delivery.archive]
destination = "{folder}/scexao6/2_ARCHIVED_DATA"

[delivery.engineering]
destination = "{folder}/scexao6"
"""


class _Site(Struct, frozen=True, kw_only=True):
    """Where everything of a demonstration lies."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "vampd.toml"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def root(self) -> Path:
        return self.folder / "scexao5/ARCHIVED_DATA"

    @property
    def far(self) -> Path:
        return self.folder / "scexao6/2_ARCHIVED_DATA"

    @property
    def log(self) -> Path:
        return self.folder / "vampd.log"

    def vampd(self, *words: str) -> list[str]:
        """A command of this installation with the demonstration's settings."""
        return [sys.executable, "-m", "vampd", "--config", str(self.config), *words]


@click.command("demo")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Use this folder, which must be empty; else a new one in the place for temporary files.",
)
@click.option("--keep/--remove", default=True, help="What to do with the folder; kept by default.")
@click.pass_context
def command(context: click.Context, *, folder: Path | None, keep: bool) -> None:
    """Carry a simulated night through, in under a minute.

    Two simulated cameras write the reference night into a root; the real daemon settles, plans,
    numbers, compresses, sends and verifies it. Touches nothing outside its folder. Exit code: the
    daemon's.
    """
    if folder is not None and not keep:
        msg = "--remove is for the demonstration's own folder, not for one that --folder names"
        raise UsageError(msg)
    with _place(folder, keep=keep) as place:
        site = _made(place)
        code = _through(site)
        _explain(site, kept=keep)
    context.exit(code)


@contextmanager
def _place(folder: Path | None, *, keep: bool) -> Iterator[Path]:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            msg = f"{folder} is not empty; name another --folder"
            raise OperatorError(msg)
        yield folder.resolve()
    elif keep:
        yield Path(tempfile.mkdtemp(prefix="vampd-demo-")).resolve()
    else:
        with tempfile.TemporaryDirectory(prefix="vampd-demo-") as temporary:
            yield Path(temporary).resolve()


def _made(folder: Path) -> _Site:
    """Roots, the state directory, the other machine, and settings that lead there."""
    site = _Site(folder=folder)
    for path in (site.root, site.far, site.state):
        path.mkdir(parents=True)
    site.config.write_text(
        _SETTINGS.format(
            folder=folder, quiet_seconds=_QUIET_SECONDS, quiet_minutes=_QUIET_SECONDS / 60
        ),
        encoding="utf-8",
    )
    return site


def _through(site: _Site) -> int:
    """Let the cameras write and the daemon work; return the daemon's exit code."""
    night = reference_night()
    steps = night.steps(site.root)
    click.echo(
        f"two cameras write {count_text(len(night.cubes), 'cube')} of {night.date} into {site.root}"
    )
    for step in islice(steps, _HEAD_START):
        step()
    with site.log.open("wb") as log:
        daemon = subprocess.Popen(
            site.vampd("admin", "run", "--until-idle"),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        play(steps, speed=_SPEED)
        click.echo("the cameras have stopped; vampd goes on when all has been quiet")
        _watch(site, daemon)
    finally:
        _end(daemon)
    if daemon.returncode:
        click.echo(f"vampd admin run exited {daemon.returncode}; the end of {site.log}:", err=True)
        click.echo("\n".join(site.log.read_text(errors="replace").splitlines()[-15:]), err=True)
    return daemon.returncode


def _watch(site: _Site, daemon: subprocess.Popen[bytes]) -> None:
    """Tell each change until the daemon has ended. RetryableError: it takes too long."""
    told: set[str] = set()
    began = time.monotonic()
    while True:
        ended = daemon.poll() is not None
        for line in _news(site):
            if line not in told:
                told.add(line)
                click.echo(f"{time.monotonic() - began:5.1f} s  {line}")
        if ended:
            return
        if time.monotonic() - began > _DEADLINE_SECONDS:
            msg = f"the night is not through after {_DEADLINE_SECONDS:g} s; see {site.log}"
            raise RetryableError(msg)
        time.sleep(_LOOK_SECONDS)


def _news(site: _Site) -> Iterator[str]:
    """What can be said of the night now; a sentence that was told before is no news."""
    if not ledger_path(site.state).exists():
        return
    with reading(site.state) as ledger:
        summaries = summarise(ledger, nights(ledger))
    for summary in summaries:
        for stage, found in summary.stages.items():
            if found.state is TaskState.DONE:
                yield f"{summary.night}: {stage} done{_result(summary, stage)}"
        yield f"{summary.night}: {summary.night.status}"


def _result(summary: Summary, stage: Stage) -> str:
    if stage is Stage.SYNC:
        outputs = count_text(summary.outputs, "output")
        bad = count_text(summary.quarantined, "cube")
        return f": {outputs} of {count_text(summary.raw_files, 'cube')}; {bad} quarantined"
    return ""


def _end(daemon: subprocess.Popen[bytes]) -> None:
    """Leave no daemon behind, whatever happened here."""
    if daemon.poll() is not None:
        return
    daemon.terminate()
    try:
        daemon.wait(timeout=30)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _show_end(site: _Site) -> None:
    """What `vampd status` shows; that no daemon runs any more is as it should be here."""
    picture = take(load_config(site.config), Wish(everything=True), now_us=SystemClock().now_us())
    for line in lines(replace(picture, is_over=not picture.daemon_runs), Screen.of_stdout()):
        click.echo(line)


def _explain(site: _Site, *, kept: bool) -> None:
    click.echo("")
    sys.stdout.flush()
    _show_end(site)
    if not kept:
        return
    night = reference_night().date
    click.echo("")
    for label, path in (
        ("raw", site.root / night),
        ("outputs", site.root / night / "vgen2"),
        ("manifest", site.root / night / f"manifest_VMP_{night}.csv"),
        ("far copy", site.far / night),
        ("ledger", ledger_path(site.state)),
        ("log", site.log),
        ("settings", f"{site.config} (every key: {default_config()})"),
    ):
        click.echo(f"{label:<9} {path}")
    click.echo(f"\nlook round:\n  export VAMPD_CONFIG={site.config}")
    if shutil.which("vampd") is None:
        click.echo(f"  export PATH={Path(sys.executable).parent}:$PATH")
    for words in _LOOK_ROUND:
        if not words.startswith("admin page") or find_spec("uvicorn") is not None:
            click.echo(f"  vampd {words.format(root=site.root)}")
