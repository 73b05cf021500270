"""What the token may do in a repository's namespace, as far as the Hub tells."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from voxbuild.errors import PublishError

from .client import again, plain

if TYPE_CHECKING:
    from huggingface_hub.hf_api import HfApi

WRITE = "repo.write"


def check_rights(api: "HfApi", repo: str, request: bool) -> list[str]:
    """Refuse a repository that the token cannot write to; `request`: only a pull request is opened there.

    Returns a line if the Hub does not tell. Raises PublishError.
    """
    account = again(api.whoami)
    owner, name = repo.split("/")[0], plain(account["name"])
    token = account.get("auth", {}).get("accessToken") or {}
    role = token.get("role")
    if role == "read":
        raise PublishError(
            f"{repo}: the token of {name} may only read; make one that may write and log in with"
            " `hf auth login`, or set HF_TOKEN"
        )
    if role == "fineGrained":
        if _is_granted(token.get("fineGrained") or {}, repo):
            return []
        return [f"{repo}: the token is fine-grained, and does not name {plain(owner)}; the Hub may refuse it"]
    roles = {str(org["name"]).lower(): org.get("roleInOrg") for org in account.get("orgs", [])}
    if request or owner.lower() == name.lower():
        return []
    if owner.lower() not in roles:
        raise PublishError(
            f"{repo}: {name} is not a member of {owner}, only of {_words(roles)}; choose another owner with"
            " repo=OWNER/NAME, or publish.repo in the recipe"
        )
    if roles[owner.lower()] == "read":
        raise PublishError(f"{repo}: {name} may only read in {owner}; its administrators can change that")
    return []


def _is_granted(rights: Mapping[str, Any], repo: str) -> bool:
    """Whether a fine-grained token may write to a repository or its namespace."""
    named = {repo.lower(), repo.split("/")[0].lower()}
    return any(
        str(scope.get("entity", {}).get("name", "")).lower() in named
        and WRITE in scope.get("permissions", [])
        for scope in rights.get("scoped") or []
    )


def _words(names: Iterable[str]) -> str:
    return plain(", ".join(sorted(names))) or "no organisation"
