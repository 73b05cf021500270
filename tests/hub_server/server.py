"""The state of a Hub, and what tests do to it."""

import hashlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from . import pulls
from .access import TOKEN, Token
from .disk import exclusive, read_json, write, write_json
from .faults import Declares
from .repository import Repo, Tree, iso
from .web import Refusal


class Repos(Mapping[str, Repo]):
    """models/NAME, datasets/NAME, spaces/NAME -> the repository there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getitem__(self, key: str) -> Repo:
        kind, _, name = key.partition("/")
        repo = Repo(self._folder / key, kind, name)
        if not (repo.folder / "repo.json").exists():
            raise KeyError(key)
        return repo

    def __iter__(self) -> Iterator[str]:
        found = self._folder.glob("*/*/*/repo.json")
        return iter(sorted(path.parent.relative_to(self._folder).as_posix() for path in found))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class HubServer(Declares):
    """`calls` is what was asked of it, `sent` how many bytes of which path went out."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.repos = folder, Repos(folder / "repos")
        self.calls: list[str] = []
        self.sent: dict[str, int] = {}
        self.url = ""
        self.ranges = True
        """Whether files are sent in part when that was asked."""
        self.redirects = False
        """Whether files come from another place, as the Hub's large ones do."""
        self.signed: int | None = None
        """Whether large files come from another host by signed URLs, and how often these have expired."""
        self.seen_elsewhere: list[str] = []
        """The tokens that came to that other host."""
        self.xet_downloads = False
        """Whether files that came by Xet go by Xet to clients that can."""
        self.page_size = 1000
        """So many files or commits are listed in one answer."""
        self.lfs_threshold = 10 * 2**20
        """Files of more bytes go by LFS, whatever their name."""
        self.multipart_threshold = 5 * 2**30
        self.chunk_size = 2**20
        """Files of more bytes than the threshold are uploaded in parts of this size."""
        self.skew = 0.0
        """By so many seconds the clock is wrong, in Date headers and in commits."""
        self.tokens = {TOKEN: Token("loopback")}
        self.quota: int | None = None
        """So many bytes all blobs together may have; who brings more is answered 507."""

    # What tests do

    def add(
        self, kind: str, name: str, files: dict[str, bytes], message: str = "Add", branch: str = "main"
    ) -> str:
        """Put a commit with just these files on a branch; make the repository if need be. Its commit."""
        with exclusive(self.folder):
            repo = self.repos.get(f"{kind}/{name}") or self.new_repo(kind, name)
            tree = {path: self.store(data, lfs=len(data) > 1000) for path, data in files.items()}
            commit = self.new_commit(repo, tree, repo.branches.get(branch), message)
            repo.save(branches=repo.branches | {branch: commit})
            return commit

    def content(self, name: str, revision: str = "main", kind: str = "models") -> dict[str, bytes]:
        """Path -> bytes of what a revision holds."""
        repo = self.repo(kind, name)
        tree = repo.commits[repo.resolve(revision)]
        return {path: self.blob(entry["sha256"]).read_bytes() for path, entry in tree.items()}

    def add_token(
        self,
        value: str,
        user: str,
        role: str = "write",
        namespaces: list[str] | None = None,
        **more: Any,
    ) -> None:
        """Another token, see `Token`; members of no namespace write nowhere."""
        allowed = None if namespaces is None else frozenset(namespaces)
        self.tokens[value] = Token(user, role, allowed, **more)

    def restrict(self, name: str, kind: str = "models", **settings: Any) -> None:
        """private=True, gated="auto" or "manual", granted=["user"]."""
        with exclusive(self.folder):
            repo = self.repo(kind, name)
            repo.save(settings=repo.settings | settings)

    def rename(self, old: str, new: str, kind: str = "models") -> None:
        """Old names lead to the new one."""
        with exclusive(self.folder):
            self.repo(kind, old).folder.rename(self._place(kind, new))
            self._save_moves({**self.moves(), f"{kind}/{old}": f"{kind}/{new}"})

    def delete(self, name: str, kind: str = "models") -> None:
        with exclusive(self.folder):
            repo = self.repo(kind, name)
            repo.folder.rename(self._place("deleted", f"{name}-{time.time_ns()}"))

    def merge(self, name: str, number: int, kind: str = "models") -> str:
        """Merge a pull request into main; the commit."""
        with exclusive(self.folder):
            return pulls.merge(self, self.repo(kind, name), str(number))

    def expire(self) -> None:
        """Signed URLs that were given so far are not valid any more."""
        self.signed = (self.signed or 0) + 1

    # What routes use

    def now(self) -> float:
        return time.time() + self.skew

    def repo(self, kind: str, name: str) -> Repo:
        repo = self.repos.get(f"{kind}/{name}")
        if repo is None:
            raise Refusal(404, "RepoNotFound", "Repository not found")
        return repo

    def moves(self) -> dict[str, str]:
        """KIND/NAME that was renamed -> what it was renamed to."""
        return dict(read_json(self.folder / "moves.json", {}))

    def _save_moves(self, moves: dict[str, str]) -> None:
        write_json(self.folder / "moves.json", moves)

    def _place(self, kind: str, name: str) -> Path:
        place = self.folder / "repos" / kind / name if kind != "deleted" else self.folder / kind / name
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def new_repo(self, kind: str, name: str, private: bool = False) -> Repo:
        repo = Repo(self._place(kind, name), kind, name)
        settings = {"private": private, "gated": False, "granted": [], "created": iso(self.now())}
        empty: dict[str, Any] = {"branches": {}, "tags": {}, "pulls": {}}
        write_json(repo.folder / "repo.json", {"settings": settings, **empty})
        return repo

    def new_commit(
        self,
        repo: Repo,
        tree: Tree,
        parent: str | None,
        title: str,
        message: str = "",
        user: str = "loopback",
    ) -> str:
        """Write a commit that no ref names yet."""
        facts = {"title": title, "message": message, "date": iso(self.now()), "authors": [user]}
        return repo.write_commit(tree, parent, **facts)

    def blob(self, sha256: str) -> Path:
        return self.folder / sha256

    def store(self, data: bytes, lfs: bool) -> dict[str, Any]:
        sha256 = hashlib.sha256(data).hexdigest()
        self.keep(sha256, data)
        return self.entry(sha256, lfs)

    def keep(self, sha256: str, data: bytes) -> None:
        """Write a blob, if it is not there. Refuses when the quota is used up."""
        if self.blob(sha256).exists():
            return
        used = sum(path.stat().st_size for path in self.folder.glob("?" * 64))
        if self.quota is not None and used + len(data) > self.quota:
            raise Refusal(507, message="Insufficient Storage")
        write(self.blob(sha256), data)

    def told(self, path: str, entry: dict[str, Any]) -> dict[str, Any]:
        """What listings tell of a file."""
        told = {"path": path} | {key: value for key, value in entry.items() if key != "sha256"}
        if path in self.wrong_hashes:
            told["oid"] = _other(told["oid"])
            if "lfs" in told:
                told["lfs"] = told["lfs"] | {"oid": _other(told["lfs"]["oid"])}
        return told

    def entry(self, sha256: str, lfs: bool) -> dict[str, Any]:
        """What a tree holds for this blob; `oid` is git's, of the pointer where the file goes by LFS."""
        size = self.blob(sha256).stat().st_size
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
        content = pointer if lfs else self.blob(sha256).read_bytes()
        oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        entry = {"type": "file", "oid": oid, "size": size, "sha256": sha256}
        return entry | ({"lfs": {"oid": sha256, "size": size, "pointerSize": len(pointer)}} if lfs else {})


def _other(digest: str) -> str:
    return digest[:-1] + ("0" if digest[-1] != "0" else "1")
