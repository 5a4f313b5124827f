"""Builds the native library where there is a compiler; everything else stands in setup.cfg."""

from __future__ import annotations

import runpy
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).resolve().parent
BUILD = runpy.run_path(str(HERE / "finrec_dgl" / "kernels" / "build.py"))
EXTENSION = f"finrec_dgl.kernels.{Path(BUILD['NAME']).stem}"


class BuildLibrary(build_ext):
    """Compiles the library as its own module says; without it the package works, only slower."""

    def get_ext_filename(self, fullname: str) -> str:
        """A name without Python's version in it: the library does not depend on Python's ABI."""
        return str(Path(*fullname.split(".")[:-1], BUILD["NAME"]))

    def build_extension(self, ext: Extension) -> None:
        """Compile; a failure is told, and no more."""
        target = Path(self.get_ext_fullpath(ext.name))
        try:
            BUILD["compile_library"](target)
        except RuntimeError as error:
            self.warn(f"the native kernels were not built, DGL takes their place: {error}")


class Wheel(bdist_wheel):
    """A wheel for every Python of one platform."""

    def get_tag(self) -> tuple[str, str, str]:
        """py3-none-<platform>."""
        return ("py3", "none", super().get_tag()[2])


setup(
    ext_modules=[Extension(EXTENSION, sources=[], optional=True)],
    cmdclass={"build_ext": BuildLibrary, "bdist_wheel": Wheel},
)
