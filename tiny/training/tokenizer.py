"""Stage `tokenizer`: a byte-level BPE of 960 tokens in upstream's tekken.json layout."""

import base64
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

from tiny.training import sentences, transcripts
from tiny.training.config import FIRST_TEXT, ModelConfig
from tiny.training.split import load_split
from tiny.training.workspace import TINY, Workspace, written_whole

SIZE = ModelConfig.vocab_size - FIRST_TEXT
PROMPT_COUNT = 3  # a word of a real prompt counts as often as three of synthetic sentences


def output(work: Workspace) -> Path:
    """The tokenizer of this run."""
    return work.path("tekken.json")


def run(work: Workspace) -> str:
    """Learn the merges on the training texts, or take those of the checkpoint to start from."""
    if work.start:
        with written_whole(output(work)) as path:
            shutil.copyfile(work.needs(work.start / "tekken.json", "export"), path)
        return f"that of {work.start}"
    known = transcripts.load(work)
    prompts = [known[key] for key in load_split().training(sorted(known))]
    counts = count_words(sentences.load(work))
    for word, count in count_words(prompts).items():
        counts[word] += PROMPT_COUNT * count
    tokens = learn(counts, SIZE)
    with written_whole(output(work)) as path:
        path.write_text(json.dumps(tekken(tokens), indent=1), encoding="utf-8")
    return f"{len(tokens)} tokens"


def count_words(texts: Iterable[str]) -> Counter[str]:
    """Words with their leading space, as tekken's pattern splits lower-case English."""
    return Counter(word for text in texts for word in re.findall(r" ?[a-z]+|'[a-z]+", f" {text}"))


def learn(counts: Counter[str], size: int) -> list[bytes]:
    """The 256 bytes, then the most frequent pairs, merged one by one, as a list of `size`."""
    tokens = [bytes([value]) for value in range(256)]
    split = {word: [bytes([value]) for value in word.encode()] for word in counts}
    while len(tokens) < size:
        pairs: Counter[tuple[bytes, bytes]] = Counter()
        for word, parts in split.items():
            for pair in pairwise(parts):
                pairs[pair] += counts[word]
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        if b"".join(best) not in tokens:
            tokens.append(b"".join(best))
        split = {word: merged(parts, best) for word, parts in split.items()}
    return tokens


def merged(parts: list[bytes], pair: tuple[bytes, bytes]) -> list[bytes]:
    """`parts` with every occurrence of `pair` joined, from left to right."""
    result: list[bytes] = []
    for part in parts:
        if result and (result[-1], part) == pair:
            result[-1] += part
        else:
            result.append(part)
    return result


def tekken(tokens: list[bytes]) -> dict[str, Any]:
    """The committed tekken.json (pattern, special tokens, audio format) with other text tokens."""
    committed = json.loads((TINY / "checkpoint" / "tekken.json").read_text(encoding="utf-8"))
    sizes = {
        "num_vocab_tokens": len(tokens),
        "default_vocab_size": FIRST_TEXT + len(tokens),
    }
    vocab = [
        {
            "rank": rank,
            "token_bytes": base64.b64encode(token).decode(),
            "token_str": token.decode() if token.isascii() else None,
        }
        for rank, token in enumerate(tokens)
    ]
    return {**committed, "config": {**committed["config"], **sizes}, "vocab": vocab}
