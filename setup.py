"""Builds the package as pyproject.toml says, and adds to the wheel the files of a new project.

They lie at the top of the repository. An editable installation reads them there.
"""

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))  # pip builds without it
from voxbuild.project.template import IN_WHEEL, template_files  # noqa: E402


class BuildWithTemplate(build_py):
    """Copies the files into the built package; a source distribution includes them, too."""

    def run(self):
        """Build the package, then add the files."""
        super().run()
        if not self.editable_mode:
            for path, copy in self._copies().items():
                self.mkpath(str(Path(copy).parent))
                self.copy_file(path, copy)

    def get_source_files(self):
        """All files from which the package is built."""
        return [*super().get_source_files(), *self._copies()]

    def get_outputs(self, include_bytecode=True):
        """All files of the built package."""
        return [*super().get_outputs(include_bytecode), *self._copies().values()]

    def _copies(self):
        """Path in the repository -> path in the built package."""
        package = Path(self.build_lib, "voxbuild/project", IN_WHEEL)
        return {str(path): str(package / path) for path in template_files(ROOT)}


setup(cmdclass={"build_py": BuildWithTemplate})
