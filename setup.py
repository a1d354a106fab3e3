"""Optional native parts: the project works without them, slower."""

from setuptools import setup

setup()
