"""Primitives of a pass and waits for a token: docs/benchmarks/primitives.md.

    python benchmarks/primitives.py [--model out/tiny/4bit] [--before CHECKOUT] [--voxmlx-python PYTHON]

`--before`: a checkout of an older voxrun, counted in the same way. voxmlx gets an environment in `--envs` if
`--voxmlx-python` is not given. Beside the model a random one is counted that is as deep as the real one.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from environments import DEFAULT_EXTRA, machine, python_of
from runs import ROOT

from voxbuild.console import markdown

CLIP = ROOT / "tiny/clips/prompts/please-try-again.flac"
DEPTH = {"encoder": 32, "decoder": 26}
"""Layers of the real model."""
NARROW = {"dim": 128, "head_dim": 64, "hidden_dim": 128, "n_heads": 4, "n_kv_heads": 2}
QUANTIZATION = {"group_size": 64, "bits": 4}
ROUNDS = 8
"""Of timing each runtime in turn: neighbours on a machine slow it for seconds."""


def main() -> None:
    """Count, and write the document."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", type=Path, default=ROOT / "out/tiny/4bit")
    p.add_argument("--before", type=Path)
    p.add_argument("--envs", type=Path, default=ROOT / "benchmarks/.envs")
    p.add_argument("--voxmlx-python", type=Path)
    p.add_argument("--out", type=Path, default=ROOT / "docs/benchmarks/primitives.md")
    options = p.parse_args()
    python = options.voxmlx_python or python_of("voxmlx", options.envs, DEFAULT_EXTRA)
    runtimes = {"voxrun": (sys.executable, "voxrun", ROOT), "voxmlx 0.0.2": (python, "voxmlx", ROOT)}
    if options.before:
        runtimes["voxrun before"] = (sys.executable, "voxrun", options.before)

    def each(what: str, model: Path, *clip: Path) -> dict[str, Any]:
        return {name: told(*how, what, model, *clip) for name, how in runtimes.items()}

    with tempfile.TemporaryDirectory() as folder:
        deep = deep_model(Path(folder) / "deep", options.model, DEPTH)
        depths = ({"encoder": n, "decoder": n} for n in (1, 2))
        models = [deep_model(Path(folder) / str(n), options.model, d) for n, d in enumerate(depths)]
        parts = {
            "graphs": markdown(graphs(each("graphs", options.model)), HEADER),
            "deep": markdown(graphs(each("graphs", deep)), HEADER),
            "layer": markdown(*layer(*(each("graphs", model) for model in models))),
            "host": markdown(
                host([each("host", deep) for _ in range(ROUNDS)]), ["", "pass", "µs", "times ours"]
            ),
            "waits": markdown(
                waits(each("waits", options.model, CLIP)),
                ["", "look-ahead", "submissions", "waits", "reads"],
            ),
        }
    options.out.write_text(TEXT.format(machine=machine(), rounds=ROUNDS, **parts), encoding="utf-8")


def told(
    python: str | Path, runtime: str, checkout: Path, what: str, model: Path, clip: Path | None = None
) -> dict[str, Any]:
    """What the worker tells, of a checkout's code."""
    command = [str(python), "-m", "benchmarks.workers.primitives", runtime, what]
    command += ["--model", str(model.resolve())]
    command += ["--clip", str(clip)] if clip else []
    path = os.pathsep.join(map(str, (checkout / "runtime", ROOT)))
    environment = os.environ | ({"PYTHONPATH": path} if runtime == "voxrun" else {})
    done = subprocess.run(
        command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, encoding="utf-8"
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def deep_model(folder: Path, like: Path, depth: dict[str, int]) -> Path:
    """A narrow random model with so many layers, quantized to 4 bits."""
    from voxrun.checkpoint.config import ModelConfig
    from voxrun.device import mx, nn, tree_flatten
    from voxrun.model.linear import Embedding, Linear
    from voxrun.model.voxtral import VoxtralRealtime

    params = json.loads((like / "config.json").read_text(encoding="utf-8"))
    params |= NARROW | {"n_layers": depth["decoder"], "quantization": QUANTIZATION}
    params["multimodal"]["whisper_model_args"]["encoder_args"] |= NARROW | {
        "n_layers": depth["encoder"],
        "n_kv_heads": NARROW["n_heads"],
    }
    mx.set_default_device(mx.cpu)
    model = VoxtralRealtime(ModelConfig.from_dict(params))

    def divides(path: str, module: Any) -> bool:
        return isinstance(module, Linear | Embedding) and module.weight.shape[1] % 64 == 0

    nn.quantize(model, **QUANTIZATION, class_predicate=divides)
    folder.mkdir()
    tensors: Any = tree_flatten(model.parameters())
    mx.save_safetensors(str(folder / "model.safetensors"), dict(tensors))
    (folder / "config.json").write_text(json.dumps(params), encoding="utf-8")
    (folder / "tekken.json").write_bytes((like / "tekken.json").read_bytes())
    return folder


HEADER = ["", "pass", "on MLX's CPU", "on a GPU", "of them launched"]


def graphs(told: dict[str, dict[str, Any]]) -> Iterator[list[str]]:
    """A row for each pass and runtime."""
    for kind in told["voxrun"]:
        for name, figures in told.items():
            if kind in figures:
                yield [name, kind, *(str(figures[kind][key]) for key in ("here", "gpu", "launched"))]


NEEDED = {
    "RMSNorm": "before attention, and before the FFN; a delay's gain is in the weight",
    "QuantizedMatmul": "queries, keys and values; output; gate and up; down",
    "RoPE": "of queries and keys at once, where they are in the product",
    "ScatterAxis": "keys and values, written to the ring at once",
    "ScaledDotProductAttention": "",
    "Compiled": "SwiGLU; the encoder's sums of residual, product and bias",
    "Add": "the decoder's residuals; the encoder's bias of queries and values",
    "Broadcast": "a bias for all rows",
    "Reshape": "heads apart, and together again",
    "Split": "queries from keys and values; keys from values, in the ring; gate from up",
    "Transpose": "heads before rows, and back; one row needs none",
}
"""What primitives of a layer are for, in voxrun."""
PASSES = {"1 row": "1 row", "4 rows": "4 rows", "encoder, 4 positions": "encoder"}
"""Whose layers are shown."""


def layer(one: dict[str, Any], two: dict[str, Any]) -> tuple[list[list[str]], list[str]]:
    """The table of a layer's primitives as on a GPU, and its header, from models of one and of two layers."""
    columns = [(p, name) for p in PASSES for name in one if p in one[name] and "before" not in name]
    found = [by_kind(two[name][p]["kinds"]) - by_kind(one[name][p]["kinds"]) for p, name in columns]
    kinds = [*NEEDED, *sorted(set().union(*found) - NEEDED.keys())]
    rows = [[kind, *(str(c[kind] or "") for c in found), NEEDED.get(kind, "")] for kind in kinds]
    total = ["all", *(str(c.total()) for c in found), ""]
    return [*rows, total], ["", *(f"{PASSES[p]}: {name}" for p, name in columns), "what for, in voxrun"]


def by_kind(kinds: dict[str, int]) -> Counter[str]:
    """Compiled primitives have long names."""
    found = Counter[str]()
    for name, n in kinds.items():
        found["Compiled" if name.startswith("Compiled") else name] += n
    return found


def host(rounds: list[dict[str, dict[str, float]]]) -> Iterator[list[str]]:
    """A row for each step and runtime: the least of all rounds."""
    for kind in rounds[0]["voxrun"]:
        least = {
            name: min(told[name][kind] for told in rounds)
            for name, figures in rounds[0].items()
            if kind in figures
        }
        for name, time in least.items():
            yield [name, kind, f"{time:,.0f}", f"{time / least['voxrun']:.2f}"]


def waits(told: dict[str, dict[str, Any]]) -> Iterator[list[str]]:
    """A row for each way to transcribe and runtime."""
    for name, figures in told.items():
        for way, counts in figures.items():
            yield [name, way, *(str(counts[kind]) for kind in ("submissions", "waits", "reads"))]


TEXT = """\
# Primitives of a pass

Written by `python benchmarks/primitives.py` ([how](../../benchmarks/README.md#primitives)), with MLX's own
products. {machine}

A GPU waits for the host, which needs 1 to 30 µs for each primitive. "On MLX's CPU" is what `mx.export_to_dot`
has of a pass; there norm, rotation, attention and dequantizing are composed of many primitives. "On a GPU"
has one for each of those, and products on packed weights; "launched" leaves out those that are only other
views of the same memory.

## Tiny, 4 bits

{graphs}

## As deep as the real model

Random, narrow, 26 and 32 layers, 4 bits.

{deep}

## What a layer needs

Primitives that one layer more adds to a pass, counted as on a GPU; from Broadcast on most are views, which
need no kernel.

{layer}

On MLX's CPU norm, rotation and attention are composed of about 70 primitives in a layer, whoever calls them;
compiled, what layers share is computed once, and neighbours are one.

## Time of the host

Processor time of the thread that builds the graph of a step, as on a GPU, of the model as deep as the real
one: the least of {rounds} rounds in turn. Nothing is computed meanwhile.

{host}

## Waits

Of a transcription of a clip of 1.2 s by tiny, for each token: work submitted without a wait, waits for work
(`mx.eval`), and arrays whose values are read.

{waits}
"""


if __name__ == "__main__":
    main()
