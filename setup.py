"""Optional native parts: the project works without them, slower."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        # CPython's stable ABI: one build serves 3.11 and everything newer.
        Extension(
            "workers._native._blocks",
            ["workers/_native/_blocks.c"],
            extra_compile_args=["-O3", "-std=c11"],
            py_limited_api=True,
            optional=True,
        ),
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
