"""How fast the memory of known devices is read, by their makers; data only.

The figures are those of Apple's "Tech Specs" pages and NVIDIA's data sheets as we knew them; they were not
looked up again for this table. Where variants of a chip differ in nothing that MLX tells (M3 Max, M4 Max,
M5 Max), the fastest one stands here: of the others a share of the limit comes out too small, and
`--bandwidth` sets it right.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bandwidth:
    """How fast memory is read, and who says so."""

    gb_s: float
    """10^9 bytes in a second."""
    source: str


APPLE, NVIDIA = "Apple's specification", "NVIDIA's data sheet"
_TABLE = {
    APPLE: {
        **{"M1 Ultra": 800, "M1 Max": 400, "M1 Pro": 200, "M1": 68},
        **{"M2 Ultra": 800, "M2 Max": 400, "M2 Pro": 200, "M2": 100},
        **{"M3 Ultra": 819, "M3 Max": 400, "M3 Pro": 150, "M3": 100},
        **{"M4 Max": 546, "M4 Pro": 273, "M4": 120},
        **{"M5 Max": 614, "M5 Pro": 307, "M5": 153},
    },
    NVIDIA: {
        **{
            "B200": 8000,
            "GH200 480GB": 4000,
            "H200": 4800,
            "H100 NVL": 3900,
            "H100 PCIe": 2000,
            "H100": 3350,
        },
        **{"A100-SXM4-80GB": 2039, "A100 80GB PCIe": 1935, "A100": 1555, "A10": 600, "A40": 696},
        **{"L40S": 864, "L40": 864, "L4": 300, "T4": 320, "V100": 900, "GB10": 273},
        **{"RTX 5090": 1792, "RTX 4090": 1008, "RTX 3090": 936, "RTX 6000 Ada": 960},
    },
}
BANDWIDTHS = {
    device: Bandwidth(float(gb_s), source)
    for source, devices in _TABLE.items()
    for device, gb_s in devices.items()
}
"""By a part of the name that MLX gives the device."""


def known_bandwidth(name: str) -> Bandwidth | None:
    """That of the device with the longest name which is a part of `name`, in whole words."""
    words = f" {name} "
    found = [device for device in BANDWIDTHS if f" {device} " in words]
    return BANDWIDTHS[max(found, key=len)] if found else None
