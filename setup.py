"""Optional native parts: the project works without them, slower.

``VERILAYER_PURE=1`` builds neither. A missing compiler or mypy leaves out what needs it.
"""

import os
import sys
from pathlib import Path

from setuptools import Extension, setup

#: Modules that mypyc compiles: the hot ones. Those left out are small or want the interpreter.
FORMATS = sorted(
    str(path)
    for package, left_out in (
        ("", {"__init__", "errors"}),
        ("erofs", {"__init__", "dump"}),
        ("tarindex", {"__init__", "builder", "limits", "warning"}),
    )
    for path in Path("workers/formats", package).glob("*.py")
    if path.stem not in left_out
)


def compiled_formats() -> list[Extension]:
    """The tar reader and index builder compiled by mypyc, or nothing where it is not there."""
    try:
        from mypyc.build import mypycify

        # Our own configuration names plugins that an isolated build does not have.
        extensions = mypycify(
            ["--strict", f"--config-file={os.devnull}", *FORMATS],
            opt_level="3",
            group_name="verilayer_formats",
        )
    except (ImportError, SystemExit) as error:
        sys.stderr.write(f"setup: the formats stay interpreted ({error})\n")
        return []
    for extension in extensions:
        extension.optional = True
        # A function that other libraries could replace is never inlined, and called by a table.
        extension.extra_compile_args.append("-fvisibility=hidden")
    return extensions


pure = bool(os.environ.get("VERILAYER_PURE"))
blocks = Extension(
    "workers._native._blocks",
    ["workers/_native/_blocks.c"],
    extra_compile_args=["-O3", "-std=c11"],
    py_limited_api=True,
    optional=True,
)
formats = [] if pure else compiled_formats()
setup(
    ext_modules=[] if pure else [blocks, *formats],
    # CPython's stable ABI, one build for 3.11 and newer, unless mypyc's output is in the wheel.
    options={} if formats else {"bdist_wheel": {"py_limited_api": "cp311"}},
)
