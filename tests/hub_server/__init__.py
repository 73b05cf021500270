"""A Hub on loopback that speaks to the genuine client, and fails as it is told to.

    with serving(folder) as hub:
        hub.add("models", "team/voice", {"config.json": b"{}"})
        hub.cut("POST .*/commit/", "after")   # the commit is made, its answer is lost

What commits hold lies in files: a server that is started again on the same folder, or a second one beside it,
serves the same. Tokens, switches and faults are the server's own and are not kept.

Calls, fields and error codes are those that huggingface_hub 2.4.0 and hf_xet 1.8.0 send and read. Not
documented, and so our choice: 422 for LFS bytes that are not those announced, 507 for a full server, 403 for
deleting main, 400 for a pointer to bytes that never came, and which files besides the listed patterns go by
LFS (large ones, and those whose first bytes hold a zero). Unlike the Hub, this one knows a blob in all
repositories as soon as one has it, and looks at the front matter of a README only when it is asked to.
"""

from .access import TOKEN
from .faults import flipped, swapped, truncated
from .handler import serving
from .repository import Repo
from .server import HubServer
from .web import Refusal

__all__ = ["TOKEN", "HubServer", "Refusal", "Repo", "flipped", "serving", "swapped", "truncated"]
