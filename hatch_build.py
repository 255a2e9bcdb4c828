"""Compile the Rice coder while a wheel or an editable install is made.

Without a compiler the install goes on: vampd then codes with imagecodecs, and `vampd admin doctor`
says so.
"""

from __future__ import annotations

import shutil
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

MODULE = "vampd.io._rice"
FOLDER = "vampd/io"


class RiceCoder(BuildHookInterface):
    """Puts the compiled module into the wheel; for an editable install, into the checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile. *version* is "standard" or "editable"."""
        self._scratch = tempfile.TemporaryDirectory(prefix="vampd-build-")
        if version == "editable":
            for old in (Path(self.root) / FOLDER).glob("_rice*.so"):
                old.unlink()  # of another source
        try:
            built = _compiled(Path(self.root), Path(self._scratch.name))
        except (BaseError, CCompilerError, OSError) as error:
            self.app.display_warning(f"vampd goes without its own Rice coder: {error}")
            return
        if version == "editable":
            shutil.copy(built, Path(self.root) / FOLDER)
            return
        build_data["force_include"][str(built)] = f"{FOLDER}/{built.name}"
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"cp311-abi3-{platform}"

    def finalize(self, *_: object) -> None:
        """Clear up: the wheel is written."""
        self._scratch.cleanup()


def _compiled(root: Path, scratch: Path) -> Path:
    """The module, compiled in *scratch*, for this and every newer Python."""
    extension = Extension(
        MODULE,
        sources=[str(root / "csrc" / name) for name in ("module.c", "rice.c")],
        include_dirs=[str(root / "csrc")],
        # Debian's own -O2 leaves the loops over blocks unvectorised.
        extra_compile_args=["-std=c11", "-O3", "-g0", "-fvisibility=hidden"],
        py_limited_api=True,
    )
    command = build_ext(Distribution({"name": "vampd", "ext_modules": [extension]}))
    command.build_lib = str(scratch / "lib")
    command.build_temp = str(scratch)
    command.ensure_finalized()
    command.run()
    (built,) = (Path(output) for output in command.get_outputs())
    return built
