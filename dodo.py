"""doit reads this file; the tasks live in voxbuild/tasks.py."""

from voxbuild.tasks import *  # noqa: F403
