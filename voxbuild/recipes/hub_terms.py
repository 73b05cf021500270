"""What the Hub accepts as licences, languages, and names of repositories, tags and branches.

Checked when YAML is read, so that a publish does not fail at its end. The licences are those of
https://huggingface.co/docs/hub/repositories-licenses.
"""

import difflib
import re
from typing import Annotated

import pydantic

from voxrun.trust.registry import COMMIT, LATEST, WITHDRAWN

_LICENSES = """
    apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0
    bigcode-openrail-m afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear
    c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0
    cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0
    cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl
    ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1
    lgpl-3.0 isc h-research intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl
    openmdw-1.0 openmdw-1.1 openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr
    deepfloyd-if-license fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3
    llama4 grok2-community gemma unknown other
"""
LICENSES = tuple(_LICENSES.split())
OTHER = "other"
"""A licence that is not in the list: it needs a name and a link."""
UNKNOWN = "unknown"
"""No licence was found; such an artifact is not published to the Hub."""
_LANGUAGES = """
    aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv
    dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig
    ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh
    mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru
    rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug
    uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""
LANGUAGES = tuple(_LANGUAGES.split())
"""ISO 639-1."""
SPECIAL_LANGUAGES = ("code", "multilingual")
REPO_NAME = re.compile(r"(?!.*(--|\.\.))[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?(?<!\.git)")
"""An owner, or a repository without its owner."""
REF_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
LONGEST_REF = 100
"""Characters. Tags are file names, also with a prefix."""
REASONS = "withdrawn"
"""The branch of a repository on the Hub that holds the reasons for withdrawn tags."""
RESERVED = (LATEST, "HEAD", REASONS)


def check_license(value: str) -> str:
    """Raises ValueError if it is not one of the Hub's licence ids."""
    if value not in LICENSES:
        guess = difflib.get_close_matches(value.lower().replace(" ", "-")[:50], LICENSES, 1)
        hint = f" (did you mean {guess[0]}?)" if guess else ""
        raise ValueError(
            f"not a licence id of the Hub{hint}; for another licence say `other` with license_name and"
            " license_link"
        )
    return value


def check_language(value: str) -> str:
    """Raises ValueError if it is neither a code of ISO 639 nor one of the Hub's special values."""
    known = value in LANGUAGES or value in SPECIAL_LANGUAGES
    if not known and not re.fullmatch("[a-z]{3}", value):
        raise ValueError(
            "not a language code: use two letters of ISO 639-1 or three of ISO 639-3, like en or yue"
        )
    return value


def check_repo(value: str) -> str:
    """Raises ValueError if the Hub would not accept a repository OWNER/NAME of this name."""
    parts = value.split("/")
    if len(parts) != 2 or not all(map(REPO_NAME.fullmatch, parts)):
        raise ValueError(
            f"{value} cannot be a repository: OWNER/NAME, each of up to 96 ASCII letters, digits, dots,"
            " dashes and underscores, without -- and .., no dot or dash at either end, no .git at the end"
        )
    return value


def check_tag(name: str) -> str:
    """Raises ValueError if a release cannot have this tag."""
    _check_ref("tag", name, [name])
    return name


def check_branch(name: str) -> str:
    """Raises ValueError if this cannot be the name of a branch for review."""
    if name == LATEST:
        raise ValueError(f"{LATEST} cannot be a branch for review; to publish to it, leave out branch=")
    _check_ref("branch", name, name.split("/"))
    return name


def _check_ref(kind: str, name: str, parts: list[str]) -> None:
    """Git's rules (https://git-scm.com/docs/git-check-ref-format), without names that mean something else."""
    if len(name) > LONGEST_REF or not all(map(_is_part, parts)):
        raise ValueError(
            f"{name[:LONGEST_REF]!r} is not a valid {kind}: use up to {LONGEST_REF} ASCII letters, digits,"
            " dots, dashes and underscores; no two dots in a row, no dot or .lock at the end"
        )
    if name in RESERVED or parts[0] == "refs" or name.startswith(WITHDRAWN) or COMMIT.fullmatch(name):
        raise ValueError(
            f"{name} is not a valid {kind}: readers would take it for main, a withdrawal mark or a commit"
        )


def _is_part(name: str) -> bool:
    return bool(REF_NAME.fullmatch(name)) and ".." not in name and not name.endswith((".", ".lock"))


License = Annotated[str, pydantic.AfterValidator(check_license)]
Language = Annotated[str, pydantic.AfterValidator(check_language)]
Repo = Annotated[str, pydantic.AfterValidator(check_repo)]
"""OWNER/NAME."""
