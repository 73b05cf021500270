"""doit reads this file; the tasks live in voxbuild/: tasks.py, describing.py, releasing.py, showing.py."""

from voxbuild.describing import *  # noqa: F403
from voxbuild.interrupt import end_cleanly
from voxbuild.releasing import *  # noqa: F403
from voxbuild.showing import *  # noqa: F403
from voxbuild.tasks import *  # noqa: F403

end_cleanly()
