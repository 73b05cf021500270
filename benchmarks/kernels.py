"""The CPU kernels at full size beside what limits them and beside an older checkout's, as Markdown."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from environments import machine
from workers.kernels import DECODED, ENCODED

ROOT = Path(__file__).resolve().parents[1]


def measured(runtime: Path, model: Path, *arguments: str) -> dict[str, Any]:
    """What a worker with this runtime told."""
    environment = {**os.environ, "PYTHONPATH": f"{runtime.resolve()}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "benchmarks.workers.kernels", str(model), *arguments]
    done = subprocess.run(command, env=environment, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def report(now: dict[str, float], before: dict[str, float], limits: dict[str, float]) -> str:
    """The tables."""
    both, speed = limits["unpack"] + limits["sgemm_16"], limits["bytes"] / limits["read"] / 1e9
    lines = [
        "Limits, in seconds for the whole decoder with its head:",
        "",
        "| reading its weights | unpacking them | products with 16 rows in float32, by the BLAS |",
        "|---|---|---|",
        f"| {limits['read']:.3f} ({speed:.1f} GB/s) | {limits['unpack']:.3f} | {limits['sgemm_16']:.3f} |",
        "",
        "| decoder pass, rows | s | of the limit | before, s | times as fast |",
        "|---|---|---|---|---|",
    ]
    for n in DECODED:
        key = f"decode_{n}"
        limit = f"{now[key] / limits['read']:.2f} x reading" if n < 16 else ""
        limit = f"{now[key] / both:.2f} x (unpacking + products)" if n == 16 else limit
        lines.append(f"| {n} | {now[key]:.3f} | {limit} | {before[key]:.3f} | {before[key] / now[key]:.2f} |")
    lines += [
        "",
        "| encoder pass, frames | s | products by the BLAS, s | ratio | before, s | times as fast |",
        "|---|---|---|---|---|---|",
    ]
    for n in ENCODED:
        own, sgemm, old = now[f"encode_{n}"], limits[f"encoder_sgemm_{n}"], before[f"encode_{n}"]
        lines.append(f"| {n} | {own:.3f} | {sgemm:.3f} | {own / sgemm:.2f} | {old:.3f} | {old / own:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure both runtimes in turn, the least of each figure, and print or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a 4-bit artifact of full size")
    parser.add_argument("--before", type=Path, required=True, help="the runtime folder of an older checkout")
    parser.add_argument("--commit", default="f5a291f", help="what that checkout is, for the report")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    now, before, limits = list[dict[str, float]](), list[dict[str, float]](), list[dict[str, float]]()
    for _ in range(args.rounds):
        limits.append(measured(ROOT / "runtime", args.model, "--limits"))
        now.append(measured(ROOT / "runtime", args.model))
        before.append(measured(args.before, args.model))
    least = [{key: min(run[key] for run in runs) for key in runs[0]} for runs in (now, before, limits)]
    text = report(*least)
    print(text)
    if args.out:
        about = f"{INTRODUCTION}\nBefore: commit {args.commit}. Machine: {machine()}."
        args.out.write_text(f"# CPU kernels\n\n{about}\n\n{text}", "utf-8")


INTRODUCTION = """What one pass takes, made by

```
python benchmarks/kernels.py DIR --before OLD/runtime --out docs/benchmarks/kernels.md
```

DIR is a 4-bit artifact of full size with random weights, in the page cache. Processes take turns; each figure
is the least of all rounds. Reading is that of a large array by all cores; unpacking is into a core's cache;
products are of float32 matrices, by the faster order of factors, one BLAS thread on each core. Encoder
frames are those of its layers: four to a position of 80 ms.
"""


if __name__ == "__main__":
    main()
