"""Parts of a real-time factor: `python -m benchmarks.workers.realtime TASK --model DIR --cores N`.

A fresh process on so many cores. It reports figures as JSON lines; nothing heavy is imported before the cores
are chosen, for the BLAS makes its threads when it is imported.
"""

import argparse
import math
import os
from pathlib import Path
from typing import Any

from .common import report

POSITIONS = 64
"""Of an encoder pass."""
BEYOND_CACHES = 2**30
"""Bytes of float32 to read in turn, so that no cache holds them until they are read again."""
PART = 8
"""The head is measured over an eighth of its rows: all of it in float32 takes 1.6 GB."""


def passes(args: argparse.Namespace) -> None:
    """Passes of voxrun, and the speed of memory."""
    from voxrun.bench.listening import noise
    from voxrun.bench.passes import Passes
    from voxrun.bench.reading import measured_bandwidth
    from voxrun.bench.timing import Effort
    from voxrun.mlx_thread import computed
    from voxrun.parallel import one_blas_thread
    from voxrun.stream.at_once import memory
    from voxrun.stream.tuning import tuning
    from voxrun.transcriber import Transcriber

    rows = tuning().look_ahead
    effort = Effort(rows, (POSITIONS,), 0.5, 5, float("inf"), 0.0, 0.0, full_window=False)
    transcriber = Transcriber.load(args.model)
    model = transcriber.model
    signal = noise(POSITIONS / model.config.audio.frame_rate + 1, transcriber.rate)

    def all_passes() -> dict[str, Any]:
        with one_blas_thread():
            measured = Passes(model, transcriber.tokenizer, signal)
            block = measured.encoder(POSITIONS, effort).median
            steps = {n: measured.decoder(n, effort).median for n in rows}
            return {
                "encoder": block / POSITIONS,
                "steps": steps,
                "gb_s": measured_bandwidth(effort, memory()).gb_s,
            }

    report(look_ahead=rows, position=1 / model.config.audio.frame_rate, **computed(all_passes))


def speech(args: argparse.Namespace) -> None:
    """Kinds of the tokens of recordings, one after the other."""
    from voxrun.bench.listening import hear, recording
    from voxrun.transcriber import Transcriber

    transcriber = Transcriber.load(args.model)
    heard = [recording(path, transcriber.rate, seconds=600) for path in args.audio]
    report(kinds="".join(hear(transcriber, samples, is_speech=True).kinds for samples in heard))


def recipe(args: argparse.Namespace) -> None:
    """The same products with a BLAS on float32, and on bfloat16 that is converted in each pass.

    One layer of each stack is measured and taken as often as there are layers; attention is left out.
    """
    import numpy as np

    from voxrun.bench.timing import Effort, timed
    from voxrun.checkpoint.layout import Layout
    from voxrun.model.voxtral import parameter_shapes

    config = Layout(args.model).config
    shapes = parameter_shapes(config)
    effort = Effort((), (), 0.5, 5, float("inf"), 0.0, 0.0, full_window=False)
    random = np.random.default_rng(0)

    def seconds(matrices: list[tuple[int, ...]], rows: int) -> dict[str, float]:
        copies = math.ceil(BEYOND_CACHES / (4 * sum(map(math.prod, matrices)))) if rows == 1 else 1
        stored = [random.integers(0, 2**14, shape, np.uint16) for shape in matrices * copies]
        wide = [as_floats(each) for each in stored]
        room = np.zeros(max(each.size for each in stored), np.uint32)
        inputs = {k: np.ones((k, rows) if rows > 1 else k, np.float32) for _, k in matrices}

        def resident() -> None:
            for matrix in wide:
                matrix @ inputs[matrix.shape[1]]

        def converted() -> None:
            for matrix in stored:
                as_floats(matrix, room) @ inputs[matrix.shape[1]]

        ways = {"float32": resident, "bfloat16": converted}
        return {kind: timed(work, effort).median / copies for kind, work in ways.items()}

    def layer(prefix: str) -> list[tuple[int, ...]]:
        return [
            shape
            for name, shape in shapes.items()
            if name.startswith(prefix) and len(shape) == 2 and "ada_norm" not in name
        ]

    vocabulary, dim = shapes["language_model.embed_tokens.weight"]
    decoder = seconds(layer("language_model.layers.0."), 1)
    head = seconds([(vocabulary // PART, dim)], 1)
    frames = POSITIONS * config.downsample_factor
    encoder = seconds(layer("encoder.layers.0."), frames)
    adapter = seconds(layer("adapter."), POSITIONS)
    report(
        step={kind: config.decoder.n_layers * decoder[kind] + PART * head[kind] for kind in decoder},
        encoder={
            kind: (config.encoder.n_layers * encoder[kind] + adapter[kind]) / POSITIONS for kind in encoder
        },
        weights=config.decoder.n_layers * sum(a * b for a, b in layer("language_model.layers.0."))
        + vocabulary * dim,
    )


def as_floats(bits: Any, room: Any = None) -> Any:
    """Bfloat16 as bits [n, k] -> float32, on all cores; in `room`, zeros (uint32) of that size or more."""
    import numpy as np

    from voxrun.parallel import in_parts

    room = np.zeros(bits.size, np.uint32) if room is None else room
    wide = room[: bits.size].reshape(bits.shape)
    upper = wide.view(np.uint16)[:, 1::2]

    def part(first: int, last: int) -> None:
        upper[first:last] = bits[first:last]

    in_parts(part, len(bits), work=bits.size)
    return wide.view(np.float32)


TASKS = {"passes": passes, "speech": speech, "recipe": recipe}


def main() -> None:
    """Do one task on the first cores."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("task", choices=TASKS)
    p.add_argument("--model", type=Path, required=True)
    p.add_argument("--audio", type=Path, nargs="*", default=[])
    p.add_argument("--cores", type=int)
    args = p.parse_args()
    if args.cores is not None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.cores])
    TASKS[args.task](args)


if __name__ == "__main__":
    main()
    os._exit(0)  # as the command itself leaves: see voxrun.cli.main.command
