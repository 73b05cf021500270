"""How pytest-xdist distributes the tests: file by file, the files of the table of faults as one."""

from xdist.scheduler import LoadFileScheduling


class FilesTogether(LoadFileScheduling):
    """The tests of `test_hub_faults*.py` collect the rows of one table in the memory of one process."""

    def _split_scope(self, nodeid: str) -> str:
        path: str = super()._split_scope(nodeid)
        folder, found, _ = path.partition("test_hub_faults")
        return folder + found
