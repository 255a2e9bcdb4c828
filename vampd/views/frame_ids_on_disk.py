"""What the disks say of frame IDs, held against the ledger: names, headers and lists."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from vampd.errors import InputError
from vampd.io.beneath import Beneath, is_folder, names_in, night_folder, read_start
from vampd.io.numbers_seen import numbers_of_night
from vampd.io.units import Unit, read_units
from vampd.layout import OUTPUT_ENDING, OUTPUT_FOLDER, TIMING_ENDING
from vampd.ledger.frame_ids import frame_id_number, frame_id_text
from vampd.views.frame_id_audit import Bearer, Numbering

_MOST_LIST_BYTES = 1 << 26


def borne_by_night(folders: Iterable[Path]) -> tuple[dict[str, dict[int, str]], list[str]]:
    """The numbers that each night's folder shows, with a place each; and what cannot be read."""
    borne: dict[str, dict[int, str]] = {}
    problems = []
    for folder in folders:
        try:
            borne[str(folder)] = dict(_numbers(folder))
        except OSError as error:
            problems.append(f"{error.filename}: {error.strerror}")
    return borne, problems


def _numbers(folder: Path) -> Iterator[tuple[int, str]]:
    if is_folder(night_folder(folder)):
        yield from numbers_of_night(folder)


def borne_twice(borne: Mapping[str, Mapping[int, str]]) -> Iterator[str]:
    """Numbers that two nights show."""
    places: dict[int, list[str]] = defaultdict(list)
    for numbers in borne.values():
        for number, place in numbers.items():
            places[number].append(place)
    for number, found in sorted(places.items()):
        if len(found) > 1:
            yield f"{frame_id_text(number)}: stands in {' and in '.join(sorted(found))}"


def of_night(
    night: Numbering, *, headers: bool, is_dismissed: Callable[[int], bool]
) -> Iterator[str]:
    """Where a night's folder does not agree with the ledger.

    A file whose number an operator dismissed is none of the ledger's.
    """
    folder = night_folder(night.folder)
    built = [bearer for bearer in night.bearers if bearer.is_built and bearer.frame_id is not None]
    yield from _names(folder, night, built, is_dismissed)
    for bearer in built if headers else ():
        yield from _header(folder, bearer)
    for batch in sorted(night.numbered):
        of_batch = [bearer for bearer in built if bearer.batch == batch]
        mark = "" if batch == 1 else f".{batch}"
        changes = f"{OUTPUT_FOLDER}/name_changes{mark}.txt"
        if changes in night.listed:
            wanted = {f"{each.name}.fits\t{_text(each)}.fits" for each in of_batch}
            yield from _list(folder / changes, wanted)
        manifest = f"manifest_VMP_{night.date}{mark}.csv"
        if manifest in night.listed:
            yield from _list(folder / manifest, {_manifest_line(folder, each) for each in of_batch})


def _text(bearer: Bearer) -> str:
    return frame_id_text(bearer.frame_id or 0)


def _names(
    folder: Beneath, night: Numbering, built: list[Bearer], is_dismissed: Callable[[int], bool]
) -> Iterator[str]:
    """Every built output is there under its number, and no other file bears one."""
    outputs = folder / OUTPUT_FOLDER
    try:
        there = set(names_in(outputs))
    except FileNotFoundError:
        there = set()
    except OSError as error:
        yield f"{outputs}: {error.strerror}"
        return
    wanted = {
        f"{_text(each)}{ending}" for each in built for ending in (OUTPUT_ENDING, TIMING_ENDING)
    }
    for name in sorted(wanted - there):
        yield f"{outputs / name}: is not there, and the ledger says that it was built"
    planned = {_text(each) for each in night.bearers if each.frame_id is not None}
    for name in sorted(there - wanted):
        stem = name.split(".", 1)[0]
        number = frame_id_number(stem) if stem.startswith("VMPA") else None
        if number is not None and stem not in planned and not is_dismissed(number):
            yield f"{outputs / name}: bears a frame ID of which the ledger knows no output"


def _header(folder: Beneath, bearer: Bearer) -> Iterator[str]:
    path = folder / f"{OUTPUT_FOLDER}/{_text(bearer)}{OUTPUT_ENDING}"
    try:
        units = read_units(path)
    except FileNotFoundError:
        return  # said already
    except OSError as error:
        yield f"{path}: {error.strerror}"
        return
    except InputError as error:
        yield str(error)
        return
    wanted = {"FRAMEID": _text(bearer), "EXP-ID": _text(bearer).replace("VMPA", "VMPE")}
    for keyword, text in wanted.items():
        found = _card(units[-1], keyword)
        if found != text:
            yield f"{path}: {keyword} says {found!r}, not {text!r}"


def _card(unit: Unit, keyword: str) -> str | None:
    for card in unit.cards:
        if card.startswith(f"{keyword:<8}= '"):
            return card[11:].split("'", 1)[0].rstrip()
    return None


def _manifest_line(folder: Beneath, bearer: Bearer) -> str:
    path = folder / f"{OUTPUT_FOLDER}/{_text(bearer)}{OUTPUT_ENDING}"
    return f"{_text(bearer)}|{path}|{bearer.size_bytes}"


def _list(path: Beneath, wanted: set[str]) -> Iterator[str]:
    """The lines of a list are those that are *wanted*; a manifest's digests are not compared."""
    try:
        lines = read_start(path, _MOST_LIST_BYTES).decode("utf-8", "replace").splitlines()
    except OSError as error:
        yield f"{path}: {error.strerror}"
        return
    found = ["|".join(line.split("|")[:3]) for line in lines if not line.startswith("#")]
    for line, times in sorted(Counter(found).items()):
        if times > 1:
            yield f"{path}: says {line!r} {times} times"
    for line in sorted(wanted - set(found)):
        yield f"{path}: does not say {line!r}"
    for line in sorted(set(found) - wanted):
        yield f"{path}: says {line!r}, and the ledger does not"
