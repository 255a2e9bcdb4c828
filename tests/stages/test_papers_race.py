"""Two workers may write the papers of one night at the same time: each is whole at any moment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from vampd.io.beneath import Beneath
from vampd.layout import OWN_FOLDER
from vampd.stages.manifest import replace_file

_NAME = f"{OWN_FOLDER}/journal.jsonl"
_SIZE_BYTES = 300_000
_TIMES = 150

_OTHER = """
import sys
from pathlib import Path
from vampd.io.beneath import Beneath
from vampd.stages.manifest import replace_file
folder = Path(sys.argv[1])
(folder / "begun").touch()
for _ in range({times}):
    replace_file(Beneath(folder), {name!r}, b"B" * {size_bytes})
"""


def test_papers_that_two_workers_write_at_once_are_never_torn(tmp_path: Path) -> None:
    replace_file(Beneath(tmp_path), _NAME, b"A" * _SIZE_BYTES)
    code = _OTHER.format(times=_TIMES, name=_NAME, size_bytes=_SIZE_BYTES)
    words = [sys.executable, "-c", code, str(tmp_path)]
    found = set()
    with subprocess.Popen(words, stderr=subprocess.PIPE) as other:
        while not (tmp_path / "begun").exists():
            assert other.poll() is None
        while other.poll() is None:
            replace_file(Beneath(tmp_path), _NAME, b"A" * _SIZE_BYTES)
            content = (tmp_path / _NAME).read_bytes()
            found.add((content[:1], content == content[:1] * _SIZE_BYTES))
        words_of_other = other.communicate()[1]

    assert (other.returncode, words_of_other) == (0, b"")
    assert found <= {(b"A", True), (b"B", True)}
    assert sorted(path.name for path in (tmp_path / OWN_FOLDER).iterdir()) == ["journal.jsonl"]
