"""What doit prints of failed tasks."""

import io

import pytest
from doit.exceptions import TaskFailed
from doit.task import Task

from voxbuild.tasks.reporter import Reporter

MESSAGE = "!! reference: the clips are not there\n"


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (("convert", "reference"), f".  convert\n.  reference\n{MESSAGE}"),
        (("reference", "convert"), f".  reference\n{MESSAGE}.  convert\nfailed, see above: reference\n"),
        (("convert", "validate"), ".  convert\n.  validate\n"),
    ],
)
def test_failed_tasks_are_named_at_the_end_if_others_ran_after_them(order, said):
    out = io.StringIO()
    reporter = Reporter(out, {})
    for name in order:
        task = Task(name, ["true"])
        task.verbosity = 2  # its output was shown
        reporter.execute_task(task)
        if name == "reference":
            reporter.add_failure(task, TaskFailed("the clips are not there"))
    reporter.complete_run()
    assert out.getvalue() == said
