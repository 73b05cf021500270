"""doit reads this file; the tasks are in voxbuild/tasks/. It takes DOIT_CONFIG and the functions task_*."""

from voxbuild.tasks.interrupt import end_cleanly

end_cleanly()  # first, for a Ctrl-C while the rest is imported

from voxbuild.tasks.build import *  # noqa: E402, F403
from voxbuild.tasks.describe import *  # noqa: E402, F403
from voxbuild.tasks.evaluate import *  # noqa: E402, F403
from voxbuild.tasks.publish import *  # noqa: E402, F403
from voxbuild.tasks.show import *  # noqa: E402, F403
