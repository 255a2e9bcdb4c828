"""What vampd itself put on the other machine: by this it tells its own files from others'."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vampd.ledger.connection import Ledger


def own_copies(ledger: Ledger, night: int, place: str) -> dict[str, str]:
    """By the path under which vampd published a file in the folder *place*: its last digest.

    Or found one with the right digest: after a crash the two cannot be told apart. Restoring a
    night forgets none of them.
    """
    rows = ledger.rows(
        "select path, sha256 from far_copy where night = ? and place = ?", [night, place]
    )
    return {row["path"]: row["sha256"] for row in rows}


def copies_of(ledger: Ledger, night: int, paths: Iterable[str]) -> list[tuple[str, str]]:
    """Where vampd put copies of these files: folder over there, and path."""
    rows = ledger.rows("select place, path from far_copy where night = ? order by place", [night])
    wanted = set(paths)
    return [(row["place"], row["path"]) for row in rows if row["path"] in wanted]


def record_published(
    ledger: Ledger, night: int, place: str, files: Iterable[tuple[str, str]]
) -> None:
    """These, by path and digest, lie in the folder *place* under their final names."""
    now_us = ledger.now_us()
    ledger.connection.executemany(
        "insert into far_copy (night, place, path, sha256, published_us)"
        " values (:night, :place, :path, :sha256, :now_us)"
        " on conflict (night, place, path) do update set sha256 = :sha256, published_us = :now_us"
        " where sha256 != :sha256",
        [
            {"night": night, "place": place, "path": path, "sha256": sha256, "now_us": now_us}
            for path, sha256 in files
        ],
    )


def record_evidence(ledger: Ledger, night: int, place: str, names: Mapping[str, str]) -> list[str]:
    """Note files that were set aside over there, and why; return those that were not known yet."""
    new = []
    for name, why in names.items():
        cursor = ledger.execute(
            "insert into evidence (night, place, name, changed_us, changed_by, why)"
            " values (:night, :place, :name, :changed_us, :changed_by, :why)"
            " on conflict do nothing",
            {"night": night, "place": place, "name": name, **ledger.stamp(why)},
        )
        if cursor.rowcount:
            new.append(name)
    return new
