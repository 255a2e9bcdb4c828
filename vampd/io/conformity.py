"""Find the cards with which other programs cannot read a cube, before the cube is written.

Whether a file can be read is a matter of its layout, which is ours, and of its cards, which came
from elsewhere. So the cards of each output are tried on a cube of two small frames: funpack must
unpack it, and astropy must find nothing against the FITS standard in it, nor in what funpack made
of it, and both must give back its pixels. That takes some 50 ms for 400 cards; of headers that
differ in their values alone one is tried.
"""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vampd.errors import IntegrityError, RetryableError
from vampd.io.beneath import Beneath, create, exists, lent, new_folder, open_file, remove
from vampd.io.fits import Shape, Tiles, TileWriter
from vampd.io.header import CARD_LENGTH
from vampd.io.pixels import STORED, UNSIGNED_ZERO
from vampd.io.process import run

_SECONDS = 60.0  # a trial takes some 10 ms
_STRUCTURE = re.compile(r"SIMPLE|BITPIX|NAXIS\d?|BSCALE|BZERO")
# Of these the values count, too, beside their forms.
_LAYOUT = re.compile(_STRUCTURE.pattern + "|BLANK|EXTEND|EXTNAME|EXTVER|EXTLEVEL|INHERIT")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[ED][+-]?\d+)?")
_LETTERS = re.compile("[A-Za-z]+")
_BLANKS = re.compile(" +")
_PIXELS: NDArray[np.int16] = np.array(
    [[[-32768, -1, 0, 1], [5, 32767, 300, -300]], [[7, 7, 7, 7], [-32768, 32767, 0, 8]]],
    dtype=STORED,
)
_SHAPE = {"NAXIS1": 4, "NAXIS2": 2, "NAXIS3": 2}

#: What other programs have against a cube with such cards; None: nothing.
Complaint: TypeAlias = Callable[[Sequence[str]], str | None]


class Readable:
    """Keeps the cards with which others can read a cube, and remembers which cards were *tried*.

    *tried* holds digests of headers by the form of their cards: whatever value of a form a card
    has, readers take it alike. *tiles* are those of the cubes. The folder *scratch* is made for a
    trial, and removed.
    """

    def __init__(self, tried: Iterable[str], tiles: Tiles, scratch: Beneath) -> None:
        self._tiles = tiles
        self._scratch = scratch
        self._tried = set(tried)
        self.passed: list[str] = []  #: digests that were not known, and passed

    def cards(self, cards: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
        """Those of an image's *cards* with which a cube can be read; the others, each with why.

        A card goes together with the CONTINUE cards behind it, and is given as the first of them.
        IntegrityError: a cube cannot be read with the cards of its structure alone. OperatorError:
        funpack is not installed.
        """
        digest = _form_of(cards, self._tiles)
        if digest in self._tried:
            return list(cards), []
        with new_folder(self._scratch) as folder:
            kept, refused = _readable(cards, _Trial(folder, self._tiles).complaint)
        if not refused:
            self._tried.add(digest)
            self.passed.append(digest)
        return kept, refused


def _form_of(cards: Sequence[str], tiles: Tiles) -> str:
    """What readers may take cards by, in one digest: keywords, and what their texts look like."""
    digest = hashlib.sha256(tiles.encode())
    for card in cards:
        keyword, rest = card[:8], card[8:]
        if not _LAYOUT.fullmatch(keyword.rstrip()):
            rest = _BLANKS.sub(" ", _LETTERS.sub("a", _NUMBER.sub("0", rest)))
        elif keyword.rstrip() in _SHAPE:
            rest = ""
        digest.update(f"{keyword}{rest}\n".encode())
    return digest.hexdigest()


def _readable(
    cards: Sequence[str], complaint_of: Complaint
) -> tuple[list[str], list[tuple[str, str]]]:
    if complaint_of(cards) is None:
        return list(cards), []
    groups = dict(enumerate(_groups(cards)))
    kept = {place: group for place, group in groups.items() if _is_structure(group[0])}
    complaint = complaint_of(_joined(kept))
    if complaint is not None:
        msg = f"other programs cannot read a cube of the plainest kind: {complaint}"
        raise IntegrityError(msg)
    others = {place: group for place, group in groups.items() if place not in kept}
    refused: list[tuple[str, str]] = []
    _sift(others, kept, refused, complaint_of)
    return _joined(kept), refused


def _sift(
    groups: dict[int, list[str]],
    kept: dict[int, list[str]],
    refused: list[tuple[str, str]],
    complaint_of: Complaint,
) -> None:
    """Add *groups* to what is *kept*, as far as there is no complaint then; by halves."""
    complaint = complaint_of(_joined(kept | groups))
    places = list(groups)
    if complaint is None:
        kept.update(groups)
    elif len(places) == 1:
        refused.append((groups[places[0]][0], complaint))
    else:
        for half in (places[: len(places) // 2], places[len(places) // 2 :]):
            _sift({place: groups[place] for place in half}, kept, refused, complaint_of)


def _joined(groups: dict[int, list[str]]) -> list[str]:
    return list(chain.from_iterable(groups[place] for place in sorted(groups)))


def _is_structure(card: str) -> bool:
    return _STRUCTURE.fullmatch(card[:8].rstrip()) is not None


def _groups(cards: Sequence[str]) -> list[list[str]]:
    groups: list[list[str]] = []
    for card in cards:
        if card.startswith("CONTINUE") and groups:
            groups[-1].append(card)
        else:
            groups.append([card])
    return groups


class _Trial:
    """Tries cards on a small cube in the folder whose descriptor is *folder*."""

    def __init__(self, folder: int, tiles: Tiles) -> None:
        self._folder = folder
        self._packed = Beneath(Path(lent(folder))) / "trial.fits.fz"
        self._unpacked = Beneath(Path(lent(folder))) / "trial.fits"
        self._tiles = tiles

    def complaint(self, cards: Sequence[str]) -> str | None:
        """What the other programs have against a cube with these *cards*; None: nothing."""
        for path in (self._packed, self._unpacked):
            remove(path, missing_ok=True)
        self._write(cards)
        return self._unpack() or _misread(self._packed, 1) or _misread(self._unpacked, 0)

    def _write(self, cards: Sequence[str]) -> None:
        frames, height, width = _PIXELS.shape
        shape = Shape(width=width, height=height, frames=frames, tiles=self._tiles)
        descriptor = create(self._packed)
        try:
            writer = TileWriter(descriptor, [_small(card) for card in cards], shape, name="trial")
            for frame in _PIXELS:
                writer.append(frame)
            writer.finish()
        finally:
            os.close(descriptor)

    def _unpack(self) -> str | None:
        command = ["funpack", "-O", str(self._unpacked), str(self._packed)]
        try:
            finished = run(command, deadline_seconds=_SECONDS, lend=(self._folder,))
        except RetryableError as error:  # if it is this machine, the plainest cards will tell
            return f"funpack: {str(error).splitlines()[0]}"
        if finished.code != 0:
            words = finished.stderr_tail.splitlines()[:1] or [f"exit {finished.code}"]
            return f"funpack: {words[0]}"
        return None if exists(self._unpacked) else "funpack: made no file"


def _small(card: str) -> str:
    """The card, with the trial's size in place of the cube's."""
    keyword = card[:8].rstrip()
    if keyword not in _SHAPE:
        return card
    return f"{keyword:<8}= {_SHAPE[keyword]:>20}".ljust(CARD_LENGTH)


def _misread(path: Beneath, unit: int) -> str | None:
    """What astropy has against a file, or whether it reads other pixels."""
    # Half a second: paid by whoever builds.
    from astropy.io import fits
    from astropy.utils.exceptions import AstropyWarning

    try:
        with warnings.catch_warnings():
            # It warns of what it takes for an error of the file, and reads on by a guess.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", AstropyWarning)
            with (
                os.fdopen(open_file(path), "rb") as file,
                fits.open(file, memmap=False) as units,
            ):
                units.verify("exception")
                found = units[unit].data
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
        AstropyWarning,
        fits.VerifyError,
    ) as error:
        return f"astropy: {_in_short(error)}"
    if not np.array_equal(found, _PIXELS.astype(np.int32) + UNSIGNED_ZERO):
        return "astropy: reads other pixels"
    return None


def _in_short(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    telling = [line for line in lines if line and not line.endswith(":") and "astropy" not in line]
    return telling[0] if telling else type(error).__name__
