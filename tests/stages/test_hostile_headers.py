"""Whatever cards a readable cube has: every reader reads its output, and it can be made again."""

from __future__ import annotations

import subprocess
import tempfile
import warnings
from contextlib import closing
from pathlib import Path

import fitsio
import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.support.made_sidecars import entry as raw_entry
from tests.support.made_sidecars import sidecar_job
from tests.support.raw_cubes import STEM, build_job, image_cards, timing_bytes
from tests.support.trees import below
from vampd.io.beneath import Beneath
from vampd.io.fits import Tiles
from vampd.stages.build_cube import build_cube
from vampd.stages.rebuild import Rebuilder
from vampd.stages.sidecar import make_sidecar
from vampd.stages.sidecar_index import Sidecar

PIXELS = np.random.default_rng(3).integers(0, 65536, (3, 4, 5)).astype(np.uint16)


KEYWORDS = st.one_of(
    st.from_regex(r"[A-Z][A-Z0-9_-]{0,7}", fullmatch=True),
    st.sampled_from(
        [
            "AZIMUTH",
            "OBJECT",
            "EXPTIME",
            "PRD-RNG2",
            "X_POLAR",
            "U_FLC",
            "MJD",
            "UT",
            "DATE-OBS",
            "FRAMEID",
            "NAXIS",
            "NAXIS1",
            "NAXIS3",
            "NAXIS4",
            "BITPIX",
            "SIMPLE",
            "BSCALE",
            "BZERO",
            "BLANK",
            "EXTEND",
            "EXTNAME",
            "EXTVER",
            "EXTLEVEL",
            "INHERIT",
            "PCOUNT",
            "GCOUNT",
            "GROUPS",
            "CHECKSUM",
            "DATASUM",
            "XTENSION",
            "TFIELDS",
            "TTYPE1",
            "TFORM1",
            "TNULL1",
            "THEAP",
            "ZIMAGE",
            "ZBITPIX",
            "ZNAXIS",
            "ZTILE1",
            "ZCMPTYPE",
            "ZVAL1",
            "ZBLANK",
            "ZSCALE",
            "ZQUANTIZ",
            "FZALGOR",
            "LONGSTRN",
            "COMMENT",
            "HISTORY",
            "CONTINUE",
            "HIERARCH",
            "DATE",
            "ORIGIN",
            "CRVAL1",
            "CTYPE1",
            "WCSAXES",
            "RECORD",
            "DP1",
        ]
    ),
    st.text("abzAZ09_-(.) ?=/'", min_size=1, max_size=8),
)
VALUES = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(repr),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda number: repr(number).upper()),
    st.sampled_from(
        [
            "T",
            "F",
            "t",
            "NaN",
            "inf",
            "-INF",
            "1E400",
            "1.5D-3",
            "1e5",
            ".",
            "+5",
            "007",
            "0x1F",
            "(1,2)",
            "(1.0,-2E5)",
            "''",
            "'''",
            "''''",
            "'a&'",
            "'&",
            "&'",
            "'it''s'",
            "'KEY.SUB:",
            "1.5'",
            "'no",
            "end",
            "5",
            "words",
        ]
    ),
    st.text(" aZ0'&/", max_size=30).map(lambda text: f"'{text}'"),
    st.text(min_size=0, max_size=20),
)
WRITTEN = st.builds(
    "{:<8}{}{}{}".format,
    KEYWORDS,
    st.sampled_from(["= ", "= ", "= ", "=", "  ", " ="]),
    VALUES,
    st.sampled_from(["", " / words", "/c", " words"]),
).map(lambda text: text.encode("utf-8", errors="replace"))
CONTINUED = st.builds(
    lambda first, rest: b"".join(text.encode().ljust(80) for text in (first, *rest)),
    st.sampled_from(["LONG    = 'a&'", "HIERARCH ESO L = 'a&'", "COMMENT 'a&'", "gain    = 'a&'"]),
    st.lists(st.sampled_from(["CONTINUE  'b&'", "CONTINUE  'c' / c", "CONTINUE c"]), max_size=3),
)
CARDS = st.one_of(WRITTEN, st.binary(max_size=80), CONTINUED).map(
    lambda card: card[: -(-len(card) // 80) * 80].ljust(-(-max(len(card), 1) // 80) * 80)
)


def _is_end(card: bytes) -> bool:
    return card[:8].translate(bytes.maketrans(b"\0\t", b"  ")) == b"END     "


HEADERS = st.lists(CARDS, max_size=12).filter(
    lambda cards: (
        not any(
            _is_end(whole[place : place + 80])
            for whole in [b"".join(cards)]
            for place in range(0, len(whole), 80)
        )
    )
)


def write_cube(night: Path, cards: list[bytes], padding: bytes) -> Path:
    """A cube whose structure is right, and whose other cards are *cards*."""
    frames, height, width = PIXELS.shape
    header = "".join(image_cards(width, height, frames, ())).encode() + b"".join(cards)
    end = header + b"END".ljust(80)
    path = night / "vcam1" / f"{STEM}.fits"
    path.parent.mkdir(parents=True)
    data = (PIXELS.astype(np.int32) - 32768).astype(">i2").tobytes()
    behind = (padding * 2880)[: -len(end) % 2880]
    path.write_bytes(end + behind + data.ljust(2880, b"\0"))
    path.with_suffix(".txt").write_bytes(timing_bytes(frames))
    return path


def made_sidecar(night: Path, cube: Path, name: str) -> None:
    text = raw_entry(night, cube.with_suffix(".txt"))
    segments = ((name, 0, 0, 1, len(PIXELS)),)
    header = replace(raw_entry(night, cube), stored="cube", segments=segments)
    make_sidecar(sidecar_job(night, [header, text]))


def check_readers(path: Path) -> None:
    """funpack, astropy and CFITSIO read the pixels; nothing is against the standard."""
    unpacked = path.with_name("unpacked.fits")
    subprocess.run(["funpack", "-O", unpacked, path], check=True, timeout=60)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for file, unit in ((path, 1), (unpacked, 0)):
            with fits.open(file, checksum=True, memmap=False) as units:
                units.verify("exception")
                assert units[unit].data.dtype == np.uint16
                assert np.array_equal(units[unit].data, PIXELS)
                for card in units[unit].header.cards:
                    assert card.value is not NotImplemented
    with fitsio.FITS(str(path)) as units:
        units[0].verify_checksum()
        units[1].verify_checksum()
        assert np.array_equal(units[1].read(), PIXELS)
    unpacked.unlink()


@given(cards=HEADERS, padding=st.sampled_from([b" ", b"\0", b"END junk "]))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@example(cards=[b"GAIN(1) =                 1.50".ljust(80)], padding=b" ")
@example(cards=[b"OBJECT  = 'M\xc3\xb6ller'\0\0\t".ljust(80)], padding=b"\0")
@example(cards=[b"X       = 'a&'".ljust(80), b"CONTINUE  5".ljust(80)], padding=b" ")
def test_every_reader_reads_the_output_and_the_raw_cube_comes_back(
    cards: list[bytes], padding: bytes
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        night = Path(folder) / "20251106"
        cube = write_cube(night, cards, padding)
        job = build_job(night, [cube])
        (night / ".vampd" / "scratch").mkdir(parents=True, exist_ok=True)

        result = build_cube(job)

        name = job.outputs[0].file_name
        check_readers(night / "vgen2" / f"{name}.fits.fz")
        refused = [what for what, _ in result.reports if "funpack:" in what or "astropy:" in what]
        assert refused == []  # the rules alone suffice; the trial finds nothing beyond them
        made_sidecar(night, cube, name)
        opened_at = below(night / ".vampd" / "raw_sidecar.tar")
        with (
            closing(Sidecar(opened_at)) as opened,
            Rebuilder(Beneath(night), opened) as rebuilder,
        ):
            for path in opened.paths:
                rebuilder.check(opened.entry(path))


@pytest.mark.parametrize("tiles", ["frame", "row"])
def test_what_the_rules_do_not_know_is_found_by_trial_and_left_out(
    tmp_path: Path, tiles: Tiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A funpack of another version may refuse what this one takes."""
    night = tmp_path / "20251106"
    cube = write_cube(night, [f"{word:<8}= 5".ljust(80).encode() for word in ("A", "B", "C")], b" ")
    program = tmp_path / "bin" / "funpack"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        "if grep -aq 'B       = 5' \"$3\"; then echo 'no B here' >&2; exit 1; fi\n"
        'exec /usr/bin/env PATH="${PATH#*:}" funpack "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    job = build_job(night, [cube], tiles=tiles)

    result = build_cube(job)

    assert result.reports == (
        (
            "B: left out of the outputs: funpack: no B here",
            f"vcam1/{STEM}.fits: B = 5",
        ),
    )
    assert result.tried == ()
    with fits.open(night / "vgen2" / "vcam1_05:10:00.000000.fits.fz") as units:
        assert "B" not in units[1].header
        assert units[1].header["C"] == 5
        assert np.array_equal(units[1].data, PIXELS)
