"""Compile the Rice coder and the sums of frames while a wheel or an editable install is made.

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

FOLDER = "vampd/io"
#: Of each module in that folder, its sources.
MODULES = {"_rice": ("module.c", "rice.c"), "_stack": ("stack.c",)}


class CompiledModules(BuildHookInterface):
    """Puts the compiled modules into the wheel; for an editable install, into the checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile. *version* is "standard" or "editable"."""
        self._scratch = tempfile.TemporaryDirectory(prefix="vampd-build-")
        if version == "editable":
            for old in (Path(self.root) / FOLDER).glob("_*.so"):
                old.unlink()  # of another source
        try:
            built = _compiled(Path(self.root), Path(self._scratch.name))
        except (BaseError, CCompilerError, OSError) as error:
            self.app.display_warning(f"vampd goes without its compiled modules: {error}")
            return
        if version == "editable":
            for module in built:
                shutil.copy(module, Path(self.root) / FOLDER)
            return
        for module in built:
            build_data["force_include"][str(module)] = f"{FOLDER}/{module.name}"
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"cp311-abi3-{platform}"

    def finalize(self, *_: object) -> None:
        """Clear up: the wheel is written."""
        self._scratch.cleanup()


def _compiled(root: Path, scratch: Path) -> list[Path]:
    """The modules, compiled in *scratch*, for this and every newer Python."""
    extensions = [
        Extension(
            f"{FOLDER.replace('/', '.')}.{name}",
            sources=[str(root / "csrc" / source) for source in sources],
            include_dirs=[str(root / "csrc")],
            # Debian's own -O2 leaves the loops over blocks and pixels unvectorised.
            extra_compile_args=["-std=c11", "-O3", "-g0", "-fvisibility=hidden"],
            py_limited_api=True,
        )
        for name, sources in MODULES.items()
    ]
    command = build_ext(Distribution({"name": "vampd", "ext_modules": extensions}))
    command.build_lib = str(scratch / "lib")
    command.build_temp = str(scratch)
    command.ensure_finalized()
    command.run()
    return [Path(output) for output in command.get_outputs()]
