"""`vampd watch`: the acquisition, live: the newest cubes of each camera, and what is amiss."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from msgspec import convert, to_builtins

from vampd.commands import dates
from vampd.commands.screen import Screen, count_text, echo_json, size_text, time_json, time_text
from vampd.errors import OperatorError, RetryableError, UsageError
from vampd.io.clock import SystemClock
from vampd.io.patience import Inquiry
from vampd.ledger import reading
from vampd.settings.sections import Config
from vampd.states import FileState, Kind
from vampd.time_units import SECOND_NS
from vampd.views.quality import Arrival, arrivals
from vampd.views.summaries import nights
from vampd.watch.acquisition import CameraSeen, CubeSeen, NightSeen, look_at_acquisition
from vampd.watch.scan import find_nights, folder_stamps

_NEWEST = 6
_SILENT_SECONDS = 10.0
_OLD_SECONDS = 3600.0

#: Columns from which on a cube's line has room for all of it.
_WIDE = 100


@click.command("watch")
@click.argument("date", required=False, shell_complete=dates.complete)
@dates.kind_option
@click.option("--newest", default=_NEWEST, type=click.IntRange(1, 100), help="Cubes of a camera.")
@click.option("--once", is_flag=True, help="Look once, and stop.")
@click.option("--json", "as_json", is_flag=True, help="Look once, and answer in JSON.")
@click.pass_context
def command(
    context: click.Context,
    *,
    date: str | None,
    kind: str | None,
    newest: int,
    once: bool,
    as_json: bool,
) -> None:
    """Watch cubes arrive: shape, size, target, age, rate, missing timing files, lost frames.

    Without DATE, the newest night's folder of all roots, known to the ledger or not.
    """
    config = context.obj.config()

    def look() -> tuple[NightSeen, Mapping[int, Arrival]]:
        folder = _folder(config, date, kind)
        return _seen(folder, newest), _arrivals(config, folder)

    if as_json:
        seen, known = look()
        echo_json(_as_json(seen, known))
        return
    _show(look, once=once)


def _show(look: Callable[[], tuple[NightSeen, Mapping[int, Arrival]]], *, once: bool) -> None:
    from vampd.commands.live import Live, is_terminal

    screen = Screen.of_stdout()
    if once:
        for line in _lines(*look(), screen):
            click.echo(line)
        return
    if not is_terminal():
        msg = "watch needs a terminal; for programs: vampd watch --json, or --once"
        raise UsageError(msg)
    with Live() as live:
        live.repeat(lambda: _painted(look, screen))


def _painted(
    look: Callable[[], tuple[NightSeen, Mapping[int, Arrival]]], screen: Screen
) -> Sequence[str]:
    """The screen; a disk that does not answer is told, and asked again."""
    try:
        return _lines(*look(), screen)
    except (RetryableError, OperatorError) as error:
        return [time_text(SystemClock().now_us()), str(error)]


def _folder(config: Config, date: str | None, kind: str | None) -> Path:
    """The night to be watched. OperatorError: there is none."""
    if date is not None and date != "last":
        with reading.reading(config.state_dir, config.reading_socket) as ledger:
            [chosen, *_] = reversed(dates.resolve(nights(ledger), date, kind))
        return Path(chosen.folder)
    roots = [root.path for root in config.roots if kind is None or root.kind is Kind(kind)]
    found = Inquiry(lambda: _newest_folder(roots)).answer(until_ns=_deadline_ns())
    if found is None:
        msg = f"{', '.join(map(str, roots))}: no answer within {_SILENT_SECONDS:g} s"
        raise RetryableError(msg)
    if not found:
        msg = f"{', '.join(map(str, roots))}: no night's folder"
        raise OperatorError(msg)
    return Path(found)


def _newest_folder(roots: Sequence[Path]) -> str:
    """The newest night's folder of *roots*, by its date; of two, the one changed last."""
    found = [
        (folder.name, max(folder_stamps(folder)), str(folder))
        for root in roots
        for folder in find_nights(root).folders
    ]
    return max(found, default=("", 0, ""))[2]


def _seen(folder: Path, newest: int) -> NightSeen:
    """One look, within a deadline. RetryableError: the disk does not answer."""

    def look() -> Any:
        try:
            now_ns = SystemClock().now_us() * 1000
            return to_builtins(look_at_acquisition(folder, now_ns=now_ns, newest=newest))
        except OSError as error:
            return {"error": error.strerror}

    answer = Inquiry(look).answer(until_ns=_deadline_ns())
    if answer is None:
        msg = f"{folder}: no answer within {_SILENT_SECONDS:g} s; is its disk there?"
        raise RetryableError(msg)
    if "error" in answer:
        msg = f"{folder}: {answer['error']}"
        raise OperatorError(msg)
    return convert(answer, NightSeen)


def _deadline_ns() -> int:
    return time.monotonic_ns() + round(_SILENT_SECONDS * SECOND_NS)


def _arrivals(config: Config, folder: Path) -> Mapping[int, Arrival]:
    """What the daemon knows of the night's files; nothing where there is no ledger yet."""
    if not reading.has_ledger(config.state_dir, config.reading_socket):
        return {}
    with reading.reading(config.state_dir, config.reading_socket) as ledger:
        for night in nights(ledger):
            if Path(night.folder) == folder:
                return arrivals(ledger, night)
    return {}


def _lines(seen: NightSeen, known: Mapping[int, Arrival], screen: Screen) -> list[str]:
    now = time_text(SystemClock().now_us())
    title, free = screen.title(seen.folder), f"{now}   {size_text(seen.free_bytes)} free"
    lines = [f"{title}   {free}"] if screen.width >= _WIDE else [title, free]
    for camera in seen.cameras:
        lines += ["", *_camera_lines(camera, known.get(camera.camera), screen)]
    return lines


def _camera_lines(camera: CameraSeen, known: Arrival | None, screen: Screen) -> list[str]:
    counts = (
        f"vcam{camera.camera}  {count_text(camera.cubes, 'cube')},"
        f" {size_text(camera.size_bytes)}, {size_text(round(camera.bytes_per_second))}/s"
    )
    lines = [screen.title(counts)]
    if known is not None:
        states = ", ".join(f"{count} {state}" for state, count in known.cubes.items())
        lines.append(f"  settling: {states or 'nothing seen yet'}")
        if known.lost_frames:
            lost = f"{count_text(known.lost_frames, 'frame')} lost by the camera"
            lines.append(f"  {screen.word('warn', text=lost)}")
    missing = camera.without_timing
    if missing:
        text = f"{count_text(len(missing), 'cube')} without timing file, {missing[0]} last"
        lines.append(f"  {screen.word('warn', text=text)}")
    lines += [_cube_line(cube, screen) for cube in camera.newest]
    return lines


def _cube_line(cube: CubeSeen, screen: Screen) -> str:
    shape = "-"
    if cube.frames is not None:
        shape = f"{cube.width}x{cube.height}x{cube.frames}"
    cards = cube.cards
    state, colour = _state(cube)
    name, size = cube.path.partition("/")[2], size_text(cube.size_bytes)
    target, age = str(cards.get("OBJECT") or "-"), _age_text(cube.age_seconds)
    if screen.width >= _WIDE:
        kind = str(cards.get("DATA-TYP") or "-")
        begin = f"{name[:34]:<34} {shape:>15} {size:>8} {kind:<10.10} {target:<14.14} {age:>7}"
    else:
        begin = (
            f"{name.removesuffix('.fits')[:24]:<24} {shape:>12} {size:>7} {target:<9.9} {age:>6}"
        )
    return f"  {begin}  {screen.word(colour, text=state)}".rstrip()


def _state(cube: CubeSeen) -> tuple[str, str]:
    """What a cube is at, in a word, and the colour of that."""
    if cube.is_temporary:
        return "being written", FileState.ARRIVING
    if cube.expected_bytes is None:
        return "no whole header", "warn"
    if cube.size_bytes < cube.expected_bytes:
        return f"{100 * cube.size_bytes // cube.expected_bytes} % written", "warn"
    if cube.size_bytes > cube.expected_bytes:
        return "larger than its header says", "bad"
    return ("", "ok") if cube.has_timing else ("no timing file", "warn")


def _age_text(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < _OLD_SECONDS:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"


def _as_json(seen: NightSeen, known: Mapping[int, Arrival]) -> dict[str, Any]:
    return {
        **to_builtins(seen),
        "seen": time_json(SystemClock().now_us()),
        "ledger": {
            str(camera): {"cubes": dict(arrival.cubes), "lost_frames": arrival.lost_frames}
            for camera, arrival in known.items()
        },
    }
