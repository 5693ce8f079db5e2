"""How the parts in C are compiled. All else about the package is in pyproject.toml.

A part that cannot be compiled is left out, and torch does the same: `seqtool info --machine` says which there are.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

PARTS = ("step", "softmax", "ngrams", "mixing", "recurrence", "scan", "delta", "skipgram")
HEADERS = {"recurrence": ["recurrence_pass.h"]}  # of a part, beside native.h
FLAGS = ["-O3", "-fno-math-errno", "-fassociative-math", "-fno-signed-zeros", "-fno-trapping-math"]
FLAGS += ["-Wno-psabi", "-Wno-unknown-pragmas"]
# Not every compiler takes these. The second overrules CFLAGS: a part chooses its instructions by the processor that it
# runs on, and must not need those of the processor that it was compiled on.
OPENMP, ANY_PROCESSOR = "-fopenmp", "-march=x86-64"
PROBE = """
#ifdef _OPENMP
#include <omp.h>
int threads(void) { return omp_get_max_threads(); }
#endif
"""


class BuildParts(build_ext):
    """Compile the parts with the flags that this compiler takes."""

    def finalize_options(self) -> None:
        """Compile anew each time: setuptools does not know with which flags a file was compiled."""
        super().finalize_options()
        self.force = True

    def build_extensions(self) -> None:
        """Compile each part that can be, and warn of what is missing."""
        taken = [flag for flag in (OPENMP, ANY_PROCESSOR) if self._takes(flag)]
        for extension in self.extensions:
            extension.extra_compile_args = FLAGS + taken
            extension.extra_link_args = [flag for flag in taken if flag == OPENMP]
        super().build_extensions()
        missing = [part.name for part in self.extensions if not Path(self.get_ext_fullpath(part.name)).exists()]
        if missing:
            self.warn(f"without {', '.join(missing)}: torch does the same, slower; install again with a C compiler")
        elif OPENMP not in taken:
            self.warn(f"the compiler does not take {OPENMP}: what is written in C computes in one thread")

    def _takes(self, flag: str) -> bool:
        """Whether the compiler makes a library with it."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text(PROBE)
            try:
                objects = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=[flag])
                self.compiler.link_shared_object(objects, str(Path(folder, "probe.so")), extra_postargs=[flag])
            except (BaseError, CCompilerError):
                return False
        return True


setup(
    cmdclass={"build_ext": BuildParts},
    ext_modules=[
        Extension(
            f"seqtool.native._{name}",
            sources=[f"seqtool/native/{name}.c"],
            depends=[f"seqtool/native/{header}" for header in ["native.h", *HEADERS.get(name, [])]],
            libraries=["m"],
            optional=True,
        )
        for name in PARTS
    ],
)
