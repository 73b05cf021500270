"""The Hugging Face Hub: a repository at one commit."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import pydantic

from voxbuild.errors import SourceError, UnreachableError, one_line
from voxbuild.recipes.hub_terms import Repo as Repo
from voxbuild.recipes.schema import Strict
from voxrun.messages import sentence

from .base import Origin

Sha256 = Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{40}$")]

HUB = "https://huggingface.co"
CHUNK_BYTES = 2**16
ERROR_BYTES = 2**16
CONTENT_RANGE = r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})"
TIMEOUT = 30.0
"""Seconds to wait for more bytes from the Hub."""


class HubFiles(Strict, Origin):
    """`hub:` of a source."""

    repo: Repo
    revision: Commit

    @classmethod
    def of(cls, identity: Mapping[str, Any]) -> "HubFiles | None":
        """The repository in a manifest, not validated."""
        return cls.model_construct(**identity) if "repo" in identity else None

    @property
    def identity(self) -> dict[str, str]:
        """Repository and commit."""
        return {"repo": self.repo, "revision": self.revision}

    @property
    def base_model(self) -> str:
        """The repository."""
        return self.repo

    def fetch(self, base: Path, names: list[str]) -> Path:
        """Download into the Hub's cache; an interrupted download is resumed."""
        import huggingface_hub

        with self.clear_errors():
            folder = huggingface_hub.snapshot_download(
                self.repo, revision=self.revision, allow_patterns=names
            )
        return Path(folder)

    def file(self, base: Path, name: str) -> Path:
        """Download one file into the Hub's cache."""
        import huggingface_hub

        with self.clear_errors():
            return Path(huggingface_hub.hf_hub_download(self.repo, name, revision=self.revision))

    def cached(self, base: Path, name: str) -> Path | None:
        """The file, if it is in the Hub's cache."""
        import huggingface_hub

        with self.clear_errors():
            found = huggingface_hub.try_to_load_from_cache(self.repo, name, revision=self.revision)
        return Path(found) if isinstance(found, str) else None

    def read(self, name: str, first: int, count: int) -> tuple[bytes, int]:
        """Request a range of bytes; no more than that is received."""
        from huggingface_hub import hf_hub_url

        with self.clear_errors():
            return _range(hf_hub_url(self.repo, name, revision=self.revision), first, count)

    def repository(self) -> dict[str, Any]:
        """The repository at its commit."""
        return {"uri": self._purl, "digest": {"gitCommit": self.revision}}

    def uri(self, name: str) -> str:
        """The file's URL at the commit."""
        return f"{HUB}/{self.repo}/resolve/{self.revision}/{name}"

    def component(self, model: str) -> dict[str, str]:
        """Owner, name, commit and package URL."""
        owner, name = self.repo.split("/")
        return {"group": owner, "name": name, "version": self.revision, "purl": self._purl}

    @property
    def _purl(self) -> str:
        return f"pkg:huggingface/{self.repo}@{self.revision}"

    @contextmanager
    def clear_errors(self) -> Iterator[None]:
        """Turn the Hub client's errors into SourceErrors that say what to do."""
        with clear_errors(self.repo, self.revision, ", or build from the embedded model with source=tiny"):
            yield


@contextmanager
def clear_errors(repo: str, revision: str, otherwise: str = "") -> Iterator[None]:
    """Turn the Hub client's errors into SourceErrors that say what to do; hide warnings of retries.

    `otherwise`: what can be done without a network.
    """
    from huggingface_hub import errors
    from huggingface_hub.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        yield
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise _unreachable(repo, error, otherwise) from error
    except errors.RepositoryNotFoundError as error:
        raise SourceError(
            f"{repo}: no such repository on the Hub, or a private or gated one; correct the name,"
            " or log in with `hf auth login` (or HF_TOKEN) to an account with access"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise SourceError(f"{repo}: no revision {revision} on the Hub") from error
    except errors.HfHubHTTPError as error:
        said = one_line(error)
        if error.response.status_code == 401:
            reason = sentence(error.server_message or "401")
            said = f"{reason}; log in with `hf auth login`, or correct HF_TOKEN"
        raise SourceError(f"{repo} at {revision}: {said}") from error
    except (OSError, ValueError) as error:
        raise SourceError(f"{repo} at {revision}: {one_line(error)}") from error
    except errors.HTTPError as error:  # type: ignore[attr-defined]
        raise _unreachable(repo, error, otherwise) from error


def _unreachable(repo: str, error: Exception, otherwise: str) -> UnreachableError:
    reason = one_line(error.__cause__ or error)
    return UnreachableError(
        f"{repo}: not in the cache, and the Hub cannot be reached ({reason}); check the network{otherwise}"
    )


def _range(url: str, first: int, count: int) -> tuple[bytes, int]:
    """Bytes of a remote file, and the file's size. Raises SourceError if the server does not send ranges."""
    from huggingface_hub import get_session
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        build_hf_headers,
        hf_raise_for_status,
    )

    last = first + count - 1
    asked = {"Range": f"bytes={first}-{last}", "Accept-Encoding": "identity"}
    with get_session().stream("GET", url, headers=build_hf_headers() | asked, timeout=TIMEOUT) as response:
        if response.is_error:
            hf_raise_for_status(_cut(response))
        sent = re.fullmatch(CONTENT_RANGE, response.headers.get("content-range", ""))
        if response.status_code != 206 or not sent or (int(sent[1]), int(sent[2])) != (first, last):
            raise SourceError(
                f"{url}: the server does not send ranges of bytes, and the whole file is not downloaded here;"
                " run `doit fetch` first"
            )
        data = _received(response, count)
    if len(data) != count:
        raise SourceError(f"{url}: received {len(data):,} bytes instead of {count:,}; try again")
    return data, int(sent[3])


def _cut(response: Any) -> Any:
    """An error response with only the start of its body, in which the client finds the reason."""
    body = _received(response, ERROR_BYTES)
    headers = {name: text for name, text in response.headers.items() if name.startswith("x-")}
    return type(response)(response.status_code, headers=headers, content=body, request=response.request)


def _received(response: Any, count: int) -> bytes:
    """At most `count` + 1 bytes of the body as it was sent: one byte too many shows that there are more."""
    data = bytearray()
    for part in response.iter_raw(CHUNK_BYTES):
        data += part
        if len(data) > count:
            break
    return bytes(data[: count + 1])
