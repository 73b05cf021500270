"""Results and conclusions as text: the table on standard output, the report to send, JSON.

No user's or host's name and no path is in any of them.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict

from voxrun.stream.tuning import Tuning

from .conclusions import Conclusions
from .limits import products_per_second, step_limit
from .proposal import PAD, Replay
from .results import Results, Spread
from .tables import MS, counted, markdown, mb, ms, ms_range, number, percent


def table(results: Results, conclusions: Conclusions) -> str:
    """The figures that matter, a line each."""
    heard, weights = results.heard, results.weights
    largest = max(results.blocks)
    rows = [
        ["device", f"{results.machine.kind}: {results.machine.name}, {results.machine.kernels}"],
        ["weights", f"{mb(weights.total)}, {weights.stored}"],
        ["load", f"{number(results.loading.seconds)} s, {_resident(results)}"],
        [
            "memory",
            f"{mb(results.memory.peak_resident)} resident at most, {mb(results.memory.peak)} of MLX's",
        ],
        ["limit of a decoder pass", f"{ms(conclusions.step_limit)}: {_limit_from(results)}"],
        *(_step_row(n, each, conclusions.step_limit) for n, each in results.steps.items()),
        [
            f"encoder, {counted(largest, 'position')}",
            f"{ms(results.blocks[largest].median / largest)} for each",
        ],
        ["first token", f"{ms(results.first_token.median)} after its audio"],
        ["real-time factor", f"{number(heard.factor)} of {heard.seconds:.1f} s of {_what(results)}"],
        ["the same of speech, computed", _factors(conclusions)],
        ["proposed tuning", _proposal(conclusions)],
    ]
    return markdown(["", "measured"], rows) + "\n" + _warnings(results, conclusions)


def _step_row(rows: int, spread: Spread, limit: float) -> list[str]:
    return [
        f"decoder, {counted(rows, 'row')}",
        f"{ms(spread.median)}, {percent(limit / spread.median)} of the limit",
    ]


def report(results: Results, conclusions: Conclusions, command: str) -> str:
    """The whole, in Markdown; `command` is how it was made, without paths."""
    parts = [
        "# voxrun bench",
        f"`{command}`",
        _about(results),
        "## Limit",
        _limit(results, conclusions),
        "## Load and memory",
        "At most: with all passes below, so with keys and values of a full window where one was filled.",
        _memory(results),
        "## Decoder",
        "A pass, from embeddings to tokens, near the start of a stream.",
        _steps(results, results.steps),
        *_full_window(results),
        "## Encoder",
        "A pass behind a full window. Of a large one arithmetic decides, not the speed of memory.",
        _blocks(results, conclusions),
        "## Transcription",
        _transcription(results, conclusions),
        "## Rows alone and together",
        _differences(results, conclusions),
        "## Tuning",
        _tuning(conclusions),
        *_left_out(results),
    ]
    return "\n\n".join(parts) + "\n"


def as_json(results: Results, conclusions: Conclusions) -> str:
    """All figures: times in seconds, sizes in bytes."""
    told = {"results": asdict(results), "conclusions": asdict(conclusions), "differs": conclusions.differs}
    return json.dumps(told, indent=2) + "\n"


def tuning_json(tuning: Tuning) -> str:
    """The tuning as VOXRUN_TUNING reads it from a file."""
    return json.dumps(asdict(tuning), indent=2) + "\n"


def _about(results: Results) -> str:
    machine, weights = results.machine, results.weights
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    limits = "".join(f"; {name} {value:,}" for name, value in machine.limits.items())
    lines = [
        f"- device: {machine.kind}: {machine.name}, {machine.kernels}; {machine.cores} cores,"
        f" {machine.memory / 2**30:.0f} GiB of memory{limits}",
        f"- system: {machine.system}",
        f"- versions: {versions}",
        f"- weights: {weights.stored}; {mb(weights.total)}, sha256 `{weights.sha256}`",
    ]
    if results.primitives is not None:
        lines.append(f"- primitives of MLX's graph in a pass of one row: {results.primitives:,}")
    return "\n".join(lines)


def _limit(results: Results, conclusions: Conclusions) -> str:
    weights = results.weights
    return (
        f"A pass of the decoder reads {mb(weights.decoder)} of its layers and {mb(weights.head)} of the"
        f" head, one of the encoder {mb(weights.encoder)}. At {_limit_from(results)} that takes"
        f" {ms(conclusions.step_limit)} and {ms(conclusions.block_limit)}. A long read on this machine"
        f" reached {number(results.read.gb_s)} GB/s.\n\n"
        f"**A pass of one row takes {number(1 / conclusions.share)} times as long as the limit"
        f" ({percent(conclusions.share)}).**"
    )


def _memory(results: Results) -> str:
    used = results.memory
    return markdown(
        ["load, s", "then resident", "resident at most", "MLX's arrays", "at most", "kept for reuse"],
        [
            [
                number(results.loading.seconds),
                _resident(results).removesuffix(" resident"),
                mb(used.peak_resident),
                mb(used.active),
                mb(used.peak),
                mb(used.cache),
            ]
        ],
    )


def _steps(results: Results, times: Mapping[int, Spread], past: int = 0) -> str:
    limit, one = step_limit(results, past), times[min(times)].median
    return markdown(
        ["rows", "ms (least-most)", "ms for each row", "of one row's time", "of the limit"],
        [
            [
                str(n),
                ms_range(each),
                number(MS * each.median / n),
                number(each.median / one),
                percent(limit / each.median),
            ]
            for n, each in times.items()
        ],
    )


def _full_window(results: Results) -> list[str]:
    if not results.full:
        return []
    past = results.weights.window
    size = mb(past * results.weights.window_entry)
    return [
        f"Behind a full window of {past:,} positions, whose keys and values are {size} more to read:",
        _steps(results, results.full, past),
    ]


def _blocks(results: Results, conclusions: Conclusions) -> str:
    return markdown(
        ["positions", "ms (least-most)", "ms for each", "real-time factor", "GFLOP/s", "of the limit"],
        [
            [
                str(n),
                ms_range(each),
                number(MS * each.median / n),
                number(each.median / n / results.position),
                number(2e-9 * products_per_second(results, n)),
                percent(conclusions.block_limit / each.median),
            ]
            for n, each in results.blocks.items()
        ],
    )


def _transcription(results: Results, conclusions: Conclusions) -> str:
    heard = results.heard
    lines = [
        f"- first token: {ms(results.first_token.median)} after the audio that it needs",
        f"- {heard.seconds:.1f} s of {_what(results)}: {number(heard.wall)} s,"
        f" **real-time factor {number(heard.factor)}**, {number(heard.padded_factor)} with the silence around"
        f" it; {heard.tokens} tokens in {heard.passes} passes"
        f" ({number(heard.passes / max(1, heard.tokens))} a token),"
        f" {percent(_silent(heard.kinds))} of them silence",
        f"- look-ahead over {conclusions.tokens_of}: {_replayed(conclusions.with_now)}",
        f"- real-time factor of that speech, encoder ms for each position + decoder ms for each token, over"
        f" {MS * results.position:.0f} ms: {_factors(conclusions)}",
    ]
    if PAD not in heard.kinds:
        lines.append("- these weights never write silence, as random ones do: no guess of theirs is right")
    if not heard.is_speech:
        lines.append("- the speed with speech of yours, and how often guesses are right: `--audio FILE`")
    return "\n".join(lines)


def _differences(results: Results, conclusions: Conclusions) -> str:
    dtype = results.weights.dtype
    rows = [[str(n), f"{share:.1e}"] for n, share in results.difference.items()]
    share = conclusions.now.rounding[dtype]
    rule = (
        f"Where the best two logits are closer than a share of {share:g} ({dtype}), a row is computed alone."
    )
    if not rows:
        return f"{rule} Nothing was compared: there was no time for passes of several rows."
    return (
        f"{rule} The largest difference between a row alone and among others, as such a share:\n\n"
        + markdown(["rows", "difference"], rows)
        + _warnings(results, conclusions)
    )


def _warnings(results: Results, conclusions: Conclusions) -> str:
    dtype, seen = results.weights.dtype, max(results.difference.values(), default=0.0)
    if seen <= conclusions.now.rounding[dtype]:
        return ""
    return (
        f"\n**Rows differ by {seen:.1e} here, more than the margin of {conclusions.now.rounding[dtype]:g}:"
        " please report this. Until then use the proposed tuning.**\n"
    )


def _tuning(conclusions: Conclusions) -> str:
    said = (
        "Better than the tuning in use by more than the measurement's uncertainty:"
        if conclusions.differs
        else "The tuning in use is as good as any that was found:"
    )
    saved = (
        f"\n\nFor each token {number(MS * conclusions.with_now.cost)} ms with look-ahead"
        f" {_list(conclusions.now)}, {number(MS * conclusions.with_proposed.cost)} ms with"
        f" {_list(conclusions.proposed)}. To use it: save it as a file, and set VOXRUN_TUNING"
        " to its name."
        if conclusions.differs
        else ""
    )
    return f"{said}\n\n```json\n{tuning_json(conclusions.proposed)}```{saved}"


def _left_out(results: Results) -> list[str]:
    if not results.left_out:
        return []
    return ["## Not measured", "\n".join(f"- {line}" for line in results.left_out)]


def _proposal(conclusions: Conclusions) -> str:
    better, now = conclusions.proposed, conclusions.now
    if not conclusions.differs:
        return f"as it is: look-ahead {_list(now)}, {now.pass_rows} rows in a pass"
    names = ("look_ahead", "pass_rows", "block_positions", "files_positions", "rounding")
    changed = [
        f"{name} {_value(getattr(better, name))} (now {_value(getattr(now, name))})"
        for name in names
        if getattr(better, name) != getattr(now, name)
    ]
    return "; ".join(changed)


def _value(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _factors(conclusions: Conclusions) -> str:
    now = number(conclusions.factor_now)
    if not conclusions.differs:
        return now
    return f"{now}, and {number(conclusions.factor_proposed)} with the proposed tuning"


def _replayed(replay: Replay) -> str:
    return (
        f"{number(replay.passes / replay.tokens)} passes a token, {number(replay.rows / replay.passes)}"
        f" rows a pass, {percent(replay.accepted)} of the guesses right"
    )


def _silent(kinds: str) -> float:
    return kinds.count(PAD) / max(1, len(kinds))


def _what(results: Results) -> str:
    return "the recording" if results.heard.is_speech else "noise, which is no speech"


def _limit_from(results: Results) -> str:
    return f"{number(results.bandwidth.gb_s)} GB/s ({results.bandwidth.source})"


def _list(tuning: Tuning) -> str:
    return ", ".join(map(str, tuning.look_ahead))


def _resident(results: Results) -> str:
    held = results.loading.resident
    return f"{mb(held)} resident" if held is not None else f"{mb(results.loading.active)} of MLX's arrays"
