"""What is measured: each function is a section of the report, a title over Markdown tables."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from figures import Column, megabytes, milliseconds, seconds, table
from runs import ROOT, Contestant, Peer, Run, rounds, tell

from voxrun.bench.tables import markdown, number

CLIPS = ROOT / "tiny" / "clips"
PROMPT = CLIPS / "prompts" / "conf-onlyperson.flac"
CHAIN = CLIPS / "chains" / "chain-5.flac"
LEVERS = {
    "without look-ahead": (["--look-ahead", "1"], {}),
    "without native kernels": ([], {"VOXRUN_KERNELS": "none"}),
}
"""Arguments and environment that switch a lever off."""

Section = str


@dataclass
class Bench:
    """The arguments, who takes part, and the artifacts as each reads them."""

    args: argparse.Namespace
    peers: list[Peer]
    _views: dict[tuple[str, Path], Path] = field(default_factory=dict)

    @property
    def ours(self) -> Peer:
        """The first: voxrun."""
        return self.peers[0]

    @property
    def on_gpu(self) -> bool:
        """Whether MLX computes on a GPU here."""
        return self.ours.versions.get("device") == "gpu"

    def model(self, peer: Peer, artifact: Path) -> Path:
        """The artifact in the peer's dialect. Raises whatever converting does."""
        if peer.name != "mlx-audio":
            return artifact.resolve()
        key = peer.name, artifact
        if key not in self._views:
            from peers import mlx_audio_view  # MLX is imported only where it is needed

            tell(f"{artifact} as mlx-audio reads it")
            self._views[key] = mlx_audio_view(artifact, self.args.work.resolve())
        return self._views[key]

    def step_bytes(self, artifact: Path) -> int:
        """Bytes of weights that a decoder pass reads."""
        return step_bytes(artifact)

    def run(self, peer: Peer, artifact: Path, task: str, *arguments: object, **variables: str) -> Run:
        """A worker's run over an artifact that is in the page cache."""
        try:
            model = self.model(peer, artifact)
        except Exception as error:  # whatever it is, the other peers go on
            return Run({}, f"cannot be converted: {error}")
        for path in model.glob("*.safetensors"):
            _read_through(path)
        environment = {**os.environ, **variables}
        timeout = self.args.timeout
        return peer.run(task, "--model", model, *arguments, timeout=timeout, environment=environment)

    def among_peers(
        self, title: str, artifact: Path, repeat: int, *arguments: object
    ) -> dict[str, list[Run]]:
        """Rounds of the same task with everyone; the first of `arguments` is the task."""
        each = [Contestant(peer.name, partial(self.run, peer, artifact, *arguments)) for peer in self.peers]
        return rounds(title, each, repeat)


def _read_through(path: Path) -> None:
    with path.open("rb") as file:
        while file.read(2**24):
            pass


def _warmed_up(bench: Bench) -> None:
    """One run that does not count: byte code and machine code are compiled and kept."""
    bench.among_peers("warm-up", bench.args.tiny, 1, "transcribe", "--audio", PROMPT)


def end_to_end(bench: Bench) -> Section:
    """Tiny from the command to the text."""
    parts = [f"## End to end, `{bench.args.tiny.parent.name}/{bench.args.tiny.name}`"]
    _warmed_up(bench)
    columns = [
        seconds("whole process", "wall_s", ratio=True),
        seconds("import", "import_s"),
        seconds("load", "load_s", ratio=True),
        seconds("transcribe", "transcribe_s", ratio=True),
        megabytes("peak memory", "peak_bytes", ratio=True),
    ]
    for title, clip in (("A prompt of 3 s", PROMPT), ("A chain of 43 s", CHAIN)):
        arguments = ("transcribe", "--audio", clip)
        runs = bench.among_peers(title, bench.args.tiny, bench.args.repeat, *arguments)
        parts.append(f"{title} (`{clip.relative_to(ROOT)}`):\n\n{table(columns, runs, _same_text(runs))}")
    return "\n\n".join(parts)


def _same_text(runs: dict[str, list[Run]]) -> dict[str, str]:
    """Whether the others heard what the first one heard; who says less has less to do."""
    (ours, text), *others = ((name, of[0].figures.get("text")) for name, of in runs.items())
    said = {True: f"{ours}'s text", False: "another text"}
    return {name: said[other == text] for name, other in others if other is not None}


def decode(bench: Bench) -> Section:
    """Load and decode step at full size."""
    columns = [
        seconds("load", "load_s", ratio=True),
        megabytes("memory after load", "loaded_bytes", ratio=True),
        megabytes("peak memory", "peak_bytes", ratio=True),
        milliseconds("decode step", "step_s", ratio=True),
    ]
    runs = bench.among_peers("full size, decode", bench.args.full, bench.args.repeat_full, "decode")
    megabytes_stored = sum(p.stat().st_size for p in bench.args.full.glob("*.safetensors")) / 1e6
    about = f"The weights are {megabytes_stored:,.0f} MB. A step is one position at the start of a stream."
    return f"## Load and decode step, full size\n\n{about}\n\n{table(columns, runs)}"


def encode(bench: Bench) -> Section:
    """Mel, encoder and adapter at full size."""
    args = bench.args
    layers = 0 if bench.on_gpu else args.encoder_layers
    arguments = ("encode", "--seconds", args.encoder_seconds, "--layers", layers)
    runs = bench.among_peers("full size, encoder", args.full, args.repeat_full, *arguments)
    columns = [seconds("encoder", "encode_s", ratio=True), megabytes("peak memory", "peak_bytes", ratio=True)]
    title = f"## Encoder, full size, {args.encoder_seconds:g} s of audio"
    return f"{title}\n\n{table(columns, runs, _estimates(runs))}"


def _estimates(runs: dict[str, list[Run]]) -> dict[str, str]:
    notes = {}
    for name, of in runs.items():
        figures = of[0].figures if of else {}
        if "layers" in figures:
            notes[name] = f"estimate: {figures['layers']} of {figures['n_layers']} layers measured"
    return notes


def flat(bench: Bench) -> Section:
    """Whether the hundredth minute costs what the first one did."""
    clips = sorted((CLIPS / "chains").glob("*.flac"))

    def heard(length: float) -> Run:
        run = bench.run(bench.ours, bench.args.tiny, "stream", "--seconds", length, "--audio", *clips)
        if "stream_s" in run.figures:
            run.figures["each_s"] = run.figures["stream_s"] / length
            run.figures["growth_bytes"] = run.figures["peak_bytes"] - run.figures["begun_bytes"]
        return run

    each = [Contestant(_duration(length), partial(heard, length)) for length in bench.args.flat_seconds]
    columns = [
        milliseconds("time per second of audio", "each_s", ratio=True),
        seconds("time", "stream_s"),
        megabytes("peak memory", "peak_bytes"),
        megabytes("of it above the first 5 s", "growth_bytes"),
    ]
    runs = rounds("flat", each, bench.args.repeat_flat)
    return f"## Long streams, tiny\n\n{table(columns, runs, head='audio')}"


def _duration(length: float) -> str:
    return f"{length / 60:g} min" if length < 3600 else f"{length / 3600:g} h"


def levers(bench: Bench) -> Section:
    """What each lever gives: voxrun with it switched off."""
    args = bench.args
    parts = ["## Levers: voxrun without one of them"]
    columns = [seconds("transcribe", "transcribe_s", ratio=True), Column("decoder passes", "passes")]
    parts.append(_levers(bench, "tiny, a chain of 43 s", args.tiny, columns, "transcribe", "--audio", CHAIN))
    if args.full:
        step = [milliseconds("decode step", "step_s", ratio=True), megabytes("peak memory", "peak_bytes")]
        parts.append(_levers(bench, "full size", args.full, step, "decode"))
        encoder = [seconds("encoder", "encode_s", ratio=True)]
        title = f"full size, {args.lever_seconds:g} s of audio"
        parts.append(_levers(bench, title, args.full, encoder, "encode", "--seconds", args.lever_seconds))
    return "\n\n".join(parts)


def _levers(bench: Bench, title: str, artifact: Path, columns: Sequence[Column], *task: object) -> str:
    def run(arguments: list[str], variables: dict[str, str]) -> Run:
        return bench.run(bench.ours, artifact, *map(str, task), *arguments, **variables)

    each = [Contestant("all levers", partial(run, [], {}))]
    for name, (arguments, variables) in LEVERS.items():
        if not arguments or task[0] == "transcribe":  # look-ahead is nothing that a single step could have
            each.append(Contestant(name, partial(run, arguments, variables)))
    repeat = bench.args.repeat if artifact == bench.args.tiny else bench.args.repeat_full
    return f"{title.capitalize()}:\n\n{table(columns, rounds(f'levers, {title}', each, repeat))}"


def gpu(bench: Bench) -> Section:
    """A step on a GPU against the time that reading the weights takes."""
    title = "## GPU"
    if not bench.on_gpu:
        return f"{title}\n\nNo GPU is here: MLX's default device is a CPU."
    if not bench.args.bandwidth:
        return f"{title}\n\nGive --bandwidth GB/s of the GPU's memory to compare a step with the limit."
    read = step_bytes(bench.args.full)
    limit = read / bench.args.bandwidth / 1e9
    runs = bench.among_peers("GPU", bench.args.full, bench.args.repeat_full, "decode")
    lines = []
    for name, of in runs.items():
        steps = sorted(run.figures["step_s"] for run in of if "step_s" in run.figures)
        middle = steps[len(steps) // 2] if steps else None
        share = f"{100 * limit / middle:.0f} %" if middle else of[0].error
        lines.append([name, number(1e3 * middle) if middle else "-", share])
    speed = f"{number(1e3 * limit)} ms at {bench.args.bandwidth:g} GB/s"
    about = f"A step reads {read / 1e6:,.0f} MB of weights: {speed}."
    return f"{title}\n\n{about}\n\n{markdown(['', 'decode step, ms', 'of the bandwidth limit'], lines)}"


def step_bytes(artifact: Path) -> int:
    """Bytes of weights that a step reads: decoder and head, without what depends on the delay alone."""
    from voxrun.bench.artifact import bytes_read
    from voxrun.checkpoint.layout import Layout

    read = bytes_read(Layout(artifact))
    return read["decoder"] + read["head"]
