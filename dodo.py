"""doit reads this file; the tasks live in voxbuild/tasks/."""

from voxbuild.tasks.build import *  # noqa: F403
from voxbuild.tasks.describe import *  # noqa: F403
from voxbuild.tasks.interrupt import end_cleanly
from voxbuild.tasks.publish import *  # noqa: F403
from voxbuild.tasks.show import *  # noqa: F403

end_cleanly()
