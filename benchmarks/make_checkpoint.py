"""Write a checkpoint of the upstream's names, shapes and dtype with random values: for time and memory only.

    python benchmarks/make_checkpoint.py DIR [--like tiny/checkpoint] [--layers N] [--shards N]
    python benchmarks/make_checkpoint.py DIR --transformers --shards 4   # as save_pretrained writes it

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

from voxbuild.convert.views import small_files
from voxbuild.recipes.loaders import LOADERS
from voxbuild.tensors.writer import CheckpointWriter
from voxrun.checkpoint.config import ModelConfig
from voxrun.checkpoint.dialects import MISTRAL, TRANSFORMERS, Dialect
from voxrun.checkpoint.tensors import Tensor
from voxrun.model.voxtral import parameter_shapes

ROOT = Path(__file__).resolve().parent.parent
PARAMS = ROOT / "tests/data/upstream/params.json"
TEKKEN = ROOT / "tiny/checkpoint/tekken.json"
WITHIN = ("encoder.", "adapter.", "language_model.embed_tokens.")
"""What the upstream keeps in a module of its own, whose path comes first."""
NOISE = 1 << 22
"""Values drawn once and repeated: drawing 4.4 billion of them would take longer than writing them."""


def stored(name: str, shape: tuple[int, ...], dialect: Dialect = MISTRAL) -> Tensor:
    """The form of one of our parameters in the upstream's files, or in a fine-tune's."""
    prefix = MISTRAL.prefixes[0] if dialect is MISTRAL and name.startswith(WITHIN) else ""
    order = (0, 2, 1) if dialect.transposes(name) else range(len(shape))
    return Tensor(prefix + dialect.native(name), "BF16", tuple(shape[i] for i in order))


def bfloat16(values: "np.ndarray[Any, Any]") -> bytes:
    """Float32 values cut to bfloat16."""
    return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).tobytes()


def chunks(nbytes: int, noise: bytes) -> Iterator[bytes]:
    """That many bytes of noise."""
    for start in range(0, nbytes, len(noise)):
        yield noise[: nbytes - start]


def in_shards(tensors: list[Tensor], count: int, name: str) -> dict[str, list[Tensor]]:
    """File name -> tensors: about as many bytes in each file."""
    if count == 1:
        return {f"{name}.safetensors": tensors}
    shards: dict[str, list[Tensor]] = {
        f"{name}-{i + 1:05d}-of-{count:05d}.safetensors": [] for i in range(count)
    }
    total, done = sum(tensor.nbytes for tensor in tensors), 0
    for tensor in tensors:
        list(shards.values())[min(count - 1, done * count // total)].append(tensor)
        done += tensor.nbytes
    return shards


def write_index(path: Path, shards: dict[str, list[Tensor]]) -> None:
    """The index of several files."""
    places = {tensor.name: name for name, tensors in shards.items() for tensor in tensors}
    path.write_text(json.dumps({"metadata": {}, "weight_map": places}), encoding="utf-8")


def write_weights(path: Path, tensors: list[Tensor], seed: int) -> None:
    """All tensors of a file, streaming."""
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
    p.add_argument("--transformers", action="store_true", help="as transformers' save_pretrained writes it")
    p.add_argument("--shards", type=int, default=1, help="files of weights")
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
    dialect, name = (TRANSFORMERS, "model") if args.transformers else (MISTRAL, "consolidated")
    small = {"params.json": params, "tekken.json": tekken(config.vocab_size)}
    if args.transformers:
        del small["params.json"]
        small |= small_files(LOADERS["transformers"], params)
    for file, content in small.items():
        (args.folder / file).write_text(json.dumps(content, indent=2), encoding="utf-8")
    tensors = [stored(*item, dialect) for item in parameter_shapes(config).items()]
    shards = in_shards(sorted(tensors, key=lambda t: t.name), args.shards, name)
    for file, part in shards.items():
        write_weights(args.folder / file, part, args.seed)
    if args.shards > 1:
        write_index(args.folder / f"{name}.safetensors.index.json", shards)


if __name__ == "__main__":
    main()
