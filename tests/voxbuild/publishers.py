"""Publishers and readers with the genuine client, in this process, against a Hub on loopback.

huggingface_hub reads its environment once, and tests/conftest.py points it nowhere. `connect` points it to a
server, and replaces its waits before retries by a list of their lengths.
"""

import hashlib
import os
import time
from contextlib import contextmanager
from types import SimpleNamespace

import huggingface_hub
import pytest
from artifacts import contents
from cards import make_manifest
from huggingface_hub import constants
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import _http
from huggingface_hub.utils.sha import git_hash

from voxbuild.artifact.manifest import MANIFEST, file_entry
from voxbuild.errors import PublishError
from voxbuild.publish.hub import client
from voxbuild.publish.hub.target import Hub
from voxbuild.publish.target import Release
from voxrun.trust.manifest import Entry

TIMEOUT = client.TIMEOUT


def connect(patch, url, token):
    """Lead the client of this process to a server; return the list of what it would have slept."""
    slept = []
    clock = SimpleNamespace(monotonic=time.monotonic, time=time.time, sleep=slept.append)
    patch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    patch.setattr(_http, "time", clock)
    patch.setattr(client, "time", clock)
    patch.setenv("HF_TOKEN", token)
    return slept


def disconnect():
    """Undo what tests set in the client."""
    client.be_patient.cache_clear()
    huggingface_hub.set_client_factory(_http.default_client_factory)


def publish_alone(url, token, folder, repo):
    """Publish in a process of its own."""
    connect(SimpleNamespace(setattr=setattr, setenv=os.environ.__setitem__), url, token)
    Hub().publish(release_in(folder, repo, "v2"))


CARD = b"---\nlicense: mit\n---\n# A card\n"


def release_of(folder, repo, weights, tag, **files):
    """A release as `prepare` makes them, as small as can be; `files` by their names before the dot.

    Its weights go by LFS, everything else does not.
    """
    files = {"README": CARD, "config": b"{}", "validation": b'{"passed": true}'} | files
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(weights)
    for name, data in files.items():
        (folder / f"{name}.{'md' if name == 'README' else 'json'}").write_bytes(data)
    (folder / MANIFEST).write_bytes(manifest_of(contents(folder)))
    return release_in(folder, repo, tag)


def manifest_of(files):
    """A manifest that lists these files, path -> bytes."""
    entries = {name: Entry(len(data), hashlib.sha256(data).hexdigest()) for name, data in files.items()}
    return make_manifest(files=entries).text.encode()


def with_manifest(files):
    """A release of these files, as small as can be."""
    return files | {MANIFEST: manifest_of(files)}


def release_in(folder, repo, tag):
    """The release of what lies there."""
    return Release(folder, repo, tag, {path.name: entry_of(path) for path in sorted(folder.iterdir())})


def entry_of(path):
    return file_entry(path)


def attempt(release, *destination):
    """Publish: (whether it is there now, where it is or the sentence)."""
    try:
        return True, Hub().publish(release, *destination)
    except PublishError as error:
        return False, str(error)


def hashes(files):
    """Path -> hash as the Hub lists it: of what goes by LFS the sha256, else git's."""
    return {
        path: hashlib.sha256(data).hexdigest() if path.endswith(".safetensors") else git_hash(data)
        for path, data in files.items()
    }


class Reader:
    """A reader with a server of its own, over the same files."""

    def __init__(self, url, token):
        self._api = huggingface_hub.HfApi(endpoint=url, token=token)

    @contextmanager
    def _asked(self):
        """The client with its usual time-out, even while a test shortens that of publishers."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(client, "TIMEOUT", TIMEOUT)
            yield self._api

    def holds(self, repo, revision):
        """Path -> hash of everything at a revision, `.gitattributes` apart."""
        with self._asked() as api:
            items = api.list_repo_tree(repo, recursive=True, revision=revision)
            files = [item for item in items if isinstance(item, RepoFile)]
        listed = {file.path: file.lfs.sha256 if file.lfs else file.blob_id for file in files}
        return {path: blob for path, blob in listed.items() if path != ".gitattributes"}

    def tags(self, repo):
        """Tag -> commit."""
        with self._asked() as api:
            return {tag.name: tag.target_commit for tag in api.list_repo_refs(repo).tags}

    def log(self, repo, revision="main"):
        """Titles of commits, newest first, without the Hub's own first."""
        with self._asked() as api:
            titles = [commit.title for commit in api.list_repo_commits(repo, revision=revision)]
        return [title for title in titles if title != "initial commit"]


OLD = with_manifest({"model.safetensors": b"old weights" * 1000, "notes/old.md": b"stale"})
LICENSE = {"LICENSE": b"somebody put it there"}
ATTRIBUTES = {".gitattributes": b"*.safetensors lfs"}


class World:
    """A repository with OLD as v1 and a LICENSE of others, or none; and a release that is to be its v2."""

    def __init__(self, hub, reader, folder, number, new=False):
        self.hub, self.reader, self.repo = hub, reader, f"someone/Small-{number}"
        self.release = release_of(folder / str(number), self.repo, b"%d new weights" % number * 500, "v2")
        self.theirs = {} if new else LICENSE
        if not new:
            self.put("v1", OLD)
        # A tag or main holds one of these, or else a mixture.
        new_files = contents(self.release.folder)
        self.whole = {"v1": hashes(OLD | self.theirs), "v2": hashes(new_files | self.theirs), "empty": {}}

    def put(self, tag, files):
        """Put a version there, bypassing all checks."""
        commit = self.hub.add("models", self.repo, files | self.theirs | ATTRIBUTES, f"Publish {tag}")
        repo = self.hub.repos[f"models/{self.repo}"]
        repo.save(tags=repo.state["tags"] | {tag: {"commit": commit, "message": None}})

    def delete(self):
        """Delete the repository, with the file of others."""
        self.hub.delete(self.repo)
        self.theirs, self.whole["v2"] = {}, hashes(contents(self.release.folder))

    @property
    def there(self):
        """The repository under its present name; None if it was deleted."""
        names = (self.repo, self.renamed)
        return next((self.hub.repos[f"models/{n}"] for n in names if f"models/{n}" in self.hub.repos), None)

    @property
    def renamed(self):
        return f"{self.repo}-renamed"

    def look(self):
        """What readers see now at the tag v2 and at main; v1 must be unchanged."""
        if not (repo := self.there):
            return "no repository"
        tags = self.reader.tags(repo.name)
        assert "v1" not in tags or self._held(repo.name, "v1") == "v1"
        said = [f"v2 holds {self._held(repo.name, 'v2')}" if "v2" in tags else "no v2"]
        if (main := self._held(repo.name, "main")) != "v1":
            said.append(f"main holds {main}")
        return ", ".join(said)

    def state(self):
        """Changes whenever what readers see does."""
        return self.there and self.there.state

    def log(self):
        """Titles of main's commits, newest first."""
        return self.reader.log(self.there.name)

    def _held(self, name, revision):
        held = self.reader.holds(name, revision)
        return next((version for version, files in self.whole.items() if files == held), "something else")


def marks(repo):
    """Tag -> "latest", the reason of its withdrawal, or ""."""
    return {
        version.tag: "latest" if version.latest else version.withdrawn or ""
        for version in Hub().history(repo)
    }
