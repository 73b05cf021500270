"""doit reads this file; the tasks are in voxbuild/tasks/. It takes DOIT_CONFIG and the functions task_*."""

from voxbuild.tasks.build import *  # noqa: F403
from voxbuild.tasks.describe import *  # noqa: F403
from voxbuild.tasks.evaluate import *  # noqa: F403
from voxbuild.tasks.interrupt import end_cleanly
from voxbuild.tasks.publish import *  # noqa: F403
from voxbuild.tasks.show import *  # noqa: F403

end_cleanly()
