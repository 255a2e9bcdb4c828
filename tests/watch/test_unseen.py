"""What nobody takes: by its name and kind alone it is told, and held where it could be data."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vampd.states import UnseenSort
from vampd.watch.naming import Role, classify
from vampd.watch.unseen import Entry, Form, Lie, find_unseen, is_camera_like, sort_of

CUBE = "vcam1_05:10:00.000000000.fits"


def file(path: str, size_bytes: int = 10_000) -> Entry:
    return Entry(path=path, form=Form.FILE, size_bytes=size_bytes)


@pytest.mark.parametrize(
    ("path", "sort"),
    [
        (f"VCAM1/{CUBE}", UnseenSort.NAME),
        (f"vcam_1/{CUBE}", UnseenSort.NAME),
        (f"vcam1_old/{CUBE}", UnseenSort.NAME),
        ("vcam3/vcam3_05:10:00.000000000.fits", UnseenSort.NAME),
        ("vacm1/image.fits", UnseenSort.NAME),
        ("vcm2/image.fit", UnseenSort.NAME),
        (f"vcam1/{CUBE}.gz", UnseenSort.PACKED),
        (f"vcam1/{CUBE}.fz", UnseenSort.PACKED),
        (f"vcam1/{CUBE}.bz2", UnseenSort.PACKED),
        ("vcam1.tar", UnseenSort.PACKED),
        ("vcam1/vcam1_05:10:00.000000000.FITS", UnseenSort.NAME),
        ("vcam1/vcam1_05:10:00.000000000.fit", UnseenSort.NAME),
        ("vcam1/vcam1_05:10:00.00000000.fits", UnseenSort.NAME),
        ("vcam1/vcam2_05:10:00.000000000.fits", UnseenSort.NAME),
        ("vcam1/vcam1_05-10-00.000000000.txt", UnseenSort.NAME),
        ("vcam1/.vcam1_05:10:00.000000000.fits.Ab12Cd", UnseenSort.NAME),
        ("vcam1/dark.fits", UnseenSort.NAME),
        (CUBE, UnseenSort.PLACE),
        (f"20251106/vcam1/{CUBE}", UnseenSort.PLACE),
        ("2025-11-06/image.fits", UnseenSort.PLACE),
        (f"vcam1/backup/{CUBE}", UnseenSort.PLACE),
        ("vcam1", UnseenSort.KIND),
    ],
)
def test_a_file_that_could_be_a_cube_is_told_with_why_it_is_not_taken(
    path: str, sort: UnseenSort
) -> None:
    assert sort_of(file(path)) is sort
    assert all(each.is_data for each in find_unseen(Lie(entries=(file(path),), unreadable={})))


@pytest.mark.parametrize(
    "path",
    [
        "notes.txt",
        "README.md",
        "vcam1/notes.txt",
        "vcam1/vcam1.log",
        "vcam1_quicklook.png",
        "apapane/apapane_05:10:00.000000000.fits",
        "kcam1/kcam1_05:10:00.000000000.fits",
        "weather/20251106.csv",
        f"vcam1/._{CUBE}",
    ],
)
def test_what_is_somebody_elses_holds_nothing(path: str) -> None:
    [found] = find_unseen(Lie(entries=(file(path),), unreadable={}))

    assert (found.sort, found.is_data) == (UnseenSort.FOREIGN, False)


@pytest.mark.parametrize(("path", "size_bytes"), [(f"vcam1/{CUBE}.gz", 0), ("vcam1/a.fits", 2879)])
def test_a_file_in_which_no_frame_can_be_holds_nothing(path: str, size_bytes: int) -> None:
    assert sort_of(file(path, size_bytes)) is UnseenSort.FOREIGN


@pytest.mark.parametrize("form", [Form.PIPE, Form.DEVICE, Form.SOCKET])
@pytest.mark.parametrize("path", ["vcam1", f"vcam1/{CUBE}"])
def test_what_is_no_file_under_a_name_of_the_cameras_is_told(path: str, form: Form) -> None:
    [found] = find_unseen(Lie(entries=(Entry(path=path, form=form),), unreadable={}))

    assert (found.sort, found.is_data) == (UnseenSort.KIND, True)
    assert f"{path} is a {form}" in found.text


@pytest.mark.parametrize(
    ("path", "target", "is_data"),
    [
        ("vcam1", "/elsewhere", True),
        ("data", "/elsewhere/20251106/vcam1", True),
        (f"vcam1/{CUBE}", "/elsewhere/a", True),
        ("guide", "/data/guider", False),
    ],
)
def test_a_link_is_told_with_where_it_leads(path: str, target: str, is_data: bool) -> None:
    link = Entry(path=path, form=Form.LINK, target=target)

    [found] = find_unseen(Lie(entries=(link,), unreadable={}))

    assert found.is_data is is_data
    assert found.sort is (UnseenSort.LINK if is_data else UnseenSort.FOREIGN)
    assert not is_data or target in found.text


def test_many_files_at_one_place_are_one_finding_with_their_number_and_size() -> None:
    entries = [file(f"VCAM1/vcam1_05:10:{second:02}.000000000.fits", 10**6) for second in range(9)]
    entries += [Entry(path="VCAM1", form=Form.FOLDER), file("VCAM1/notes.txt")]

    data, other = find_unseen(Lie(entries=tuple(entries), unreadable={}))

    assert (data.place, data.entries, data.size_bytes) == ("VCAM1", 9, 9 * 10**6)
    assert "9 files in VCAM1/, 9.0 MB" in data.text
    assert other.sort is UnseenSort.FOREIGN


@pytest.mark.parametrize(
    ("place", "is_data"), [(".", True), ("vcam2", True), ("VCAM1", True), ("private", False)]
)
def test_what_cannot_be_looked_at_is_told_with_why(place: str, is_data: bool) -> None:
    [found] = find_unseen(Lie(entries=(), unreadable={place: "Permission denied"}))

    assert (found.sort, found.is_data) == (UnseenSort.UNREADABLE, is_data)
    assert "Permission denied" in found.text


@pytest.mark.parametrize("name", ["VCAM1", "v-cam 1", "vcamm1", "vacm1", "vcm1", "vca1", "vcaam2"])
def test_a_name_one_slip_away_is_the_cameras(name: str) -> None:
    assert is_camera_like(name)


@pytest.mark.parametrize("name", ["kcam1", "camera", "vacuum", "v1", "calib", "vgen2", "", "video"])
def test_other_words_are_not(name: str) -> None:
    assert not is_camera_like(name)


@given(
    folder=st.sampled_from(["vcam1", "vcam2", "VCAM1", "vcam3", "vcam1 (copy)", "20251106"]),
    stem=st.from_regex(r"vcam[12]_\d\d[:_-]\d\d[:_-]\d\d\.\d{3,9}", fullmatch=True),
    ending=st.sampled_from([".fits", ".FITS", ".fit", ".fits.gz", ".fits.fz", ".txt", ".fits.1"]),
)
def test_no_cube_is_neither_taken_nor_told(folder: str, stem: str, ending: str) -> None:
    path = f"{folder}/{stem}{ending}"

    taken = classify(path).role is not Role.OTHER

    assert taken or sort_of(file(path)) is not UnseenSort.FOREIGN
