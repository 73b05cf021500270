"""Publishers and readers with the genuine client, in this process, against a Hub on loopback.

huggingface_hub reads its environment once, and tests/conftest.py leads it nowhere: `connect` leads it to a
server, and lets nobody wait: what would have been slept is noted.
"""

import hashlib
import time
from types import SimpleNamespace

import huggingface_hub
from artifacts import RECIPE, contents, make_artifact
from huggingface_hub import constants
from huggingface_hub.utils import _http
from huggingface_hub.utils.sha import git_hash

from voxbuild import hub_client
from voxbuild.errors import PublishError
from voxbuild.hub import Hub
from voxbuild.publish import prepare


def connect(patch, url, token):
    """Lead the client of this process to a server; return the list of what it would have slept."""
    slept = []
    clock = SimpleNamespace(monotonic=time.monotonic, time=time.time, sleep=slept.append)
    patch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    patch.setattr(_http, "time", clock)
    patch.setattr(hub_client, "time", clock)
    patch.setenv("HF_TOKEN", token)
    return slept


def disconnect():
    """Nothing that was set in the client outlives a test."""
    huggingface_hub.set_client_factory(_http.default_client_factory)


def release_of(folder, repo, weights, tag):
    """A release of a new small artifact. Its weights go by LFS, everything else does not."""
    return prepare(make_artifact(folder, weights), RECIPE, repo, tag)


def attempt(release, *destination):
    """Publish as the task does: (whether it is there now, where it is or the sentence)."""
    try:
        hub = Hub()
        return True, "already" if hub.published(release) else hub.publish(release, *destination)
    except PublishError as error:
        return False, str(error)


def hashes(files):
    """Path -> hash as the Hub lists it: of what goes by LFS the sha256, else git's."""
    return {
        path: hashlib.sha256(data).hexdigest() if path.endswith(".safetensors") else git_hash(data)
        for path, data in files.items()
    }


class Reader:
    """Somebody who reads through a server of their own, over the same files."""

    def __init__(self, url, token=False):
        self._api = huggingface_hub.HfApi(endpoint=url, token=token)

    def holds(self, repo, revision):
        """Path -> hash of everything at a revision, `.gitattributes` apart."""
        items = self._api.list_repo_tree(repo, recursive=True, revision=revision)
        listed = {item.path: item.lfs.sha256 if item.lfs else item.blob_id for item in items if hasattr(item, "lfs")}
        return {path: blob for path, blob in listed.items() if path != ".gitattributes"}

    def tags(self, repo):
        """Tag -> commit."""
        return {tag.name: tag.target_commit for tag in self._api.list_repo_refs(repo).tags}

    def log(self, repo, revision="main"):
        """Titles of commits, newest first."""
        return [commit.title for commit in self._api.list_repo_commits(repo, revision=revision)]


OLD = {"model.safetensors": b"old weights" * 1000, "notes/old.md": b"stale", "manifest.json": b"{}"}
ATTRIBUTES = {".gitattributes": b"*.safetensors lfs"}


class World:
    """A repository that holds OLD as v1, and a release that is to be its v2."""

    def __init__(self, hub, reader, folder, number):
        self.hub, self.reader, self.repo = hub, reader, f"someone/Small-{number}"
        self.release = release_of(folder / str(number), self.repo, b"%d new weights" % number * 500, "v2")
        commit = hub.add("models", self.repo, OLD | ATTRIBUTES, "Publish v1")
        hub.repos[f"models/{self.repo}"].save(tags={"v1": {"commit": commit, "message": None}})
        self._whole = {"old": hashes(OLD), "new": hashes(contents(self.release.folder))}

    def look(self):
        """What readers see now: of the tag v2, and of main."""
        if f"models/{self.repo}" not in self.hub.repos:
            return "gone"
        tags = self.reader.tags(self.repo)
        assert self._held("v1") == "old"
        return f"{'v2 ' + self._held('v2') if 'v2' in tags else 'no v2'}, main {self._held('main')}"

    def state(self):
        """Changes whenever what readers see does."""
        path = self.hub.folder / "repos" / "models" / self.repo / "repo.json"
        return path.read_bytes() if path.exists() else b""

    def _held(self, revision):
        held = self.reader.holds(self.repo, revision)
        return next((name for name, files in self._whole.items() if files == held), "HALF")
