"""What a download that failed, or never began, leaves in the place of a file."""

POINTER = b"version https://git-lfs.github.com/spec/"
PAGES = (b"<!doc", b"<html", b"<head", b"<?xml")
START = 1024
"""Bytes of a file's start that are enough to tell. Of a file of tensors 8 are: they hold its header's length,
which is never that large."""


def failed_download(start: bytes) -> str | None:
    """What a file is instead of JSON or tensors, by its start, and what to do; None if it is unknown."""
    if not start.strip():
        return "empty; download it again"
    if not start[:8].strip(b"\0"):
        return "begins with zeros; download it again"
    if start[:8] == POINTER[:8]:
        return "only a pointer of git-lfs; run `git lfs pull` in its folder"
    if start.lstrip()[:5].lower() in PAGES:
        return "a web page instead of the file; download the file itself, logged in if it is not public"
    return None
