"""Names that stand where a recording or a model belongs, and are neither: what to write instead.

Names and folders are looked at; no file is opened. `os.path`, for `Path` raises for some odd names.
"""

import os
import re
import select
import stat
from shlex import quote

MODEL_FILES = ("config.json", "params.json")
WHISPER = r"(tiny|base|small|medium|large|turbo)([.-](en|v\d|turbo|v3-turbo))?|.*/.*whisper.*"
URL = r"(?i)[a-z][a-z0-9+.-]+://"


def not_a_recording(name: str) -> str | None:
    """Why a name cannot be that of a recording, and what to write; None if it can."""
    if not name:
        return "the name of a recording is empty"
    if os.path.isdir(name):  # noqa: PTH112
        example = os.path.join(name, "*")  # noqa: PTH118
        return f"{name}: is a folder; name the recordings in it, as {example} does"
    if os.path.lexists(name):
        return None
    if name.lower().startswith("file://"):
        from urllib.parse import unquote, urlsplit  # only a mistake needs it

        return f"{name}: is an address; write the path, {quote(unquote(urlsplit(name).path))}"
    if re.match(URL, name):
        return f"{name}: is an address; pipe it: ffmpeg -v error -i {quote(name)} -f wav - | voxrun -"
    if name in ("serve", "server"):
        return f"{name}: no such recording; the server is the command voxrun serve, before all options"
    if name in ("bench", "benchmark"):
        return f"{name}: no such recording; voxrun bench measures the speed, bench comes before all options"
    if any(sign in name for sign in "*?["):
        return f"{name}: no file has a name like this"
    return None


def ignored_input() -> str | None:
    """What to write if standard input has sound, or will have it, but is not named; None if it is empty.

    Else a room would be recorded instead. Cron, CI and ssh close it, or give it /dev/null.
    """
    try:
        status = os.fstat(0)
    except OSError:
        return None
    if stat.S_ISFIFO(status.st_mode):
        poll = select.poll()
        poll.register(0, select.POLLIN)
        is_empty = any(event == select.POLLHUP for _, event in poll.poll(0))  # its writer wrote nothing
    else:
        is_empty = not (stat.S_ISREG(status.st_mode) and status.st_size)
    return None if is_empty else "standard input is -: voxrun - (for the microphone: voxrun </dev/null)"


def misplaced_model(name: str) -> str | None:
    """What to write instead of a model among the recordings; None if it is not one."""
    folder = any(os.path.isfile(os.path.join(name, file)) for file in MODEL_FILES)  # noqa: PTH113, PTH118
    if folder or (name.startswith("registry:") and not os.path.lexists(name)):
        return f"{name}: is a model, not a recording; write --model {quote(name)}"
    return None


def not_a_model(name: str) -> str | None:
    """Why a name cannot be that of a model, and what to write; None if it can."""
    from voxrun.trust.mistyped import WEIGHTS, a_file

    if reason := a_file(name):
        if name.lower().endswith(WEIGHTS):
            return f"--model {reason}"
        return f"--model {reason}; a recording needs no option: voxrun {quote(name)}"
    if not os.path.lexists(name) and re.fullmatch(WHISPER, name):
        return f"--model {name}: is a Whisper model; voxrun runs Voxtral-Mini-4B-Realtime only"
    return None
