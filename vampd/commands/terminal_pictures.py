"""Pictures in a terminal that can show them.

Kitty's protocol (https://sw.kovidgoyal.net/kitty/graphics-protocol/) takes a PNG as it is; kitty,
WezTerm, Ghostty and Konsole know it. Others that know sixel say so when they are asked, and
`img2sixel` (Debian: libsixel-bin) draws for them.
"""

from __future__ import annotations

import base64
import os
import re
import select
import shutil
import subprocess
import sys
import termios
import tty

_KITTY_PROGRAMS = frozenset({"WezTerm", "ghostty"})
_CHUNK_CHARACTERS = 4_096  # the protocol's limit
_WAIT_SECONDS = 0.3
_ANSWER = re.compile(rb"\x1b\[\?[0-9;]*c")
_SIXEL = b"4"


def can_show() -> bool:
    """Whether standard output is a terminal that shows pictures."""
    return sys.stdout.isatty() and (_is_kitty() or _knows_sixel())


def show(picture: bytes) -> None:
    """Show a PNG where `can_show`."""
    sys.stdout.flush()
    if not _is_kitty():
        subprocess.run(["img2sixel"], input=picture, check=False, stderr=subprocess.DEVNULL)
        return
    coded = base64.b64encode(picture).decode()
    chunks = [coded[at : at + _CHUNK_CHARACTERS] for at in range(0, len(coded), _CHUNK_CHARACTERS)]
    for number, chunk in enumerate(chunks):
        control = "a=T,f=100," if number == 0 else ""
        more = int(number < len(chunks) - 1)
        sys.stdout.write(f"\x1b_G{control}m={more};{chunk}\x1b\\")
    sys.stdout.write("\n")
    sys.stdout.flush()


def _is_kitty() -> bool:
    return (
        "KITTY_WINDOW_ID" in os.environ
        or os.environ.get("TERM") in {"xterm-kitty", "xterm-ghostty"}
        or os.environ.get("TERM_PROGRAM") in _KITTY_PROGRAMS
        or "KONSOLE_VERSION" in os.environ
    )


def _knows_sixel() -> bool:
    """Whether the terminal answers so when it is asked what it is (Primary Device Attributes)."""
    if shutil.which("img2sixel") is None or not sys.stdin.isatty():
        return False
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        os.write(sys.stdout.fileno(), b"\x1b[c")
        answer = b""
        while _ANSWER.search(answer) is None:
            if not select.select([terminal], [], [], _WAIT_SECONDS)[0]:
                return False
            answer += os.read(terminal, 64)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
    return _SIXEL in answer.strip(b"\x1b[?c").split(b";")
