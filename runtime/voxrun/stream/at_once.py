"""How many sessions to compute at once, if nobody says so."""

import os
from contextlib import suppress
from pathlib import Path

from voxrun.checkpoint.config import TransformerConfig
from voxrun.model.cache import GROWTH
from voxrun.model.voxtral import VoxtralRealtime

MOST = 8
"""More make nothing faster."""
SHARE = 0.5
"""Of the memory, for the sessions; the weights need the rest."""
CGROUP = Path("/sys/fs/cgroup/memory.max")


def sessions_at_once(model: VoxtralRealtime) -> int:
    """Up to MOST, as far as half of the memory is enough for them; at least 1."""
    return max(1, min(MOST, int(SHARE * memory()) // session_bytes(model)))


def session_bytes(model: VoxtralRealtime) -> int:
    """Memory that a session needs, after some minutes: keys and values of full windows, with room to grow."""
    stacks = model.config.encoder, model.config.decoder
    return model.dtype.size * sum(_cached(stack, stack.sliding_window) for stack in stacks)


def decoder_bytes(model: VoxtralRealtime, positions: int) -> int:
    """Memory of the decoder's caches for so many positions, with room to grow."""
    return model.dtype.size * _cached(model.config.decoder, positions)


def _cached(stack: TransformerConfig, positions: int) -> int:
    """Numbers in the caches of a stack, which have room for so many positions and GROWTH new ones."""
    return 2 * stack.n_layers * stack.n_kv_heads * stack.head_dim * (positions + GROWTH)


def memory() -> int:
    """Bytes of memory that the process may use, of the machine's or its container's."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):  # no such limit, or `max`
        return min(machine, int(CGROUP.read_text(encoding="ascii")))
    return machine
