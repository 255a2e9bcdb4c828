"""Which files one worker reads together. Pure: rows in, batches out."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet

from vampd.ledger.records import UnreadFile

_BATCH_CUBES = 50
BATCH_FILES = 40
_BATCH_BYTES = 4_000_000_000


def pair_batches(
    pairs: Mapping[str, tuple[str, str]], suspects: AbstractSet[str]
) -> Iterator[dict[str, tuple[str, str]]]:
    """Pairs in batches; each of which the cube is among *suspects* alone."""
    stems = sorted(stem for stem in pairs if not suspects or suspects.isdisjoint(pairs[stem]))
    for first in range(0, len(stems), _BATCH_CUBES):
        yield {stem: pairs[stem] for stem in stems[first : first + _BATCH_CUBES]}
    for stem in sorted(pairs.keys() - set(stems)):
        yield {stem: pairs[stem]}


def digest_batch(
    rows: Iterable[UnreadFile], asked: Collection[str], suspects: Container[str]
) -> tuple[str, ...]:
    """The paths of the first *rows* that nobody reads yet; one of *suspects* is read alone."""
    paths: list[str] = []
    size_bytes = 0
    for row in rows:
        is_suspect = row["path"] in suspects
        full = len(paths) == BATCH_FILES or size_bytes > _BATCH_BYTES
        if full or (is_suspect and paths):
            break
        if row["path"] not in asked:
            paths.append(row["path"])
            size_bytes += row["size_bytes"]
            if is_suspect:
                break
    return tuple(paths)
