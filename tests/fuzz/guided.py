"""Coverage-guided fuzzing of the parsers, no part of the test run: needs atheris (pip install atheris).

    python tests/fuzz/guided.py --seconds 300 --parser header

Begins with the corpus, keeps what reaches new code in --keep, prints executions, edges, inputs and crashes.
A crash is whatever ends otherwise than accepted or refused by a sentence, dies, takes 10 s or 1 GB. Python's
own are reduced to the smallest input found that ends in the same place.
"""

import argparse
import collections
import hashlib
import os
import random
import re
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMES = (
    *("header", "index", "config", "tekken", "manifest", "validation", "lock", "recipe", "transcripts"),
    *("key", "entries", "provenance", "signature", "pin", "history", "ref"),
    *("adapter", "adapter-config"),
)
LONGEST = 20_000
MEMORY = "/dev/shm"
"""A folder that takes no disk, where there is one."""
REDUCTIONS = 2000
"""Attempts to make a crashing input smaller."""
STATUS = re.compile(r"#(\d+)\s.*?cov: (\d+) ft: (\d+) corp: (\d+)/")


def main() -> int:
    args = _arguments()
    if args.child:
        _fuzz(args.child, args.keep, args.seconds)
    crashes = 0
    print("parser       executions    edges  features   inputs  crashes")
    for name in [args.parser] if args.parser else NAMES:
        crashes += _report(name, args.keep / name, args.seconds)
    return int(crashes > 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=60, help="of each parser")
    parser.add_argument("--parser", choices=NAMES, help="this one alone")
    parser.add_argument("--keep", type=Path, default=HERE / ".found", help="folder for inputs and crashes")
    parser.add_argument("--child", choices=NAMES, help=argparse.SUPPRESS)
    return parser.parse_args()


def _report(name: str, keep: Path, seconds: int) -> int:
    """Fuzz in a process of its own, which may die; print a row, return the number of crashes."""
    for folder in (keep / "inputs", keep / "crashes"):
        folder.mkdir(parents=True, exist_ok=True)
    known = set((keep / "crashes").iterdir())
    command = [sys.executable, __file__, "--child", name, "--keep", str(keep), "--seconds", str(seconds)]
    memory = MEMORY if Path(MEMORY).is_dir() else None
    with (keep / "log").open("w") as log, tempfile.TemporaryDirectory(dir=memory) as folder:
        subprocess.run(command, stderr=log, stdout=log, check=False, env=os.environ | {"TMPDIR": folder})
    text = (keep / "log").read_text(errors="replace")
    figures = [tuple(map(int, found)) for found in STATUS.findall(text)]
    executions, edges, features, inputs = map(max, zip(*figures, strict=True)) if figures else (0,) * 4
    new = sorted(set((keep / "crashes").iterdir()) - known)
    print(f"{name:11}{executions:12,}{edges:9,}{features:10,}{inputs:9,}{len(new):9,}", flush=True)
    for path in new:
        print(f"    {path}")
    return len(new)


def _fuzz(name: str, keep: Path, seconds: int) -> None:
    """Never returns: libFuzzer ends the process."""
    import atheris

    sys.path.insert(0, str(HERE))
    with atheris.instrument_imports(include=["voxrun", "voxbuild", "json"]):
        import mutations
        import parsers

    parser = parsers.PARSERS[name]
    folder = parsers.folder_of(parser)
    seen: collections.Counter[str] = collections.Counter()

    def crash_of(data: bytes) -> str:
        return _crash(lambda: parsers.outcomes(parser, data, folder))

    def one(data: bytes) -> None:
        if crash := crash_of(data):
            seen[crash] += 1
            if seen[crash] == 1:
                small = _reduced(crash_of, data)
                path = keep / "crashes" / hashlib.sha256(crash.encode()).hexdigest()[:12]
                path.write_bytes(small)
                path.with_suffix(".txt").write_text(crash)

    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        chance = random.Random(seed)
        if chance.random() < 0.25:
            return bytes(atheris.Mutate(data, longest))
        return mutations.mutated(name, data, chance)[:longest]

    options = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={keep / 'crashes'}/",
        "-timeout=10",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
        "-len_control=0",
    ]
    folders = [str(keep / "inputs"), str(parsers.CORPUS / name)]
    atheris.Setup([sys.argv[0], *options, *folders], one, custom_mutator=mutate)
    atheris.Fuzz()


def _crash(run: Callable[[], object]) -> str:
    """Where and how an input ends wrongly; empty if it does not."""
    try:
        run()
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)[-3:]
        where = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames))
        return f"{type(error).__name__} at {where}"
    return ""


def _reduced(crash: Callable[[bytes], str], data: bytes) -> bytes:
    """A smaller input with the same crash: chunks are left out as long as it stays."""
    wanted, chunk, left = crash(data), len(data) // 2, REDUCTIONS
    while chunk and left > 0:
        at = 0
        while at < len(data) and left > 0:
            left -= 1
            shorter = data[:at] + data[at + chunk :]
            if crash(shorter) == wanted:
                data = shorter
            else:
                at += chunk
        chunk //= 2
    return data


if __name__ == "__main__":
    sys.exit(main())
