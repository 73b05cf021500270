"""doit reads this file; the tasks live in voxbuild/tasks.py."""

from voxbuild.interrupt import end_cleanly
from voxbuild.tasks import *  # noqa: F403

end_cleanly()
