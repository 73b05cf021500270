"""Who asks; repositories made, deleted and renamed; the check of cards."""

from typing import Any

from . import cards
from .access import ORGANISATIONS
from .commits import ATTRIBUTES
from .disk import exclusive
from .repository import Repo
from .server import HubServer
from .web import Answer, Refusal, Request, json_answer


def whoami(hub: HubServer, request: Request) -> Any:
    token = request.token
    assert token is not None
    names = ORGANISATIONS if token.namespaces is None else token.namespaces
    orgs = [{"type": "org", "name": name} | token.in_organisations for name in sorted(names)]
    about = {"displayName": token.user, "role": token.role}
    access = {"type": "access_token", "accessToken": about | token.more}
    return {"type": "user", "name": token.user, "orgs": orgs, "auth": access}


def create(hub: HubServer, request: Request) -> Any:
    kind, name = _repository(request)
    address = {"url": f"{hub.url}/{'' if kind == 'models' else kind + '/'}{name}"}
    with exclusive(hub.folder):
        if f"{kind}/{name}" in hub.repos:
            raise Refusal(409, message="You already created this repo", **address)
        repo = hub.new_repo(kind, name, private=request.json().get("visibility") == "private")
        tree = {".gitattributes": hub.store(ATTRIBUTES.encode(), lfs=False)}
        repo.save(branches={"main": hub.new_commit(repo, tree, None, "initial commit")})
    return address | {"name": name}


def delete(hub: HubServer, request: Request) -> Any:
    kind, name = _repository(request)
    hub.delete(name, kind)
    return {}


def move(hub: HubServer, request: Request) -> Any:
    said = request.json()
    old, new = said["fromRepo"], said["toRepo"]
    kind = f"{said['type']}s"
    _writable(request, old)
    _writable(request, new)
    if f"{kind}/{new}" in hub.repos:
        raise Refusal(409, message=f"{new} is taken")
    hub.rename(old, new, kind)
    return {}


def _repository(request: Request) -> tuple[str, str]:
    """The kind and name that the body says. A name without a namespace is in the user's own."""
    said = request.json()
    name = f"{said.get('organization') or request.user}/{said['name']}"
    _writable(request, name)
    return f"{said.get('type') or 'model'}s", name


def _writable(request: Request, name: str) -> None:
    token = request.token
    if token is None or not token.writes or not token.member(name):
        where = name.split("/")[0]
        raise Refusal(403, message=f"You don't have the rights to create a model under the namespace {where}")


def settings(hub: HubServer, request: Request, repo: Repo) -> Any:
    said = request.json()
    changes = {"gated": said["gated"]} if "gated" in said else {}
    if "visibility" in said:
        changes["private"] = said["visibility"] == "private"
    hub.restrict(repo.name, repo.kind, **changes)
    return {}


def validate_yaml(hub: HubServer, request: Request) -> Answer:
    """Without a login. Errors and warnings as JSON; as text for those who ask for it."""
    errors, warnings = cards.check(request.json()["content"])
    status = 400 if errors else 200
    if request.headers.get("accept") == "text/plain":
        lines = [f"- Error: {each}" for each in errors] + [f"- Warning: {each}" for each in warnings]
        return Answer(status, "\n".join(lines).encode(), {"Content-Type": "text/plain"})
    told = {"errors": errors, "warnings": warnings}
    return json_answer({kind: [{"message": each} for each in all] for kind, all in told.items()}, status)
