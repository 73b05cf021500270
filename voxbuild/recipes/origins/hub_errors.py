"""The Hub client's errors, as errors that say what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from voxbuild.errors import SourceError, UnreachableError, one_line
from voxrun.messages import sentence


@contextmanager
def clear_errors(repo: str, revision: str, otherwise: str = "") -> Iterator[None]:
    """Turn the Hub client's errors into SourceErrors that say what to do; hide warnings of retries.

    `otherwise`: what can be done without a network.
    """
    from httpx2 import InvalidURL
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
        said = without_queries(one_line(error))
        if error.response.status_code == 401:
            reason = sentence(error.server_message or "401")
            said = f"{reason}; log in with `hf auth login`, or correct HF_TOKEN"
        raise SourceError(f"{repo} at {revision}: {said}") from error
    except (OSError, ValueError, InvalidURL) as error:
        raise SourceError(f"{repo} at {revision}: {one_line(error)}") from error
    except errors.HTTPError as error:  # type: ignore[attr-defined]
        raise _unreachable(repo, error, otherwise) from error


def without_queries(text: str) -> str:
    """A message whose URLs have no query, in which a signature may be."""
    return re.sub(r"(https?://[^\s?']+)\?[^\s']*", r"\1", text)


def _unreachable(repo: str, error: Exception, otherwise: str) -> UnreachableError:
    reason = without_queries(one_line(error.__cause__ or error))
    return UnreachableError(
        f"{repo}: not in the cache, and the Hub cannot be reached ({reason}); check the network{otherwise}"
    )
