"""Who may do what: tokens with a role, private and gated repositories."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .repository import Repo

TOKEN = "hf_loopback_secret"
ORGANISATIONS = ("me", "someone", "team", "voxbuild")
"""What whoami tells of a token for all namespaces."""


@dataclass(frozen=True)
class Token:
    """Whose it is, its role ("write", "read" or "fineGrained"), and its namespaces; None: all.

    A fine-grained one may write in its namespaces.
    """

    user: str
    role: str = "write"
    namespaces: frozenset[str] | None = None
    scopes: tuple[tuple[str, str], ...] = ()
    """Of a fine-grained one: the name of a namespace or a repository, and a permission."""

    in_organisations: dict[str, Any] = field(default_factory=lambda: {"roleInOrg": "write"})
    """What whoami tells of it in its namespaces."""

    @property
    def more(self) -> dict[str, Any]:
        """What whoami tells of a fine-grained one."""
        scoped = [{"entity": {"name": name}, "permissions": [right]} for name, right in self.scopes]
        return {"fineGrained": {"global": [], "scoped": scoped}} if self.role == "fineGrained" else {}

    @property
    def writes(self) -> bool:
        return self.role != "read"

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
