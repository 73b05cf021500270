"""Runs a model in half floats on the CPU as a GPU would, and tells where activations have another type."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from small_models import quantized_tensors, random_tensors, small_params

from voxrun.checkpoint.config import ModelConfig
from voxrun.device import mx, tree_flatten
from voxrun.model.load import assemble
from voxrun.model.voxtral import DecoderRows, VoxtralRealtime

STORED: dict[str, dict[str, Any] | None] = {
    "dense": None,
    "affine": {"group_size": 32, "bits": 4},
    "mxfp4": {"group_size": 32, "bits": 4, "mode": "mxfp4"},
}
PARAMS = small_params(encoder={"sliding_window": 50}, sliding_window=300, n_layers=2)
APART = ("ada_norm", "embed_tokens")
"""Computed in float32 (contract step 7), and in its own type: what they give is cast, then checked."""


def gpu_model(
    stored: str, dtype: mx.Dtype, patch: pytest.MonkeyPatch, params: dict[str, Any] = PARAMS
) -> VoxtralRealtime:
    """A random model that computes in `dtype`, with fused products, by those that a GPU would take."""
    patch.setenv("VOXRUN_KERNELS", "none")
    patch.setattr("voxrun.model.linear.on_cpu", lambda: False)
    settings, config = STORED[stored], ModelConfig.from_dict(params)
    if settings:
        tensors = quantized_tensors(params, settings)[0]
        config = ModelConfig.from_dict(params | {"quantization": settings})
    else:
        tensors = {name: mx.array(values) for name, values in random_tensors(config).items()}
    model = assemble(config, tensors, "a random model")
    model.compute_in(dtype)
    model.fuse()
    return model


def wrong_types(model: VoxtralRealtime) -> dict[str, str]:
    """Where activations, caches or parameters are not of the model's dtype, and what they are."""
    found: dict[str, str] = {}

    def see(place: str, array: Any, wanted: mx.Dtype = model.dtype) -> None:
        if isinstance(array, mx.array) and mx.issubdtype(array.dtype, mx.floating) and array.dtype != wanted:
            found.setdefault(place, str(array.dtype))

    with watched(model, see):
        run(model, see)
    for name, value in tree_flatten(model.parameters()):
        see(f"parameter {name}", value)
    return found


def run(model: VoxtralRealtime, see: Any) -> None:
    """Two streams of different delays: blocks, single rows, a grown ring, renumbered positions."""
    random = np.random.default_rng(0)
    states = [model.encoder_state() for _ in range(2)]
    streams = [(model.gains(delay), model.decoder_caches()) for delay in (6, 30)]
    for positions in ((140, 3), (140, 1)):
        mels = [random.normal(0.2, 0.4, (8 * n, 128)).astype(np.float32) for n in positions]
        heard = model.encode_all(mels, states)
        for number, (n, audio) in enumerate(zip(positions, heard, strict=True)):
            see("embeddings", audio)
            gains, caches = streams[number]
            model.decode(mx.arange(n), audio, gains, caches)
        rows = [DecoderRows([7], a[:, :1], *stream) for a, stream in zip(heard, streams, strict=True)]
        hidden = model.decode_all(rows)
        see("hidden", hidden)
        see("logits", model.language_model.logits(hidden), mx.float32)
        caches = [c for s in states for c in s.caches] + [c for _, own in streams for c in own]
        for cache in caches:
            see("rings", cache.ring)
            cache.angle += 2000  # hours have passed
        for state in states:
            see("tails", state.mel_tail)
            see("tails", state.conv_tail)
    for gains, _ in streams:
        see("gains", gains[0])


@contextmanager
def watched(model: VoxtralRealtime, see: Any) -> Iterator[None]:
    """Meanwhile what each module is given and gives is seen under the module's path."""
    paths = {id(module): path for path, module in model.named_modules()}
    with pytest.MonkeyPatch.context() as patch:
        for kind in {type(module) for module in model.modules()}:
            original = kind.__call__

            def call(module: Any, *args: Any, original: Any = original) -> Any:
                given = original(module, *args)
                path = paths[id(module)]
                if not any(name in path for name in APART):
                    for array in (*args, given):
                        see(path, array)
                return given

            patch.setattr(kind, "__call__", call)
        embedding = type(model.language_model.embed_tokens)
        product = embedding.as_linear

        def head(module: Any, x: Any) -> Any:
            given = product(module, x)
            see("head", given)
            return given

        patch.setattr(embedding, "as_linear", head)
        yield
