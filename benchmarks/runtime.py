"""voxrun beside voxmlx and mlx-audio: the same artifact, machine and rounds. Markdown with ratios.

    python benchmarks/runtime.py --tiny out/tiny/4bit --full DIR --flat --levers --out REPORT.md

Each peer runs in an environment of its own, made on the first run; each run is a fresh process. A peer that
fails or takes too long is a row that says so.
"""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from environments import DEFAULT_EXTRA, PINNED, machine, python_of
from measurements import Bench, Section, decode, encode, end_to_end, flat, gpu, levers
from realtime import real_time
from runs import ROOT, Peer, public, tell

OURS = "voxrun"
SECTIONS = ("end_to_end", "decode", "gpu", "levers", "flat", "encode", "real_time")


def parsed() -> argparse.Namespace:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tiny", type=Path, help="the small artifact: end to end, --flat and --levers")
    p.add_argument(
        "--full", type=Path, help="one of full size: load, decode step, encoder and real-time factor"
    )
    p.add_argument("--flat", action="store_true", help="time per second of audio up to hours")
    p.add_argument("--flat-seconds", type=float, nargs="+", default=[60, 600, 3600, 10800])
    p.add_argument("--levers", action="store_true", help="voxrun with each lever switched off")
    p.add_argument("--only", nargs="+", choices=SECTIONS, help="of all that was asked for, only these")
    p.add_argument("--bandwidth", type=float, help="GB/s of the GPU's memory, for the limit of a step")
    p.add_argument("--repeat", type=int, default=5, help="rounds over tiny (default: 5)")
    p.add_argument("--repeat-full", type=int, default=3, help="rounds at full size (default: 3)")
    p.add_argument("--repeat-flat", type=int, default=1, help="rounds of --flat (default: 1)")
    p.add_argument("--timeout", type=float, default=3600, help="seconds for one process (default: 3600)")
    p.add_argument("--encoder-seconds", type=float, default=10, help="audio for the encoder (default: 10)")
    p.add_argument("--encoder-layers", type=int, default=1, help="layers of the peers' encoder; 0: all")
    p.add_argument("--lever-seconds", type=float, default=2, help="audio for the encoder in --levers")
    p.add_argument("--cores", type=int, nargs="+", default=[1, 2], help="for the real-time factor (1 2)")
    p.add_argument("--peers", nargs="*", choices=PINNED, default=list(PINNED))
    p.add_argument("--envs", type=Path, default=ROOT / "benchmarks/.envs", help="where environments are made")
    p.add_argument(
        "--work", type=Path, default=ROOT / "benchmarks/.work", help="artifacts as peers read them"
    )
    p.add_argument("--mlx-extra", default=DEFAULT_EXTRA, help="MLX's backend: cpu, cuda13 or nothing")
    p.add_argument("--voxmlx-python", type=Path, help="an environment that is there already")
    p.add_argument("--mlx-audio-python", type=Path)
    p.add_argument("--out", type=Path, help="write the Markdown there, too")
    return p.parse_args()


def peers(args: argparse.Namespace) -> list[Peer]:
    """All who take part, ours first, each asked who it is."""
    chosen = {"voxmlx": args.voxmlx_python, "mlx-audio": args.mlx_audio_python}
    everyone = [Peer(OURS, Path(sys.executable))]
    for name in args.peers:
        try:
            everyone.append(Peer(name, chosen[name] or python_of(name, args.envs, args.mlx_extra)))
        except (subprocess.CalledProcessError, OSError) as error:
            everyone.append(Peer(name, Path(), f"no environment: {error}"))
    for peer in everyone:
        run = peer.run("about", timeout=args.timeout)
        peer.versions, peer.error = run.figures, run.error
    return everyone


def header(bench: Bench, wanted: Sequence[Callable[[Bench], Section]]) -> str:
    """Title, command, machine and versions."""
    alone = list(wanted) == [real_time]
    command = "python benchmarks/runtime.py " + shlex.join(public(word) for word in sys.argv[1:])
    title = "Real time with the whole model" if alone else "Runtimes side by side"
    lines = [f"# {title}", "", f"`{command}`", "", f"Machine: {machine()}.", ""]
    lines += [f"- {peer.name} {peer.error or known(peer)}" for peer in bench.peers]
    if alone:
        return "\n".join(lines)
    return "\n".join(
        [
            *lines,
            "",
            "Medians, (least-most) of interleaved rounds, each run a fresh process; files in the page cache.",
            "`voxrun : it` sets voxrun's figure to 1; it is the median of the ratios within rounds.",
        ]
    )


def known(peer: Peer) -> str:
    """Versions, and what computes."""
    v = peer.versions
    kernels = f" with {v['kernels']} kernels" if "kernels" in v else ""
    return f"{v['version']}, MLX {v['mlx']} on {v['device']}{kernels}, Python {v['python']}"


def sections(args: argparse.Namespace) -> list[Callable[[Bench], Section]]:
    """What was asked for and is possible, the quick ones first."""
    possible = {
        end_to_end: args.tiny,
        decode: args.full,
        gpu: args.full,
        levers: args.levers and args.tiny,
        flat: args.flat and args.tiny,
        encode: args.full,
        real_time: args.full,
    }
    return [s for s, given in possible.items() if given and s.__name__ in (args.only or SECTIONS)]


def main() -> None:
    """Measure, and print each section as soon as it is there."""
    args = parsed()
    wanted = sections(args)
    if not wanted:
        sys.exit("nothing to do: give --tiny DIR, --full DIR or both")
    bench = Bench(args, peers(args))
    document = [header(bench, wanted)]
    print(document[0], flush=True)
    for section in wanted:
        document.append(section(bench))
        print(f"\n{document[-1]}", flush=True)
        if args.out:
            args.out.parent.mkdir(parents=True, exist_ok=True)
            args.out.write_text("\n\n".join(document) + "\n", encoding="utf-8")
    if args.out:
        tell(f"written to {args.out}")


if __name__ == "__main__":
    main()
