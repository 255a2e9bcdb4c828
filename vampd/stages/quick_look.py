"""A quick look at the outputs of a cube: pictures and measures, as their frames pass by.

The worker's part. Nothing of it can fail a build, and nothing is decided by it: pictures that
cannot be written are left out, which is told; they are not made durable, nor sent. They lie in
`.vampd/quicklook` under the output's name, and are written over when it is built again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from vampd.io.beneath import Beneath, clear, create, create_folder, replace
from vampd.io.pictures import png, shades, shades_of_difference
from vampd.io.pixels import UNSIGNED_ZERO
from vampd.io.publish import write_all
from vampd.io.stack import Stack
from vampd.layout import LARGE_PICTURE, QUICK_LOOK_FOLDER, SMALL_PICTURE, quick_look_name
from vampd.science.quick_look import Image, measure, reduced
from vampd.stages.build_job import Looks
from vampd.stages.compare import beside
from vampd.states import FlcState

_SIZES_PIXELS = (SMALL_PICTURE, LARGE_PICTURE)


class Looked(Struct, frozen=True, kw_only=True, eq=False):
    """The frames of an output, added up."""

    output: int
    name: str
    synchronised: bool
    flc_state: FlcState
    stack: Stack


def look(night: Beneath, scratch: Beneath, stacks: Sequence[Looked]) -> Looks:
    """Measure the stacks, and write their pictures by way of the folder *scratch*."""
    if not stacks:
        return Looks()
    try:
        return _look(night, beside(scratch, f"{stacks[0].name}.look"), stacks)
    except Exception as error:  # noqa: BLE001 - the outputs are there, and right
        return Looks(trouble=f"{type(error).__name__}: {error}")


def _look(night: Beneath, scratch: Beneath, stacks: Sequence[Looked]) -> Looks:
    means = {looked.output: looked.stack.mean(UNSIGNED_ZERO) for looked in stacks}
    highest = {looked.output: looked.stack.highest(UNSIGNED_ZERO) for looked in stacks}
    measures = tuple(
        (output, measure(means[output], highest[output], looked.stack.frames))
        for output, looked in zip(means, stacks, strict=True)
    )
    try:
        create_folder(night / QUICK_LOOK_FOLDER, is_scratch=True)
        for name, content in _pictures(stacks, means, highest):
            _write(scratch, night / name, content)
    except OSError as error:
        return Looks(measures=measures, trouble=f"{error.strerror}: {error.filename}")
    finally:
        clear(scratch)
    return Looks(measures=measures)


def _pictures(
    stacks: Sequence[Looked], means: Mapping[int, Image], highest: Mapping[int, Image]
) -> Iterator[tuple[str, bytes]]:
    for looked in stacks:
        for what, image in (("mean", means[looked.output]), ("highest", highest[looked.output])):
            yield from _in_sizes(looked.name, what, shades(image))
    others = {looked.synchronised: looked for looked in stacks if looked.flc_state is FlcState.B}
    for a in stacks:
        if a.flc_state is FlcState.A and a.synchronised in others:
            difference = means[a.output] - means[others[a.synchronised].output]
            yield from _in_sizes(a.name, "a-b", shades_of_difference(difference))


def _in_sizes(name: str, what: str, shown: Image) -> Iterator[tuple[str, bytes]]:
    """The picture in each size; the small one is the large one made smaller."""
    for size in _SIZES_PIXELS:
        yield quick_look_name(name, what, size), png(reduced(shown, size))


def _write(scratch: Beneath, final: Beneath, content: bytes) -> None:
    clear(scratch)
    descriptor = create(scratch)
    try:
        write_all(descriptor, content)
    finally:
        os.close(descriptor)
    replace(scratch, final)
