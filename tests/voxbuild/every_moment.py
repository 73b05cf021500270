"""Publish to a local registry, and act at each moment before a file changes.

every_moment.py kill FOLDER     a process for each moment, killed there, then a publisher who finishes it
every_moment.py read FOLDER     the genuine client reads at each moment, and collectors of garbage come
every_moment.py collect FOLDER  a collector is read beside, and killed, at each moment
every_moment.py flush FOLDER    what is renamed, or pointed at by a ref, must have been flushed to the disk
every_moment.py race FOLDER     two publishers of one tag, and a third who repeats the winner's

Prints how many moments there were. A process of its own, for it forks and what watches cannot be taken away.
"""

import os
import signal
import sys
import time
from pathlib import Path

sys.path += [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]  # as pytest and conftest have it

import huggingface_hub
from artifacts import REPO, contents, make_release
from huggingface_hub.errors import LocalEntryNotFoundError

from voxbuild.errors import PublishError
from voxbuild.publish.registry.target import LocalRegistry
from voxbuild.publish.target import Destination

CHANGES = ("open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "fcntl.flock")
KILLED = -signal.SIGKILL


class Watch:
    """Calls `act` with the number of each change below `folder`, its kind and arguments, while it is `on`."""

    def __init__(self, folder):
        self.folder, self.on, self.count = str(folder), False, 0
        self.act = lambda number, event, arguments: None
        sys.addaudithook(self)

    def __call__(self, event, arguments):
        if self.on and event in CHANGES and self.concerns(event, arguments):
            self.on = False  # what is done about it is not watched
            self.act(self.count, event, arguments)
            self.count, self.on = self.count + 1, True

    def concerns(self, event, arguments):
        if event == "open" and isinstance(arguments[1], str) and "r" in arguments[1]:
            return False
        return event == "fcntl.flock" or any(self.folder in str(a) for a in arguments[:2])

    def collect(self, registry):
        self.on = True
        registry.collect(dry_run=False)
        self.on = False

    def publish(self, registry, release):
        self.on = True
        registry.publish(release, Destination())
        self.on = False


def found(registry, tag):
    try:
        return contents(
            Path(
                huggingface_hub.snapshot_download(
                    REPO, revision=tag, cache_dir=registry.folder, local_files_only=True
                )
            )
        )
    except LocalEntryNotFoundError:
        return None


def forked(function):
    """Run it in a process of its own; how that ended."""
    pid = os.fork()
    if pid == 0:
        function()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kill(folder):
    first, second = make_release(folder / "a"), make_release(folder / "b", b"others", tag="v2")
    before, after = contents(folder / "a"), contents(folder / "b")
    moment = 0
    while True:
        registry = LocalRegistry(folder / f"registry{moment}")
        registry.publish(first, Destination())
        watch = Watch(registry.folder)
        watch.act = lambda number, *_, last=moment: number == last and os.kill(os.getpid(), signal.SIGKILL)
        ended = forked(lambda registry=registry, watch=watch: watch.publish(registry, second))
        assert found(registry, "v1") == before, moment
        assert found(registry, "v2") in (None, after), moment
        assert found(registry, "main") in (before, after), moment
        if ended == 0:
            return moment
        assert ended == KILLED, ended
        assert registry.published(first) or found(registry, "v2") is not None, moment
        registry.publish(second, Destination())
        assert found(registry, "v2") == found(registry, "main") == after, moment
        registry.collect(dry_run=False)
        assert not list(registry.folder.rglob("*.partial")), moment
        assert found(registry, "v1") == before
        assert found(registry, "v2") == after
        moment += 1


def read(folder):
    first, second = make_release(folder / "a"), make_release(folder / "b", b"others", tag="v2")
    before, after = contents(folder / "a"), contents(folder / "b")
    registry = LocalRegistry(folder / "registry")
    registry.publish(first, Destination())
    watch = Watch(registry.folder)

    collectors = []

    def look(number, event, arguments):
        collectors.append(os.fork())
        if not collectors[-1]:
            LocalRegistry(registry.folder).collect(dry_run=False)
            os._exit(0)
        time.sleep(0.01)  # let it do what it can
        assert found(registry, "v1") == before
        assert found(registry, "v2") in (None, after)
        assert found(registry, second.files["manifest.json"].sha256[:40]) in (None, after)
        assert found(registry, "main") in (before, after)

    watch.act = look
    watch.publish(registry, second)
    assert {os.waitpid(pid, 0)[1] for pid in collectors} == {0}
    assert found(registry, "main") == found(registry, "v2") == after
    return watch.count


def collect(folder):
    first, second = make_release(folder / "a"), make_release(folder / "b", b"others", tag="v2")
    moment = 0
    while True:
        registry = LocalRegistry(folder / f"registry{moment}")
        registry.publish(first, Destination())
        registry.publish(second, Destination())
        (next(registry.folder.glob("models--*")) / "refs/v1").unlink()
        watch = Watch(registry.folder)

        def act(number, *_, registry=registry, last=moment):
            assert found(registry, "v2") == contents(folder / "b")
            unnamed = found(registry, first.files["manifest.json"].sha256[:40])
            assert unnamed in (None, contents(folder / "a"))
            if number == last:
                os.kill(os.getpid(), signal.SIGKILL)

        watch.act = act
        ended = forked(lambda registry=registry, watch=watch: watch.collect(registry))
        assert found(registry, "v2") == contents(folder / "b"), moment
        registry.collect(dry_run=False)
        assert registry.collect(dry_run=False) == ([], []), moment
        assert len(list(registry.folder.glob("*/snapshots/*"))) == 1
        if ended == 0:
            return moment
        assert ended == KILLED, ended
        moment += 1


def flush(folder):
    """Names in the registry whose content, and whose place, were flushed, by inode."""
    registry, release = LocalRegistry(folder / "registry"), make_release(folder / "a")
    flushed, original = set(), os.fsync

    def fsync(descriptor):
        flushed.add(os.fstat(descriptor).st_ino)
        original(descriptor)

    os.fsync = fsync
    watch, renamed = Watch(registry.folder), []

    def check(number, event, arguments):
        if (
            event == "os.rename"
            and not str(arguments[1]).endswith("/link")
            and "link" not in str(arguments[0])
        ):
            source = Path(arguments[0])
            assert source.stat().st_ino in flushed, source
            renamed.append(Path(arguments[1]))
            if "/refs/" in str(arguments[1]):
                for name in ("blobs", "snapshots"):
                    assert (source.parents[1] / name).stat().st_ino in flushed, name

    watch.act = check
    watch.publish(registry, release)
    assert {"main", "v1", "history.json"} < {path.name for path in renamed}
    return len(renamed)


def race(folder):
    registry = LocalRegistry(folder / "registry")
    releases = [make_release(folder / name, name.encode()) for name in "abc"]
    pids = []
    for release in releases:
        pid = os.fork()
        if pid == 0:
            try:
                registry.publish(release, Destination())
            except PublishError as error:
                os._exit(7 if "holds another artifact" in str(error) else 8)
            os._exit(0)
        pids.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    assert sorted(codes) == [0, 7, 7], codes
    winner = releases[codes.index(0)]
    assert found(registry, "v1") == found(registry, "main") == contents(winner.folder)
    assert registry.published(winner)
    return len(codes)


if __name__ == "__main__":
    modes = {"kill": kill, "read": read, "collect": collect, "flush": flush, "race": race}
    print(modes[sys.argv[1]](Path(sys.argv[2])))
