"""Write header.json beside this file: the shapes of the upstream's 711 tensors, all BF16, from params.json.

The upstream's own spelling and layout, written down apart from voxrun's dialects, which are checked with it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
OUTER = "mm_streams_embeddings.embedding_module."
STEM = OUTER + "whisper_encoder."
Entry = tuple[str, list[int]]


def block(prefix: str, p: dict[str, Any]) -> Iterator[Entry]:
    dim, hidden = p["dim"], p["hidden_dim"]
    queries, keys = p["n_heads"] * p["head_dim"], p["n_kv_heads"] * p["head_dim"]
    shapes = {
        "attention.wq": [queries, dim],
        "attention.wk": [keys, dim],
        "attention.wv": [keys, dim],
        "attention.wo": [dim, queries],
        "feed_forward.w1": [hidden, dim],
        "feed_forward.w2": [dim, hidden],
        "feed_forward.w3": [hidden, dim],
    }
    for name, shape in shapes.items():
        yield f"{prefix}.{name}.weight", shape
    if p["use_biases"]:
        for name in ("attention.wq", "attention.wv", "attention.wo", "feed_forward.w2"):
            yield f"{prefix}.{name}.bias", shapes[name][:1]
    for name in ("attention_norm", "ffn_norm"):
        yield f"{prefix}.{name}.weight", [dim]


def header(p: dict[str, Any]) -> Iterator[Entry]:
    whisper = p["multimodal"]["whisper_model_args"]
    e, ada = whisper["encoder_args"], p["ada_rms_norm_t_cond_dim"]
    bins = e["audio_encoding_args"]["num_mel_bins"]
    for i, channels in enumerate((bins, e["dim"])):
        yield f"{STEM}conv_layers.{i}.conv.weight", [e["dim"], channels, 3]
        yield f"{STEM}conv_layers.{i}.conv.bias", [e["dim"]]
    for i in range(e["n_layers"]):
        yield from block(f"{STEM}transformer.layers.{i}", e)
    yield f"{STEM}transformer.norm.weight", [e["dim"]]
    stacked = e["dim"] * whisper["downsample_args"]["downsample_factor"]
    yield f"{OUTER}audio_language_projection.0.weight", [p["dim"], stacked]
    yield f"{OUTER}audio_language_projection.2.weight", [p["dim"], p["dim"]]
    yield f"{OUTER}tok_embeddings.weight", [p["vocab_size"], p["dim"]]
    for i in range(p["n_layers"]):
        yield from block(f"layers.{i}", p)
        yield f"layers.{i}.ada_rms_norm_t_cond.0.weight", [ada, p["dim"]]
        yield f"layers.{i}.ada_rms_norm_t_cond.2.weight", [p["dim"], ada]
    yield "norm.weight", [p["dim"]]


if __name__ == "__main__":
    params = json.loads((HERE / "params.json").read_text())
    lines = (f"{json.dumps(name)}: {json.dumps(shape)}" for name, shape in sorted(header(params)))
    (HERE / "header.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
