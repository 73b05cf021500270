"""The generated checkpoint has the upstream's names, shapes and dtype."""

import importlib.util

from small_sources import ROOT, UPSTREAM_PARAMS, upstream_header

from voxrun.checkpoint.config import ModelConfig
from voxrun.model.voxtral import parameter_shapes

_spec = importlib.util.spec_from_file_location("make_checkpoint", ROOT / "benchmarks/make_checkpoint.py")
make_checkpoint = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make_checkpoint)


def test_the_generated_header_is_the_upstreams():
    config = ModelConfig.from_dict(UPSTREAM_PARAMS, "params.json")
    made = [make_checkpoint.stored(*item) for item in parameter_shapes(config).items()]
    assert sorted(made, key=lambda tensor: tensor.name) == upstream_header()
