"""Write a checkpoint of the upstream's names, shapes and dtype with random values: for time and memory only.

    python benchmarks/make_checkpoint.py DIR [--like tiny/checkpoint] [--layers N]

At the upstream's size it is 8.86 GB. Values are small seeded normals, norms are near 1, so that activations
stay in range; what such a model writes means nothing.
"""

import argparse
import base64
import itertools
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from voxbuild.tensors.writer import CheckpointWriter
from voxrun.checkpoint.config import ModelConfig
from voxrun.checkpoint.dialects import MISTRAL
from voxrun.checkpoint.tensors import Tensor
from voxrun.model.voxtral import parameter_shapes

ROOT = Path(__file__).resolve().parent.parent
PARAMS = ROOT / "tests/data/upstream/params.json"
TEKKEN = ROOT / "tiny/checkpoint/tekken.json"
WITHIN = ("encoder.", "adapter.", "language_model.embed_tokens.")
"""What the upstream keeps in a module of its own, whose path comes first."""
NOISE = 1 << 22
"""Values drawn once and repeated: drawing 4.4 billion of them would take longer than writing them."""


def stored(name: str, shape: tuple[int, ...]) -> Tensor:
    """The upstream's form of one of our parameters."""
    prefix = MISTRAL.prefixes[0] if name.startswith(WITHIN) else ""
    order = (0, 2, 1) if MISTRAL.transposes(name) else range(len(shape))
    return Tensor(prefix + MISTRAL.native(name), "BF16", tuple(shape[i] for i in order))


def bfloat16(values: "np.ndarray[Any, Any]") -> bytes:
    """Float32 values cut to bfloat16."""
    return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).tobytes()


def chunks(nbytes: int, noise: bytes) -> Iterator[bytes]:
    """That many bytes of noise."""
    for start in range(0, nbytes, len(noise)):
        yield noise[: nbytes - start]


def write_weights(path: Path, config: ModelConfig, seed: int) -> None:
    """All tensors, streaming."""
    tensors = sorted((stored(*item) for item in parameter_shapes(config).items()), key=lambda t: t.name)
    random = np.random.default_rng(seed)
    noise = bfloat16(random.standard_normal(NOISE) * 0.02)
    near_one = bfloat16(1 + random.standard_normal(NOISE // 64) * 0.02)
    writer = CheckpointWriter(path, tensors)
    with tqdm(total=sum(t.nbytes for t in tensors), unit="B", unit_scale=True) as bar:
        for tensor in tensors:
            is_norm = tensor.name.endswith("norm.weight") and len(tensor.shape) == 1
            for data in chunks(tensor.nbytes, near_one if is_norm else noise):
                writer.write(data)
                bar.update(len(data))
    writer.finish()


def tekken(vocabulary: int) -> dict[str, Any]:
    """Tiny's tokenizer with as many tokens as the model knows: single bytes, then rare strings."""
    raw: dict[str, Any] = json.loads(TEKKEN.read_text(encoding="utf-8"))
    special = raw["config"]["default_num_special_tokens"]
    singles = [bytes([i]) for i in range(256)]
    triples = (bytes(triple) for triple in itertools.product(range(97, 123), repeat=4))
    pieces = list(itertools.islice(itertools.chain(singles, triples), vocabulary - special))
    raw["vocab"] = [
        {"rank": rank, "token_bytes": base64.b64encode(piece).decode(), "token_str": None}
        for rank, piece in enumerate(pieces)
    ]
    raw["config"] |= {"num_vocab_tokens": len(pieces), "default_vocab_size": vocabulary}
    return raw


def main() -> None:
    """Write the folder."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", type=Path)
    p.add_argument(
        "--like",
        type=Path,
        default=PARAMS.parent,
        help="the folder of a checkpoint of the sizes wanted (default: the upstream's)",
    )
    p.add_argument("--layers", type=int, help="only so many layers of encoder and decoder each")
    p.add_argument("--seed", type=int, default=0)
    args = p.parse_args()
    params = json.loads((args.like / "params.json").read_text(encoding="utf-8"))
    if args.layers:
        params["n_layers"] = params["multimodal"]["whisper_model_args"]["encoder_args"]["n_layers"] = (
            args.layers
        )
    config = ModelConfig.from_dict(params, str(args.like / "params.json"))
    args.folder.mkdir(parents=True, exist_ok=True)
    needed = sum(stored(*item).nbytes for item in parameter_shapes(config).items())
    if shutil.disk_usage(args.folder).free < needed:
        sys.exit(f"{args.folder}: {needed / 1e6:,.0f} MB are needed on its disk")
    (args.folder / "params.json").write_text(json.dumps(params, indent=2), encoding="utf-8")
    (args.folder / "tekken.json").write_text(json.dumps(tekken(config.vocab_size)), encoding="utf-8")
    write_weights(args.folder / "consolidated.safetensors", config, args.seed)


if __name__ == "__main__":
    main()
