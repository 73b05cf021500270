"""doit reads this file; the tasks live in voxbuild/tasks.py and voxbuild/showing.py."""

from voxbuild.interrupt import end_cleanly
from voxbuild.showing import *  # noqa: F403
from voxbuild.tasks import *  # noqa: F403

end_cleanly()
