"""Who may do what: tokens with a role, private and gated repositories."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .repository import Repo

TOKEN = "hf_loopback_secret"


@dataclass(frozen=True)
class Token:
    """Whose it is, whether it may write ("write" or "read"), and in which namespaces; None: in all."""

    user: str
    role: str = "write"
    namespaces: frozenset[str] | None = None

    def member(self, repo_name: str) -> bool:
        return self.namespaces is None or repo_name.split("/")[0] in self.namespaces


def may_see(token: Token | None, repo: "Repo") -> bool:
    """Private repositories are there for members of the namespace only."""
    return not repo.settings["private"] or (token is not None and token.member(repo.name))


def may_download(token: Token | None, repo: "Repo") -> bool:
    """Files of a gated repository go to members and to those who were granted access."""
    if not repo.settings["gated"]:
        return True
    return token is not None and (token.member(repo.name) or token.user in repo.settings["granted"])
