"""Every variant of the embedded model, signed, published to a Hub on loopback, and used by its name alone.

    doit build source=tiny
    python benchmarks/published.py docs/published.md

The genuine client publishes and downloads, each download into an empty cache; `voxrun --verify=KEY` hashes
it, checks the signature and transcribes a clip. Then every file of every download is damaged in turn: a byte
flipped at its start, middle and end, cut by one byte, and swapped for another file's content.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runs import ROOT, tell

from voxbuild.console import markdown
from voxrun.errors import VoxrunError
from voxrun.trust.proof import check

sys.path.append(str(ROOT / "tests"))
from hub_server import TOKEN, HubServer, serving

SOURCE = "tiny"
TAG = "v0"
CLIP = ROOT / "tiny/clips/prompts/vm-tempgreeting.flac"
KEYS = "openssl ecparam -name prime256v1 -genkey -noout -out {0} && openssl ec -in {0} -pubout -out {1}"
DOWNLOAD = "import huggingface_hub as h, sys; print(h.snapshot_download(sys.argv[1], revision=sys.argv[2]))"
HEAD = """\
# Published, fetched, verified, heard

Written by `benchmarks/published.py`: all variants of the embedded model that pass their gates, and their
views, signed, published to a Hub on loopback by the genuine client, and fetched by tag into an empty cache.

- **commits**: of the release; a second `doit publish` made no more.
- **heard**: what `voxrun --verify=KEY` transcribes of `{clip}`, once hashes, signature and
  provenance agreed.
- **refused**: damaged copies that were refused, of all that were tried: each file flipped at three places,
  cut short, and swapped for another.

"""


@dataclass(frozen=True)
class Row:
    """What came of one repository."""

    repo: str
    commits: int
    files: int
    megabytes: float
    heard: str
    tried: int
    refused: int


def run(*command: object, **environment: str) -> str:
    """A command's stdout. Leaves the program with its words if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def row(hub: HubServer, repo: str, key: Path, temporary: Path) -> Row:
    """Fetch, verify, transcribe and damage one repository."""
    tell(repo)
    home = temporary / "home"
    online = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    snapshot = Path(run(sys.executable, "-c", DOWNLOAD, repo, TAG, **online))
    model = ("--model", f"{repo}@{TAG}", f"--verify={key}")
    heard = run(sys.executable, "-m", "voxrun", *model, "--audio", CLIP, **online)
    copy = shutil.copytree(snapshot, temporary / "copy")
    files = [path for path in sorted(copy.rglob("*")) if path.is_file() and path.name != ".gitattributes"]
    refused = [is_refused(copy, path, damage, key) for path in files for damage in damages(path, files)]
    check(copy, key)  # what was damaged was mended again: it was the damage that was refused
    size = sum(path.stat().st_size for path in files) / 1e6
    made = [c for c in hub.calls if c.startswith(f"POST /api/models/{repo}/commit/")]
    for used in (home, copy):
        shutil.rmtree(used)
    return Row(repo, len(made), len(files), size, heard, len(refused), sum(refused))


def damages(path: Path, files: list[Path]) -> Iterator[bytes]:
    """Other contents of a file."""
    content = path.read_bytes()
    for place in {0, len(content) // 2, len(content) - 1}:
        yield content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    yield content[:-1]
    yield next(other for other in files if other != path).read_bytes()


def is_refused(folder: Path, path: Path, damage: bytes, key: Path) -> bool:
    """Whether a folder is refused while a file of it has another content."""
    content = path.read_bytes()
    path.write_bytes(damage)
    try:
        check(folder, key)
    except VoxrunError:
        return True
    finally:
        path.write_bytes(content)
    return False


def main() -> None:
    """Publish, use, damage, and write the document."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out", type=Path)
    out = p.parse_args().out
    with tempfile.TemporaryDirectory() as name:
        temporary = Path(name)
        private, public = temporary / "private.pem", temporary / "public.pem"
        run("bash", "-c", KEYS.format(private, public))
        with serving(temporary / "hub") as hub:
            account = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HOME": str(temporary / "publisher")}
            run(sys.executable, "-m", "doit", "sign", f"source={SOURCE}", f"key={private}")
            for _ in range(2):
                run(
                    sys.executable,
                    *("-m", "doit", "publish", f"source={SOURCE}", "target=hub", f"tag={TAG}"),
                    **account,
                )
            names = sorted(name.removeprefix("models/") for name in hub.repos)
            rows = [row(hub, name, public, temporary) for name in names]
    table = markdown(
        (
            (r.repo, r.commits, r.files, f"{r.megabytes:.2f}", r.heard, f"{r.refused} of {r.tried}")
            for r in rows
        ),
        ["repository", "commits", "files", "MB", "heard", "refused"],
    )
    out.write_text(HEAD.format(clip=CLIP.relative_to(ROOT)) + table + "\n", encoding="utf-8")
    print(f"{out}: {len(rows)} repositories")
    if any(r.refused < r.tried or r.commits != 1 for r in rows):
        sys.exit("not all is as it should be; see the table")


if __name__ == "__main__":
    main()
