"""`doit explain`: whether each task would run, and why. Runs nothing and stores nothing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from doit.cmd_base import DoitCmdBase
from doit.control import TaskControl
from doit.tools import config_changed, result_dep

from .command_line import Hints
from .in_order import in_order

RUNS, MAY_RUN, UP_TO_DATE = "runs", "may run", "up to date"


@dataclass(frozen=True)
class Verdict:
    """What doit would do about a task."""

    task: str
    status: str
    """RUNS, MAY_RUN (depends on earlier tasks) or UP_TO_DATE."""
    reasons: tuple[str, ...] = ()


class Explain(Hints, DoitCmdBase):  # type: ignore[misc]
    """The command: doit explain [TASK ...] [recipe=NAME[,NAME]] [source=NAME]; default: `build`."""

    name = "explain"
    doc_purpose = "show which stages of a build would run, and why"
    doc_usage = "[TASK ...] [recipe=NAME[,NAME]] [source=NAME]"
    doc_description = "Runs nothing. The default TASK is `build`."

    def _execute(self, pos_args: list[str]) -> int:
        control = TaskControl(self.task_list)
        control.process(pos_args or ["build"])
        verdicts: dict[str, Verdict] = {}
        for name in in_order(control.tasks, control.selected_tasks):
            verdicts[name] = _verdict(control.tasks[name], control, self.dep_manager, verdicts)
        shown = [verdict for name, verdict in verdicts.items() if control.tasks[name].actions]
        self.outstream.write(_table(shown))
        return 0


def _verdict(task: Any, control: Any, database: Any, verdicts: dict[str, Verdict]) -> Verdict:
    if not task.actions:
        return Verdict(task.name, UP_TO_DATE)
    if database.status_is_ignore(task):
        return Verdict(task.name, UP_TO_DATE, ("ignored because of `doit ignore`",))
    running = [verdicts[n] for n in _inputs(task, control) if verdicts[n].status != UP_TO_DATE]
    if reasons := tuple(dict.fromkeys(_reasons(task, control, database, {v.task for v in running}))):
        return Verdict(task.name, RUNS, reasons)
    if running:
        will = {RUNS: "will run", MAY_RUN: "may run"}
        return Verdict(task.name, MAY_RUN, tuple(f"{_shown(v.task)} {will[v.status]} first" for v in running))
    return Verdict(task.name, UP_TO_DATE)


def _inputs(task: Any, control: Any) -> list[str]:
    """The tasks whose files or results this task reads; its other dependencies cannot make it run."""
    files = {control.targets[file] for file in task.file_dep if file in control.targets}
    results = {check.dep_name for check, _, _ in task.uptodate if isinstance(check, result_dep)}
    return [name for name in task.task_dep if name in files | results]


def _reasons(task: Any, control: Any, database: Any, running: set[str]) -> Iterator[str]:
    """Why it certainly runs. Files that `running` tasks write do not count: they may turn out the same."""
    status = database.get_status(task, control.tasks, get_log=True)
    if status.status == "up-to-date":
        return
    ran = database.backend.in_(task.name)
    if not ran:
        yield "it has not run yet, or failed"
    for file in sorted(status.reasons["missing_file_dep"]):
        if control.targets.get(file) not in running:
            yield f"{file} is missing, and no task makes it: this will fail"
    if ran:
        yield from _changes(task, status.reasons, lambda file: control.targets.get(file) in running)


def _changes(task: Any, reasons: Any, made_again: Callable[[str], bool]) -> Iterator[str]:
    """What has changed since the last run."""
    from .up_to_date import WHY  # `doit help` imports this module too

    there = sorted(set(reasons["changed_file_dep"]) - set(reasons["missing_file_dep"]))
    yield from (f"{file} is missing" for file in reasons["missing_target"])
    yield from (f"{file} changed" for file in there if not made_again(file))
    yield from (f"it now reads {file} too" for file in reasons["added_file_dep"])
    yield from (f"it no longer reads {file}" for file in reasons["removed_file_dep"])
    yield from (task.meta or {}).get(WHY, ())
    for check, _, _ in reasons["uptodate_false"]:
        yield from _objection(check)


def _objection(check: Any) -> Iterator[str]:
    """Why one of doit's own checks failed; those in `up_to_date` have left their reason on the task."""
    if isinstance(check, result_dep):
        yield f"the result of {_shown(check.dep_name)} changed"
    elif isinstance(check, config_changed) and isinstance(check.config, dict):
        yield f"one of {', '.join(check.config)} has another version"
    elif check is False:
        yield "it always runs"


def _shown(name: str) -> str:
    return name.lstrip("_")


def _table(verdicts: list[Verdict]) -> str:
    width = max((len(_shown(v.task)) for v in verdicts), default=0)
    lines = [
        f"{v.status:<{len(UP_TO_DATE)}}  {_shown(v.task):<{width}}  {'; '.join(v.reasons)}".rstrip()
        for v in verdicts
    ]
    return "".join(f"{line}\n" for line in lines)
