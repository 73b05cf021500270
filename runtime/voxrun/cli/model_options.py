"""The options that say which model, of every command."""

import argparse
import os
from collections.abc import Iterator

from voxrun.trust.defaults import DEFAULT_MODEL, DEFAULT_REGISTRY, REGISTRY_VARIABLE

from .arguments import not_a_model
from .numbers import number, path

MODEL_VARIABLE = "VOXRUN_MODEL"


def add_model(group: argparse._ArgumentGroup) -> None:
    """Which model, and how it is verified."""
    group.add_argument(
        "--model",
        metavar="PATH|REPO",
        help="folder; owner/name of the Hub; or registry:NAME of the local registry, with or without owner;"
        " a repository's name may end in @TAG"
        f" (default: that of --lock, else ${MODEL_VARIABLE}, else {DEFAULT_MODEL})",
    )
    group.add_argument("--revision", help="tag, branch or commit of a repository, as behind the @")
    group.add_argument(
        "--registry",
        type=path,
        metavar="DIR",
        help="local registry to find the repository in, whether it is named registry:NAME or not"
        f" (default for registry:NAME: ${REGISTRY_VARIABLE}, else {DEFAULT_REGISTRY})",
    )
    group.add_argument(
        "--verify",
        nargs="?",
        const=True,
        default=False,
        type=path,
        metavar="KEY",
        help="load nothing unless every file has the hash that the manifest says; with KEY, a public key,"
        " unless they are signed with its private key",
    )
    group.add_argument(
        "--lock",
        type=path,
        metavar="FILE",
        help="load nothing but the model that this voxrun.lock names, and verify it",
    )


def add_delay(group: argparse._ArgumentGroup, whose: str = "") -> None:
    """How long the model listens."""
    group.add_argument(
        "--delay-ms",
        type=number,
        metavar="MS",
        help=f"how long the model listens before it writes{whose}: 80 to 1200 in steps of 80, or 2400"
        " (default: the model's own, 480)",
    )


def choose_model(args: argparse.Namespace) -> None:
    """Set the model that is meant if none is named; that of a lock stays None."""
    if args.model is None and args.lock is None:
        args.model = os.environ.get(MODEL_VARIABLE) or DEFAULT_MODEL


def mistakes_of_model(args: argparse.Namespace) -> Iterator[str | None]:
    """What is found wrong without opening a file."""
    if args.model is not None:
        yield not_a_model(args.model)
