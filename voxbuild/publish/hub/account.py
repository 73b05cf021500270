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
    account = again(lambda: api.whoami(cache=True))  # the Hub limits these calls more than others
    owner, name = repo.split("/")[0], plain(account["name"])
    token = (account.get("auth") or {}).get("accessToken") or {}
    if token.get("role") == "read":
        raise PublishError(
            f"{repo}: the token of {name} may only read; make one that may write and log in with"
            " `hf auth login`, or set HF_TOKEN"
        )
    if token.get("role") == "fineGrained":
        if _is_granted(token.get("fineGrained") or {}, repo):
            return []
        return [f"{repo}: the token is fine-grained, and does not name {owner}; the Hub may refuse it"]
    return [] if request or owner.lower() == name.lower() else _check_member(repo, name, account)


def _check_member(repo: str, name: str, account: Mapping[str, Any]) -> list[str]:
    """Refuse the namespace of an organisation in which the account may not write."""
    owner = repo.split("/")[0]
    organisations = {str(each["name"]).lower(): each for each in account.get("orgs") or []}
    if owner.lower() not in organisations:
        raise PublishError(
            f"{repo}: {name} is not a member of {owner}, only of {_words(organisations)}; choose another"
            " owner with repo=OWNER/NAME, or publish.repo in the recipe"
        )
    about = organisations[owner.lower()]
    if about.get("roleInOrg") != "read":
        return []
    if about.get("isEnterprise"):  # its resource groups may allow more
        return [
            f"{repo}: {name} may only read in {owner}, but for its resource groups; the Hub may refuse it"
        ]
    raise PublishError(f"{repo}: {name} may only read in {owner}; an administrator there can change that")


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
