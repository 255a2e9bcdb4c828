"""What is to be done with a delivered night: what was seen and is known in, decisions out. Pure.

Nothing moves that no list names, and nothing counts that was not digested. A digest that is right
proves a file whole, however young it is; one that is wrong does so only once the file has stayed
as it was for a while.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct, field

from vampd.receive.look import SeenFile
from vampd.receive.states import HOLDING, OPEN, FileState, NightState
from vampd.stages.delivery_list import is_list

# What rsync calls a file that it is writing: its name between a dot and six letters.
_TEMPORARY = re.compile(r"(?:.*/)?\.[^/]+\.[A-Za-z0-9]{6}|(?:.*/)?\.~tmp~/.*")

_MOST_FILES = 200
_MOST_BYTES = 8_000_000_000


class Known(Struct, frozen=True, kw_only=True):
    """What the ledger knows of a path. *digests*: all that lists ever told, the newest first."""

    state: FileState
    digests: tuple[str, ...] = ()
    sha256: str | None = None  #: of what was moved on
    identity: str | None = None  #: of what was judged last
    judged_us: int | None = None  #: since when that is so


class Remark(Struct, frozen=True, kw_only=True):
    """A path comes to another state without being read. *state* None: it is forgotten."""

    path: str
    state: FileState | None
    why: str
    identity: str | None = None


class Decision(Struct, frozen=True, kw_only=True):
    """What is to be read and moved on; and what is to be remarked at once."""

    carry: tuple[SeenFile, ...] = ()
    remarks: tuple[Remark, ...] = field(default=())


def decide(
    seen: Sequence[SeenFile], known: Mapping[str, Known], *, now_us: int, settle_us: int
) -> Decision:
    """Decide about a night of which *seen* lies in the inbox now. Lists are read first, alone."""
    remarks: list[Remark] = []
    carry = []
    for file in seen:
        if _TEMPORARY.fullmatch(file.path):
            continue
        remark = _remark(file, known.get(file.path))
        if remark is not None:
            remarks.append(remark)
        elif _is_to_be_read(file, known.get(file.path), now_us=now_us, settle_us=settle_us):
            carry.append(file)
    here = {file.path for file in seen}
    remarks += _gone({path: each for path, each in known.items() if path not in here})
    lists = [file for file in carry if is_new_list(file.path, known.get(file.path))]
    if lists:  # they may name what seems to be unlisted, and tell newer digests
        remarks = [each for each in remarks if each.state is not FileState.UNLISTED]
        carry = lists
    return Decision(carry=tuple(carry), remarks=tuple(remarks))


def is_new_list(path: str, known: Known | None) -> bool:
    """Whether *path* is a list of which the ledger has not taken yet what it tells.

    One that comes again tells the newest digests again.
    """
    is_taken = known is not None and known.digests and known.state is FileState.AWAITED
    return is_list(path) and not is_taken


def _remark(file: SeenFile, known: Known | None) -> Remark | None:
    """What is to be said of a file that is not to be read; None: nothing new, or it is."""
    if file.odd:
        state, why = FileState.ODD, f"it is {file.odd}, and is left as it is"
    elif not is_list(file.path) and (known is None or not known.digests):
        state, why = FileState.UNLISTED, "no list that came names it"
    else:
        return None
    if known is not None and (known.state, known.identity) == (state, file.identity):
        return None
    return Remark(path=file.path, state=state, why=why, identity=file.identity)


def _is_to_be_read(file: SeenFile, known: Known | None, *, now_us: int, settle_us: int) -> bool:
    if file.odd or not (is_list(file.path) or (known is not None and known.digests)):
        return False
    if known is None or known.identity != file.identity:
        return True
    if known.state is FileState.ARRIVING:
        return now_us - (known.judged_us or 0) >= settle_us
    return known.state not in HOLDING


def _gone(known: Mapping[str, Known]) -> Iterator[Remark]:
    """What was remarked of files in the inbox that do not lie there any more."""
    for path, each in known.items():
        if each.state in {FileState.PLACED, FileState.AWAITED}:
            continue
        state: FileState | None = None
        if each.digests:
            is_placed = each.sha256 == each.digests[0]
            state = FileState.PLACED if is_placed else FileState.AWAITED
        yield Remark(path=path, state=state, why="it does not lie in the inbox any more")


def batch(files: Sequence[SeenFile]) -> list[SeenFile]:
    """As many of *files* as are carried at a time."""
    chosen: list[SeenFile] = []
    size_bytes = 0
    for file in files:
        size_bytes += file.size_bytes
        if chosen and (len(chosen) == _MOST_FILES or size_bytes > _MOST_BYTES):
            break
        chosen.append(file)
    return chosen


def state_of_different(
    known: Known | None, identity: str, *, now_us: int, settle_us: int
) -> FileState:
    """The state of a file that was read, and has no digest that was listed: it may still grow."""
    if known is None or known.identity != identity or known.judged_us is None:
        return FileState.WRONG if settle_us == 0 else FileState.ARRIVING
    return FileState.WRONG if now_us - known.judged_us >= settle_us else FileState.ARRIVING


def judge_night(
    counts: Mapping[FileState, int], waits: str | None
) -> tuple[NightState, str | None]:
    """Where a night is, by how many files are in which state; and why, in words."""
    held = {state: counts[state] for state in FileState if state in HOLDING and counts.get(state)}
    still = sum(counts.get(state, 0) for state in OPEN)
    if held:
        said = ", ".join(f"{count} {state}" for state, count in held.items())
        return NightState.HELD, f"{said}: see `vampd receive show`"
    if waits is not None:
        return NightState.WAITING, waits
    if still:
        said = "1 file is" if still == 1 else f"{still} files are"
        return NightState.ARRIVING, f"{said} still to come"
    if not counts.get(FileState.PLACED):
        return NightState.ARRIVING, "no list came that names its files"
    return NightState.RECEIVED, None
