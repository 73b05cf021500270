"""Results that nobody measured."""

from dataclasses import replace
from typing import Any

from voxrun.bench.bandwidths import Bandwidth
from voxrun.bench.results import Heard, Loading, Machine, Memory, Results, Spread, Weights


def spread(seconds: float) -> Spread:
    """With this median."""
    return Spread(seconds, 0.5 * seconds, 2 * seconds, 3)


def results(**changes: Any) -> Results:
    """Of a device that reads 100 GB/s: a pass of one row reads 2 GB, so its limit is 20 ms."""
    plain = Results(
        machine=Machine("CPU", "Test chip", "voxrun's kernels", 2, 2**34, "Linux 6 x86_64", {"mlx": "1"}, {}),
        weights=Weights(
            sha256="ab" * 32,
            stored="4-bit affine in groups of 64, computed in float32",
            dtype="float32",
            total=2_500_000_000,
            decoder=1_800_000_000,
            head=200_000_000,
            encoder=500_000_000,
            encoder_products=2_500_000_000,
            window_entry=1_000_000,
            window=1000,
        ),
        loading=Loading(0.5, 200_000_000, 1000),
        bandwidth=Bandwidth(100.0, "measured here"),
        read=Bandwidth(100.0, "measured here"),
        position=0.08,
        steps={1: spread(0.04), 4: spread(0.05), 16: spread(0.16)},
        full={1: spread(0.06)},
        blocks={16: spread(0.16), 64: spread(0.32)},
        difference={4: 1e-6, 16: 2e-6},
        first_token=spread(0.5),
        heard=Heard(False, 4.0, 8.0, 2.0, 60, 30, "pwt" * 20),
        memory=Memory(300_000_000, 1, 2, 3),
        primitives=None,
    )
    return replace(plain, **changes)
