"""Read our compressed cubes with the implementations that others use.

What we wrote with our own writer proves nothing by being read with our own reader.
astropy reads it one tile at a time, so that memory does not grow with the cube; funpack
(CFITSIO) unpacks it to a file, which is then read frame by frame.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vampd.errors import InputError, IntegrityError, ResourceError
from vampd.io.beneath import Beneath, exists, lent, new_folder, open_file, status
from vampd.io.disk import free_bytes
from vampd.io.process import Finished, run
from vampd.io.raw import RawCubeFile
from vampd.records import FileIdentity
from vampd.states import ErrorCode

# A disk busy with cameras' data was taken as 10 MB/s.
_SLOW_DISK_BYTES_PER_SECOND = 10_000_000
_LEAST_SECONDS = 600
_HEADERS_BYTES = 66 * 2880  # the most that a header takes, and the last block's padding


def astropy_frames(path: Beneath, frames: Sequence[int]) -> Iterator[NDArray[np.int16]]:
    """The *frames* of a compressed cube as astropy reads them, unscaled, in native order.

    IntegrityError: astropy cannot read it, or finds no cube. The file's bytes are known to
    be those that were written: on damaged ones astropy raises whatever comes up.
    """
    # Half a second: paid by whoever reads back, not by who imports this module.
    from astropy.io import fits

    try:
        with (
            os.fdopen(open_file(path), "rb") as file,
            fits.open(file, memmap=False, do_not_scale_image_data=True) as units,
        ):
            section = units[1].section
            for frame in frames:
                yield _native(section[frame])
    except (
        OSError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        RuntimeError,
        fits.VerifyError,
    ) as error:
        msg = f"{path}: astropy cannot read it: {type(error).__name__}: {error}"
        raise IntegrityError(msg) from error


def funpack_frames(
    path: Beneath, scratch: Beneath, frames: Sequence[int], *, size_bytes: int = 0
) -> Iterator[NDArray[np.int16]]:
    """The *frames* of a compressed cube as funpack unpacks them in the new folder *scratch*.

    The folder takes *size_bytes*, those of the raw pixels, and is removed; a name there that is a
    link or somebody else's leads funpack nowhere. IntegrityError: funpack cannot read it.
    OperatorError: it is not installed. ResourceError: there is no room for *scratch*.
    """
    source = open_file(path)
    try:
        with new_folder(scratch) as folder:
            unpacked = Beneath(Path(lent(folder))) / f"{path.name}.unpacked"
            _demand_room(unpacked, scratch, size_bytes)
            finished = _unpack(source, folder, unpacked.name)
            if finished.code != 0:
                _demand_room(unpacked, scratch, size_bytes)  # others write too
                msg = f"{path}: funpack exited {finished.code}:\n{finished.stderr_tail}"
                raise IntegrityError(msg)
            yield from _raw_frames(unpacked, frames)
    except InputError as error:
        msg = f"{path}: what funpack made of it is no raw cube: {error}"
        raise IntegrityError(msg) from error
    finally:
        os.close(source)


def _unpack(source: int, folder: int, name: str) -> Finished:
    """Let funpack unpack *source* as *name* in *folder*, both held open."""
    deadline = _LEAST_SECONDS + os.fstat(source).st_size / _SLOW_DISK_BYTES_PER_SECOND
    # -O, not -S: to a file it unpacks tile by tile, to a pipe the whole cube in memory.
    command = ["funpack", "-O", f"{lent(folder)}/{name}", lent(source)]
    return run(command, deadline_seconds=deadline, lend=(source, folder))


def _raw_frames(unpacked: Beneath, frames: Sequence[int]) -> Iterator[NDArray[np.int16]]:
    cube = RawCubeFile(unpacked.parent, unpacked.name, _identity(unpacked))
    try:
        pixels = cube.empty_frame()
        for frame in frames:
            cube.read_frame(frame, pixels)
            yield pixels
    finally:
        cube.close()


def _demand_room(unpacked: Beneath, scratch: Beneath, size_bytes: int) -> None:
    """ResourceError: there is no room for *unpacked*, which is to lie in *scratch*."""
    if exists(unpacked):  # what did not fit was left behind
        size_bytes -= status(unpacked).st_size
    free = free_bytes(unpacked.root)
    if free < size_bytes + _HEADERS_BYTES:
        msg = f"{scratch.parent}: {size_bytes} bytes are needed to unpack a cube, {free} are free"
        raise ResourceError(msg).coded(ErrorCode.FULL_HERE)


def _native(section: Any) -> NDArray[np.int16]:
    pixels = np.asarray(section)
    if pixels.dtype.kind != "i" or pixels.dtype.itemsize != 2:
        msg = f"pixels of type {pixels.dtype}"
        raise TypeError(msg)
    return pixels.astype(np.int16, copy=False)


def _identity(where: Beneath) -> FileIdentity:
    found = status(where)
    return FileIdentity(inode=found.st_ino, size_bytes=found.st_size, modified_ns=found.st_mtime_ns)
