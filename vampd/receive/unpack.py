"""Compressed cubes, unpacked for programs that do not read them: by funpack, and proved.

A cube gets its name only when the disk holds it whole: with the shape that the compressed header
tells, with the sums of its own CHECKSUM card, and with the pixels that astropy, another
implementation, unpacks of the first, the last and every 16th frame. Nothing is replaced.
"""

from __future__ import annotations

import os
import warnings
from io import BufferedReader
from pathlib import Path
from typing import Literal

import numpy as np

from vampd.errors import IntegrityError, ResourceError
from vampd.io.beneath import Beneath, exists, lent, new_folder, open_file
from vampd.io.checksum import fold, word_sum
from vampd.io.disk import free_bytes
from vampd.io.process import run
from vampd.io.publish import digest_file, publish
from vampd.io.scratch import owned

_BLOCK_BYTES = 2880
_READ_BYTES = _BLOCK_BYTES * 400
_ALL_ONES = 0xFFFFFFFF
_SLOW_BYTES_PER_SECOND = 10_000_000
_LEAST_SECONDS = 600
_EVERY = 16

Word = Literal["unpacked", "there already"]


def unpack(source: Path, into: Path, *, keep_free_bytes: int) -> Word:
    """Unpack the cube *source* into the folder *into*, which is there, without its last suffix.

    IntegrityError: funpack refuses it, what it made is not what the cube says, or another file has
    the name. ResourceError: less would be free than is to be kept. OperatorError: no funpack.
    """
    final = Beneath(into) / source.name.removesuffix(".fz")
    if exists(final):
        _prove(source, final)
        return "there already"
    _demand_room(source, into, keep_free_bytes)
    name = owned(f".{source.name}.vampd-unpack")
    with new_folder(Beneath(into) / name) as folder:
        scratch = Beneath(Path(lent(folder))) / final.name
        _funpack(source, folder, final.name)
        held = Beneath(into) / name / final.name
        written = digest_file(held)  # which drops what memory has of it: the disk itself is proved
        _prove(source, scratch)
        publish(held, final, written)
    return "unpacked"


def _demand_room(source: Path, into: Path, keep_free_bytes: int) -> None:
    needed = _data_bytes(_shape(source)) + _READ_BYTES
    free = free_bytes(into)
    if free - needed < keep_free_bytes:
        msg = (
            f"{into}: {free / 1e9:.1f} GB are free, and {source.name} unpacked, {needed / 1e9:.3f}"
            f" GB, would leave less than {keep_free_bytes / 1e9:g}"
        )
        raise ResourceError(msg)


def _funpack(source: Path, folder: int, name: str) -> None:
    descriptor = open_file(Beneath(source.parent) / source.name)
    try:
        deadline = _LEAST_SECONDS + os.fstat(descriptor).st_size / _SLOW_BYTES_PER_SECOND
        done = run(
            ["funpack", "-O", f"{lent(folder)}/{name}", lent(descriptor)],
            deadline_seconds=deadline,
            lend=(descriptor, folder),
        )
    finally:
        os.close(descriptor)
    if done.code != 0:
        msg = f"{source}: funpack exited {done.code}:\n{done.stderr_tail}"
        raise IntegrityError(msg)


def _prove(source: Path, unpacked: Beneath) -> None:
    """IntegrityError: *unpacked* is not, byte for byte and pixel for pixel, what *source* holds."""
    wanted = _shape(source)
    try:
        found, starts_at, size_bytes, has_sum = _described(unpacked)
    except (OSError, ValueError) as error:
        msg = f"{unpacked} cannot be read: {error}"
        raise IntegrityError(msg) from error
    if found != wanted:
        msg = f"{unpacked} has the shape {found}, and {source} holds {wanted}"
        raise IntegrityError(msg)
    blocks = -(-_data_bytes(wanted) // _BLOCK_BYTES)
    if size_bytes != starts_at + blocks * _BLOCK_BYTES:
        msg = f"{unpacked} has {size_bytes} bytes, not {starts_at + blocks * _BLOCK_BYTES}"
        raise IntegrityError(msg)
    if has_sum and _sum_of(unpacked) not in {0, _ALL_ONES}:
        msg = f"{unpacked}: its bytes are not those that its CHECKSUM card tells"
        raise IntegrityError(msg)
    _compare_pixels(source, unpacked)


def _shape(source: Path) -> tuple[int, ...]:
    """The shape of a compressed cube, as its header tells it; numpy's order."""
    from astropy.io import fits

    try:
        with _opened(Beneath(source.parent) / source.name) as file, fits.open(file) as units:
            return tuple(units[1].shape)
    except (OSError, ValueError, LookupError, TypeError) as error:
        msg = f"{source} is no compressed cube: {error}"
        raise IntegrityError(msg) from error


def _described(unpacked: Beneath) -> tuple[tuple[int, ...], int, int, bool]:
    """Shape, where the pixels begin, bytes in all, and whether there is a CHECKSUM card."""
    from astropy.io import fits

    with warnings.catch_warnings(), _opened(unpacked) as file:
        warnings.simplefilter("ignore")  # of what is wrong with it the caller tells more
        units = fits.open(file)
        starts_at = units[0].fileinfo()["datLoc"]
        size_bytes = os.fstat(file.fileno()).st_size
        return tuple(units[0].shape), starts_at, size_bytes, "CHECKSUM" in units[0].header


def _sum_of(unpacked: Beneath) -> int:
    total = 0
    with _opened(unpacked) as file:
        while block := file.read(_READ_BYTES):
            total += word_sum(block)
    return fold(total)


def _compare_pixels(source: Path, unpacked: Beneath) -> None:
    from astropy.io import fits

    with (
        _opened(Beneath(source.parent) / source.name) as packed_file,
        _opened(unpacked) as file,
        fits.open(packed_file, memmap=False, do_not_scale_image_data=True) as packed,
        fits.open(file, memmap=False, do_not_scale_image_data=True) as plain,
    ):
        count = packed[1].shape[0]
        for number in sorted({*range(0, count, _EVERY), count - 1}):
            if not np.array_equal(packed[1].section[number], plain[0].section[number]):
                msg = f"{unpacked}: frame {number} is not that of {source}, as astropy reads it"
                raise IntegrityError(msg)


def _data_bytes(shape: tuple[int, ...]) -> int:
    return 2 * int(np.prod(shape, dtype=np.int64))  # of 16-bit pixels


def _opened(where: Beneath) -> BufferedReader:
    return os.fdopen(open_file(where), "rb")
