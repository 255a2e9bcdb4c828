from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vampd.watch.naming import Named, Role, classify, is_ours, night_date, printable

STEM = "vcam1_05:11:38.081003904"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("20251106", date(2025, 11, 6)),
        ("20240229", date(2024, 2, 29)),
        ("20250229", None),
        ("20251306", None),
        ("00000101", None),
        ("2025110", None),
        ("202511061", None),
        ("20251106\n", None),
        (" 20251106", None),
        ("٢٠٢٥١١٠٦", None),
        ("ARCHIVED_DATA", None),
        ("", None),
    ],
)
def test_only_eight_digits_that_form_a_real_date_name_a_night(
    name: str, expected: date | None
) -> None:
    assert night_date(name) == expected


@pytest.mark.parametrize(
    ("path", "role"),
    [
        (f"vcam1/{STEM}.fits", Role.CUBE),
        (f"vcam1/{STEM}.txt", Role.TIMING),
        (f"vcam1/{STEM}.fits.4711.4712.tmp", Role.TEMPORARY),
        ("vcam1/vcam1_23:59:60.000000000.fits", Role.CUBE),
    ],
)
def test_the_loggers_names_are_known_by_their_role(path: str, role: Role) -> None:
    named = classify(path)

    assert (named.role, named.camera) == (role, 1)
    assert named.stem == path.split("/")[1][:24]


@pytest.mark.parametrize(
    "path",
    [
        f"vcam2/{STEM}.fits",  # the other camera's folder
        f"vcam3/{STEM.replace('vcam1', 'vcam3')}.fits",
        f"{STEM}.fits",
        f"vcam1/below/{STEM}.fits",
        f"vcam1/{STEM}.fits\n",
        f"vcam1/{STEM}.fits.gz",
        f"vcam1/{STEM}.FITS",
        f"vcam1/{STEM}.fits[1]",
        f"vcam1/!{STEM}.fits",
        f"vcam1/{STEM}(1).fits",
        f"vcam1/{STEM}.fits.tmp",
        f"vcam1/{STEM}.fits.1.tmp",
        f"vcam1/{STEM}.txt.1.2.tmp",
        "vcam1/vcam1_24:00:00.000000000.fits",
        "vcam1/vcam1_05:60:00.000000000.fits",
        "vcam1/vcam1_05:11:61.000000000.fits",
        "vcam1/vcam1_05:11:38.08100390.fits",
        "vcam1/vcam1_05:11:38.0810039041.fits",
        "vcam1/vcam1_٠٥:11:38.081003904.fits",  # noqa: RUF001
        "vcam1",
        "",
    ],
)
def test_any_other_name_is_somebody_elses(path: str) -> None:
    assert classify(path) == Named(role=Role.OTHER, camera=None, stem=None)


def test_our_own_things_are_told_from_the_incumbents() -> None:
    ours = ("vgen2", ".vampd", "manifest_VMP_20251106.csv")
    foreign = ("vgen2.incumbent", "vcam1_hlinkbak", "manifest.csv", "vcam1", "notes.txt")

    assert all(is_ours(name) for name in ours)
    assert not any(is_ours(name) for name in foreign)


@given(st.lists(st.text(st.characters(exclude_characters="\0")), unique=True, max_size=5))
def test_printable_names_are_one_line_of_utf8_and_stay_different(names: list[str]) -> None:
    shown = [printable(name) for name in names]

    assert len(set(shown)) == len(names)
    assert all(name.isprintable() for name in shown)
    assert all(name.encode("utf-8") for name in shown if name)


@given(st.binary(min_size=1, max_size=8))
def test_bytes_that_are_no_utf8_can_be_printed(raw: bytes) -> None:
    name = raw.decode("utf-8", "surrogateescape")

    assert printable(name).encode("utf-8").isascii() or printable(name).isprintable()
