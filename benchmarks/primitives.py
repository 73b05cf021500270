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
    with tempfile.TemporaryDirectory() as folder:
        tiny = {name: counted(*how, options.model, CLIP) for name, how in runtimes.items()}
        deep = deep_model(Path(folder) / "deep", options.model)
        real = {name: counted(*how, deep) for name, how in runtimes.items()}
    parts = {
        "graphs": markdown(graphs(tiny), HEADER),
        "deep": markdown(graphs(real), HEADER),
        "host": markdown(host(real), ["", "pass", "µs", "times ours"]),
        "waits": markdown(waits(tiny), ["", "look-ahead", "submissions", "waits", "reads"]),
    }
    options.out.write_text(TEXT.format(machine=machine(), **parts), encoding="utf-8")


def counted(
    python: str | Path, runtime: str, checkout: Path, model: Path, clip: Path | None = None
) -> dict[str, Any]:
    """What the worker tells, of a checkout's code."""
    command = [str(python), "-m", "benchmarks.workers.primitives", runtime, "--model", str(model.resolve())]
    command += ["--clip", str(clip)] if clip else []
    path = os.pathsep.join(map(str, (checkout / "runtime", ROOT)))
    environment = os.environ | ({"PYTHONPATH": path} if runtime == "voxrun" else {})
    done = subprocess.run(
        command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, encoding="utf-8"
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def deep_model(folder: Path, like: Path) -> Path:
    """A narrow random model with as many layers as the real one, quantized to 4 bits."""
    from voxrun.checkpoint.config import ModelConfig
    from voxrun.device import mx, nn, tree_flatten
    from voxrun.model.linear import Embedding, Linear
    from voxrun.model.voxtral import VoxtralRealtime

    params = json.loads((like / "config.json").read_text(encoding="utf-8"))
    params |= NARROW | {"n_layers": DEPTH["decoder"], "quantization": QUANTIZATION}
    params["multimodal"]["whisper_model_args"]["encoder_args"] |= NARROW | {
        "n_layers": DEPTH["encoder"],
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
    for kind in told["voxrun"]["graphs"]:
        for name, figures in told.items():
            if kind in figures["graphs"]:
                found = figures["graphs"][kind]
                yield [name, kind, *(str(found[key]) for key in ("here", "gpu", "launched"))]


def host(told: dict[str, dict[str, Any]]) -> Iterator[list[str]]:
    """A row for each step and runtime."""
    for kind, ours in told["voxrun"]["host_us"].items():
        for name, figures in told.items():
            if kind in figures["host_us"]:
                time = figures["host_us"][kind]
                yield [name, kind, f"{time:,.0f}", f"{time / ours:.2f}"]


def waits(told: dict[str, dict[str, Any]]) -> Iterator[list[str]]:
    """A row for each way to transcribe and runtime."""
    for name, figures in told.items():
        for way, counts in figures["waits"].items():
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

## Time of the host

Processor time in which the graph of a step, as on a GPU, is built, of the model as deep as the real one: the
least of 60. Nothing is computed meanwhile.

{host}

## Waits

Of a transcription of a clip of 1.2 s by tiny, for each token: work submitted without a wait, waits for work
(`mx.eval`), and arrays whose values are read.

{waits}
"""


if __name__ == "__main__":
    main()
