"""A Hub on loopback that speaks to the genuine client, and fails as it is told to.

    with serving(folder) as hub:
        hub.add("models", "team/voice", {"config.json": b"{}"})
        hub.cut("POST .*/commit/", "after")   # the commit is made, its answer is lost

What commits hold lies in files: a server that is started again on the same folder serves the same.
"""

from .access import TOKEN
from .faults import flipped, swapped, truncated
from .handler import serving
from .repository import Repo
from .server import HubServer
from .web import Refusal

__all__ = ["TOKEN", "HubServer", "Refusal", "Repo", "flipped", "serving", "swapped", "truncated"]
