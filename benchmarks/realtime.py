"""The real-time factor of the whole model, from its passes and from tokens of speech; its growth over cores.

A model of random weights says nothing, so a transcription of it would not show how often guesses are right.
What a second of speech needs is therefore computed: passes are replayed over the tokens that the tiny model
writes (`voxrun.bench.proposal.replay`), and each costs what it was measured to cost at full size.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from runs import ROOT, Run, process, tell

from voxrun.bench.proposal import Replay, replay
from voxrun.bench.speech import SPEECH
from voxrun.bench.tables import markdown, number
from voxrun.parallel import cores

CHAINS = ROOT / "tiny" / "clips" / "chains"
TINY = ROOT / "tiny" / "checkpoint"
MS = 1e3
ESTIMATED = (4, 8)
"""Cores that the estimate is made for."""
ELSEWHERE = [
    ("voxmlx 0.0.2", "docs/benchmarks/runtime.md, two cores with AVX2", 49.0, 8606 / 10),
    ("mlx-audio 0.6.2", "docs/benchmarks/runtime.md, two cores with AVX2", 5.311, 1839 / 10),
    ("voxtral.c, BLAS", "its README, M3 Max (Accelerate, 3.6 s of audio)", 0.335, 8 / 3.6),
    ("voxtral.c, Metal", "its README, M3 Max", 0.0235, 0.284 / 3.6),
]
"""Program; where its figures are from; seconds of a decoder step, one for each token; seconds of the encoder
for a second of audio."""


@dataclass(frozen=True)
class OnCores:
    """voxrun's passes on so many cores, in seconds."""

    cores: int
    encoder: float
    """For each position."""
    steps: dict[int, float]
    """By rows."""
    gb_s: float
    """Of memory."""

    @classmethod
    def of(cls, cores: int, told: Mapping[str, Any]) -> "OnCores":
        """From what a worker tells."""
        steps = {int(rows): seconds for rows, seconds in told["steps"].items()}
        return cls(cores, told["encoder"], steps, told["gb_s"])

    def factor(self, kinds: str, look_ahead: Sequence[int], position: float) -> float:
        """Seconds for a second of speech."""
        return (self.encoder + self.decoder(kinds, look_ahead).cost) / position

    def decoder(self, kinds: str, look_ahead: Sequence[int]) -> Replay:
        """The passes over these tokens."""
        return replay(kinds, look_ahead, self.steps)


def estimate(one: float, two: float, n: int, least: float = 0.0) -> float:
    """Seconds on n cores: of those on one, what two made shorter goes on to shrink, the rest stays (Amdahl).

    `least`: what the speed of memory takes, which no number of cores shortens.
    """
    spread = min(one, max(0.0, 2 * (one - two)))
    return max(least, one - spread + spread / n)


def real_time(bench: Any) -> str:
    """The section of the report."""
    args = bench.args
    kinds = _speech(args.tiny or TINY, args.timeout)
    wanted = [n for n in args.cores if n <= cores()] or [cores()]
    passes, recipes = _rounds(args.full, wanted, args.repeat_full, args.timeout)
    measured = [OnCores.of(n, each) for n, each in passes.items()]
    told = passes[wanted[0]]
    look_ahead, position = [int(rows) for rows in told["look_ahead"]], told["position"]
    limits = {each.cores: bench.step_bytes(args.full) / each.gb_s / 1e9 for each in measured}
    parts = [
        f"## Real-time factor, full size\n\n{_about(kinds, look_ahead, position, measured[0])}",
        _ours(measured, kinds, look_ahead, position, limits),
    ]
    if wanted[:2] == [1, 2]:
        parts.append(_estimates(measured[0], measured[1], kinds, look_ahead, position, limits[2]))
    factors = {each.cores: each.factor(kinds, look_ahead, position) for each in measured}
    parts += [_recipes(recipes, measured, factors, position), _elsewhere(position)]
    return "\n\n".join(parts)


def _about(kinds: str, look_ahead: Sequence[int], position: float, any_cores: OnCores) -> str:
    passes = any_cores.decoder(kinds, look_ahead)
    return (
        f"Real-time factor = (encoder for a position + decoder for a token) / {MS * position:.0f} ms. The"
        " weights are random, so how speech goes is taken from tiny:"
        f" {len(kinds)} tokens of its chains, {100 * kinds.count('p') / len(kinds):.0f} % of them silence."
        f" Look-ahead of {', '.join(map(str, look_ahead))} rows replayed over them makes"
        f" {passes.passes / passes.tokens:.2f} passes a token, {passes.rows / passes.passes:.2f} rows a pass,"
        f" {100 * passes.accepted:.0f} % of the guesses right. Decoder for a token = sum of (passes of n"
        " rows x seconds of such a pass) / tokens. The encoder's passes have 64 positions behind a full"
        " window, the decoder's stand near the start of a stream."
    )


def _ours(
    measured: Sequence[OnCores],
    kinds: str,
    look_ahead: Sequence[int],
    position: float,
    limits: Mapping[int, float],
) -> str:
    rows = [
        [
            *_line(each, kinds, look_ahead, position),
            f"{number(each.gb_s)}",
            number(MS * limits[each.cores]),
            number(each.steps[1] / limits[each.cores]),
        ]
        for each in measured
    ]
    titles = [*_titles(look_ahead), "memory, GB/s", "limit of a pass, ms", "1 row : limit"]
    return f"voxrun, measured:\n\n{markdown(titles, rows)}"


def _estimates(
    one: OnCores, two: OnCores, kinds: str, look_ahead: Sequence[int], position: float, limit: float
) -> str:
    first, second = one.decoder(kinds, look_ahead), two.decoder(kinds, look_ahead)
    least = limit * first.passes / first.tokens
    rows = []
    for n in ESTIMATED:
        encoder = estimate(one.encoder, two.encoder, n)
        decoder = estimate(first.cost, second.cost, n, least)
        rows.append(
            [str(n), number(MS * encoder), number(MS * decoder), number((encoder + decoder) / position)]
        )
    titles = ["cores", "encoder, ms a position", "decoder, ms a token", "real-time factor"]
    return (
        "**An estimate, not measured:** what two cores made shorter than one goes on to shrink with the"
        " number of cores, and the rest stays; the decoder is never faster than its passes' limit at the"
        f" speed of memory that two cores reach:\n\n{markdown(titles, rows)}"
    )


def _titles(look_ahead: Sequence[int]) -> list[str]:
    passes = [f"{n} row{'s' * (n > 1)}, ms" for n in look_ahead]
    return ["cores", "encoder, ms a position", *passes, "decoder, ms a token", "real-time factor"]


def _line(each: OnCores, kinds: str, look_ahead: Sequence[int], position: float) -> list[str]:
    return [
        str(each.cores),
        number(MS * each.encoder),
        *(number(MS * each.steps[n]) for n in look_ahead),
        number(MS * each.decoder(kinds, look_ahead).cost),
        number(each.factor(kinds, look_ahead, position)),
    ]


def _recipes(
    recipes: Mapping[int, Any], measured: Sequence[OnCores], factors: Mapping[int, float], position: float
) -> str:
    rows = []
    for each in measured:
        told = recipes[each.cores]
        for kind, way in (("float32", "kept in float32"), ("bfloat16", "bfloat16, converted in each pass")):
            step, encoder = told["step"][kind], told["encoder"][kind]
            factor = (step + encoder) / position
            ratios = [number(factor), f"1 : {number(factor / factors[each.cores])}"]
            rows.append([str(each.cores), way, number(MS * step), number(MS * encoder), *ratios])
        read = 2 * told["weights"] / each.gb_s / 1e9
        rows.append([str(each.cores), "bfloat16, read and nothing else", number(MS * read), "-", "-", "-"])
    titles = ["cores", "weights", "step, ms", "encoder, ms a position", "real-time factor", "voxrun : it"]
    return (
        "The recipe of voxtral.c, products of a BLAS without look-ahead, by NumPy's OpenBLAS in the same run:"
        " a layer of each stack at its real sizes, taken as often as there are layers, without attention. It"
        f" is the recipe, not the program:\n\n{markdown(titles, rows)}"
    )


def _elsewhere(position: float) -> str:
    rows = [
        [name, number(MS * step), number(MS * encoder * position), number(step / position + encoder), source]
        for name, source, step, encoder in ELSEWHERE
    ]
    titles = ["", "step, ms", "encoder, ms a position", "real-time factor", "figures from"]
    return f"Others, on other machines; a step for each token:\n\n{markdown(titles, rows)}"


def _speech(tiny: Path, timeout: float) -> str:
    """Kinds of tiny's tokens for its chains; those that voxrun comes with if tiny cannot be run."""
    chains = sorted(CHAINS.glob("*.flac"))
    run = _worker("speech", "--model", tiny.resolve(), "--audio", *chains, timeout=timeout)
    if run.error:
        tell(f"tiny was not heard ({run.error}); the tokens of voxrun.bench.speech serve")
    return str(run.figures.get("kinds", SPEECH))


Figures = dict[int, dict[str, Any]]
"""By cores."""


def _rounds(model: Path, wanted: Sequence[int], repeat: int, timeout: float) -> tuple[Figures, Figures]:
    """Figures of voxrun's passes and of the recipe: the medians of rounds, in which all take turns."""
    passes: dict[int, list[Any]] = {n: [] for n in wanted}
    recipes: dict[int, list[Any]] = {n: [] for n in wanted}
    for number_of_round in range(repeat):
        for n in wanted:
            tell(f"real time [{number_of_round + 1}/{repeat}] voxrun and the recipe on {n} cores")
            passes[n].append(_told("passes", model, n, timeout))
            recipes[n].append(_told("recipe", model, n, timeout))
    return {n: _median(each) for n, each in passes.items()}, {n: _median(each) for n, each in recipes.items()}


def _median(told: Sequence[Any]) -> Any:
    """Of each figure in equal structures."""
    first = told[0]
    if isinstance(first, dict):
        return {key: _median([each[key] for each in told]) for key in first}
    if isinstance(first, list):
        return [_median(each) for each in zip(*told, strict=True)]
    return median(told)


def _told(task: str, model: Path, n: int, timeout: float) -> dict[str, Any]:
    """Figures of a task on n cores. Raises RuntimeError with what went wrong."""
    run = _worker(task, "--model", model.resolve(), "--cores", n, timeout=timeout)
    if run.error:
        raise RuntimeError(f"{task} on {n} cores: {run.error}")
    return run.figures


def _worker(*arguments: object, timeout: float) -> Run:
    return process(sys.executable, "-m", "benchmarks.workers.realtime", *arguments, timeout=timeout)
