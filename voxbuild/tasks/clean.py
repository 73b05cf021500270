"""`doit clean`: removes what was built and prints each path; never a release, a download or a source."""

from doit import get_var
from doit.cmd_base import DoitCmdBase
from doit.cmd_clean import opt_clean_dryrun
from doit.exceptions import InvalidCommand

from voxbuild.console import sayable
from voxbuild.errors import VoxbuildError
from voxrun.errors import VoxrunError

from .command_line import Hints

ALL = {
    "name": "everything",
    "long": "all",
    "type": bool,
    "default": False,
    "help": "what was built of all recipes and sources",
}
HOW = "nothing was removed: choose with recipe=NAME[,NAME] or source=NAME, or remove all of it with --all"


class Clean(Hints, DoitCmdBase):  # type: ignore[misc]
    """The command: doit clean [recipe=NAME[,NAME]] [source=NAME] [--all] [--dry-run]."""

    name = "clean"
    doc_purpose = "remove what was built, and print each path"
    doc_usage = "[recipe=NAME[,NAME]] [source=NAME] [--all] [--dry-run]"
    doc_description = (
        "recipe= removes artifacts with their views and unfinished folders; source= or --all without it also"
        " what is kept about a source, such as its transcripts. Without any of them nothing is removed, only"
        " shown. Releases (out/registry), downloads and sources are never removed."
    )
    cmd_options = (opt_clean_dryrun, ALL)

    def _execute(self, dryrun: bool, everything: bool, pos_args: list[str]) -> int:
        if pos_args:
            raise InvalidCommand(not_found=pos_args[0])
        chosen = bool(everything or get_var("recipe") or get_var("source"))
        from .cleaning import cleaned  # `doit help` does not wait for what removes

        try:
            for line in cleaned(remove=chosen and not dryrun):
                self.outstream.write(f"{line}\n")
        except (VoxbuildError, VoxrunError) as error:
            raise InvalidCommand(sayable(str(error))) from error
        if not chosen:
            self.outstream.write(f"{HOW}\n")
        return 0
