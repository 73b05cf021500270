"""`doit explain`: for each task whether it would run, and why. Nothing is run, nothing is stored."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from doit.cmd_base import DoitCmdBase
from doit.control import TaskControl
from doit.tools import config_changed, result_dep

from .up_to_date import WHY

RUNS, MAY_RUN, UP_TO_DATE = "runs", "may run", "up to date"


@dataclass(frozen=True)
class Verdict:
    """What doit would do about a task."""

    task: str
    says: str
    """RUNS, MAY_RUN (its forerunners decide) or UP_TO_DATE."""
    reasons: tuple[str, ...] = ()


class Explain(DoitCmdBase):  # type: ignore[misc]
    """The command: doit explain [TASK ...] [recipe=NAME] [source=NAME]; without a TASK, of `build`."""

    name = "explain"
    doc_purpose = "say which stages of a build would run, and why"
    doc_usage = "[TASK ...] [recipe=NAME] [source=NAME]"
    doc_description = "Runs nothing. Without a TASK: of `build`."

    def _execute(self, pos_args: list[str]) -> int:
        control = TaskControl(self.task_list)
        control.process(pos_args or ["build"])
        verdicts: dict[str, Verdict] = {}
        for name in _forerunners_first(control.tasks, control.selected_tasks):
            verdicts[name] = _judged(control.tasks[name], control, self.dep_manager, verdicts)
        shown = [verdict for name, verdict in verdicts.items() if control.tasks[name].actions]
        self.outstream.write(_table(shown))
        return 0


def _forerunners_first(tasks: Any, names: list[str], seen: set[str] | None = None) -> Iterator[str]:
    """Tasks and all that they depend on, each once, in an order in which doit could run them."""
    seen = set() if seen is None else seen
    for name in names:
        if name not in seen:
            seen.add(name)
            yield from _forerunners_first(tasks, tasks[name].task_dep + tasks[name].setup_tasks, seen)
            yield name


def _judged(task: Any, control: Any, database: Any, verdicts: dict[str, Verdict]) -> Verdict:
    if not task.actions:
        return Verdict(task.name, UP_TO_DATE)
    if database.status_is_ignore(task):
        return Verdict(task.name, UP_TO_DATE, ("ignored, as `doit ignore` was told",))
    forerunners = [verdicts[n] for n in _feeding(task, control) if verdicts[n].says != UP_TO_DATE]
    if reasons := tuple(_reasons(task, control, database, {v.task for v in forerunners})):
        return Verdict(task.name, RUNS, reasons)
    if forerunners:
        told = (f"its forerunner {_shown(v.task)} {_will(v.says)}" for v in forerunners)
        return Verdict(task.name, MAY_RUN, tuple(told))
    return Verdict(task.name, UP_TO_DATE)


def _feeding(task: Any, control: Any) -> list[str]:
    """The tasks whose files or results this one looks at: whatever else it waits for does not make it run."""
    files = {control.targets[file] for file in task.file_dep if file in control.targets}
    results = {check.dep_name for check, _, _ in task.uptodate if isinstance(check, result_dep)}
    return [name for name in task.task_dep if name in files | results]


def _reasons(task: Any, control: Any, database: Any, running: set[str]) -> Iterator[str]:
    """Why it runs for certain: not what `running` forerunners will make again, perhaps as it was."""
    status = database.get_status(task, control.tasks, get_log=True)
    if status.status == "up-to-date":
        return
    ran = database.backend.in_(task.name)
    if not ran:
        yield "it did not run yet, or failed the last time"
    for file in sorted(status.reasons["missing_file_dep"]):
        if control.targets.get(file) not in running:
            yield f"{file} is missing, and no task makes it: this fails"
    if ran:
        yield from _changes(task, status.reasons, lambda file: control.targets.get(file) in running)


def _changes(task: Any, reasons: Any, made_again: Callable[[str], bool]) -> Iterator[str]:
    """What is different from the last time."""
    there = sorted(set(reasons["changed_file_dep"]) - set(reasons["missing_file_dep"]))
    yield from (f"{file} is missing" for file in reasons["missing_target"])
    yield from (f"{file} changed" for file in there if not made_again(file))
    yield from (f"it reads {file} too now" for file in reasons["added_file_dep"])
    yield from (f"it reads {file} no more" for file in reasons["removed_file_dep"])
    yield from (task.meta or {}).get(WHY, ())
    for check, _, _ in reasons["uptodate_false"]:
        yield from _objection(check)


def _objection(check: Any) -> Iterator[str]:
    """What doit's own checks object to; ours have left their reason on the task."""
    if isinstance(check, result_dep):
        yield f"{_shown(check.dep_name)} made something else than the last time"
    elif isinstance(check, config_changed) and isinstance(check.config, dict):
        yield f"one of {', '.join(check.config)} has another version"
    elif isinstance(check, config_changed):
        yield "recipes/ says something else than the last time"
    elif check is False:
        yield "it runs always"


def _shown(name: str) -> str:
    return name.lstrip("_")


def _will(says: str) -> str:
    return "will run" if says == RUNS else "may run"


def _table(verdicts: list[Verdict]) -> str:
    width = max((len(_shown(v.task)) for v in verdicts), default=0)
    lines = [
        f"{v.says:<{len(UP_TO_DATE)}}  {_shown(v.task):<{width}}  {'; '.join(v.reasons)}".rstrip()
        for v in verdicts
    ]
    return "".join(f"{line}\n" for line in lines)
