"""`python -m voxbuild`."""

import sys

from voxbuild.project.command import main

sys.exit(main())
