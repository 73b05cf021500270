"""Runs doit as often as it is asked to, each time in a fork of this process, which has imported the tasks.

Lines of JSON on stdin ask for it: folder, arguments, environment, and a file for what it prints; each answer
is the exit code. huggingface_hub is not imported before the fork: it reads the environment.
"""

import gc
import json
import os
import runpy
import sys
import threading
import time

import doit.doit_cmd
import numba

from voxbuild.tasks import build, describe, evaluate, publish, show

IMPORTED = (doit, numba, build, describe, evaluate, publish, show)


def run(folder, arguments, environment, output):
    """Be `python -m doit`."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    for number, name, how in ((0, os.devnull, os.O_RDONLY), (1, output, os.O_WRONLY | os.O_APPEND)):
        os.dup2(os.open(name, how), number)
    os.dup2(1, 2)
    sys.path[0] = str(folder)
    sys.argv = ["doit", *arguments]
    runpy.run_module("doit", run_name="__main__", alter_sys=True)


def main():
    """Until stdin is closed."""
    assert "huggingface_hub" not in sys.modules
    assert threading.active_count() == 1
    gc.freeze()  # what is imported stays as it is, and is shared
    for line in sys.stdin:
        if (pid := os.fork()) == 0:
            run(**json.loads(line))
            sys.exit()
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
