"""The text the decoder reads, with mistakes.

The decoder learns to cope with its own mistakes: some of the previous text tokens are random, some
words are missing, and some tokens are what the model itself would have written there.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from tiny.training.config import BOS, FIRST_TEXT, LEFT_PAD, PAD, WORD, ModelConfig


def history(labels: Tensor, delays: Tensor, midstream: Tensor) -> Tensor:
    """Decoder input [b, n]: the labels one position later.

    Before them BOS and pads over the prompt, which is as long as the delay in `delays` [b] says; a
    sequence that is `midstream` [b] has neither.
    """
    ids = F.pad(labels[:, :-1], (1, 0), value=PAD)
    prompt = torch.arange(labels.shape[1]) <= (LEFT_PAD + delays)[:, None]
    ids = torch.where(prompt & ~midstream[:, None], PAD, ids)
    ids[~midstream, 0] = BOS
    return ids


def random_text(ids: Tensor, share: float) -> Tensor:
    """Replace a share of the text tokens by random ones."""
    other = torch.randint_like(ids, FIRST_TEXT, ModelConfig.vocab_size)
    return torch.where((ids >= FIRST_TEXT) & _chance(share, *ids.shape), other, ids)


def drop_words(ids: Tensor, share: float) -> Tensor:
    """Replace a share of the words by pads, as if the model had missed them."""
    number = torch.cumsum(ids == WORD, 1)  # of the word at each position, from 1; 0 before
    dropped = _chance(share, len(ids), int(number.max()) + 1)
    dropped[:, 0] = False
    written = (ids == WORD) | (ids >= FIRST_TEXT)
    return torch.where(torch.gather(dropped, 1, number) & written, PAD, ids)


def own_text(ids: Tensor, guesses: Tensor, share: float) -> Tensor:
    """Replace a share of the text tokens by the model's guesses [b, n] for the next position.

    Only where both are text: the timing of the history stays true.
    """
    own = torch.cat([ids[:, :1], guesses[:, :-1]], 1)
    both = (ids >= FIRST_TEXT) & (own >= FIRST_TEXT)
    return torch.where(both & _chance(share, *ids.shape, device=ids.device), own, ids)


def _chance(share: float, *size: int, device: torch.device | None = None) -> Tensor:
    return torch.rand(*size, device=device) < share
