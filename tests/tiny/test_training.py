"""The pure parts of the tiny model's training; tests that need torch are marked `oracle`."""

import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tiny.training import clips, rope, sentences, sequences, speech, tokenizer, transcripts
from tiny.training.align import warp
from tiny.training.config import DELAY, LEFT_PAD, PAD, SILENCE, WORD, ModelConfig
from tiny.training.logmel import logmel
from tiny.training.upstream import upstream_params
from tiny.training.workspace import TINY

CHECKPOINT = TINY / "checkpoint"
ENCODER = "mm_streams_embeddings.embedding_module.whisper_encoder."
UPSTREAM_PATTERNS = {
    "layers.{i}.ada_rms_norm_t_cond.0.weight",
    "layers.{i}.ada_rms_norm_t_cond.2.weight",
    "layers.{i}.attention.wk.weight",
    "layers.{i}.attention.wo.weight",
    "layers.{i}.attention.wq.weight",
    "layers.{i}.attention.wv.weight",
    "layers.{i}.attention_norm.weight",
    "layers.{i}.feed_forward.w1.weight",
    "layers.{i}.feed_forward.w2.weight",
    "layers.{i}.feed_forward.w3.weight",
    "layers.{i}.ffn_norm.weight",
    "mm_streams_embeddings.embedding_module.audio_language_projection.0.weight",
    "mm_streams_embeddings.embedding_module.audio_language_projection.2.weight",
    "mm_streams_embeddings.embedding_module.tok_embeddings.weight",
    ENCODER + "conv_layers.0.conv.bias",
    ENCODER + "conv_layers.0.conv.weight",
    ENCODER + "conv_layers.1.conv.bias",
    ENCODER + "conv_layers.1.conv.weight",
    ENCODER + "transformer.layers.{i}.attention.wk.weight",
    ENCODER + "transformer.layers.{i}.attention.wo.bias",
    ENCODER + "transformer.layers.{i}.attention.wo.weight",
    ENCODER + "transformer.layers.{i}.attention.wq.bias",
    ENCODER + "transformer.layers.{i}.attention.wq.weight",
    ENCODER + "transformer.layers.{i}.attention.wv.bias",
    ENCODER + "transformer.layers.{i}.attention.wv.weight",
    ENCODER + "transformer.layers.{i}.attention_norm.weight",
    ENCODER + "transformer.layers.{i}.feed_forward.w1.weight",
    ENCODER + "transformer.layers.{i}.feed_forward.w2.bias",
    ENCODER + "transformer.layers.{i}.feed_forward.w2.weight",
    ENCODER + "transformer.layers.{i}.feed_forward.w3.weight",
    ENCODER + "transformer.layers.{i}.ffn_norm.weight",
    ENCODER + "transformer.norm.weight",
    "norm.weight",
}


def committed_shapes() -> dict[str, list[int]]:
    """Name -> shape of the committed weights, from the file's header alone."""
    with (CHECKPOINT / "consolidated.safetensors").open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return {name: entry["shape"] for name, entry in header.items() if name != "__metadata__"}


def patterns(names: set[str]) -> set[str]:
    return {re.sub(r"layers\.\d+\.(?!conv)", "layers.{i}.", name) for name in names}


# Upstream's layout


def test_committed_names_are_the_33_patterns():
    assert len(UPSTREAM_PATTERNS) == 33
    assert patterns(set(committed_shapes())) == UPSTREAM_PATTERNS


def test_committed_params_are_those_of_the_config():
    committed = json.loads((CHECKPOINT / "params.json").read_text(encoding="utf-8"))
    assert upstream_params(ModelConfig()) == committed


@pytest.mark.parametrize(("heads", "head_dim"), [(1, 2), (2, 6), (4, 64)])
def test_rotary_permutations_are_inverse(heads, head_dim):
    halves = rope.halves_from_interleaved(heads, head_dim)
    interleaved = rope.interleaved_from_halves(heads, head_dim)
    rows = np.arange(heads * head_dim)
    np.testing.assert_array_equal(rows[halves][interleaved], rows)
    np.testing.assert_array_equal(rows[interleaved][halves], rows)


def test_halves_hold_the_first_elements_of_all_pairs_first():
    assert rope.halves_from_interleaved(2, 4).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


# Sequences, labels, texts


def test_a_word_is_written_after_the_delay():
    labels = sequences.targets([(0.5, [70, 71]), (0.6, [72])], positions=60)
    first = LEFT_PAD + DELAY + 6  # 0.5 s is in the seventh position
    assert labels[first : first + 5].tolist() == [WORD, 70, 71, WORD, 72]
    assert (np.delete(labels, range(first, first + 5)) == PAD).all()


def test_a_word_that_does_not_fit_is_left_out():
    assert (sequences.targets([(1.6, [70, 71, 72])], positions=61) == PAD).all()


def test_silence_is_the_floor_of_the_log_mel():
    mel = logmel(np.zeros(1_600, np.float32))
    assert mel.shape == (128, 10)
    assert (mel == np.float32(SILENCE)).all()


def test_warp_follows_the_diagonal_of_equal_sequences():
    features = np.arange(6.0)
    distance = np.abs(features[:, None] - features)
    assert warp(distance).tolist() == [0, 1, 2, 3, 4, 5]
    twice = np.repeat(features, 2)
    assert warp(np.abs(twice[:, None] - features)).tolist() == [0, 2, 4, 6, 8, 10]


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Press 5 to leave a message.", "press five to leave a message"),
        ("the party's # is [beep] 10 o'clock a.m.", "the party's pound is one zero oclock a m"),
        ("'quoted' re-record", "quoted re record"),
    ],
)
def test_transcripts_are_normalised(text, normal):
    assert transcripts.normalise(text) == normal


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "zero"), (40, "forty"), (215, "two hundred fifteen"), (10_300, "ten thousand three hundred")],
)
def test_numbers_in_words(value, words):
    assert sentences.number(value) == words


def test_words_that_flite_splits_are_joined():
    spoken = [("you", 0.1, 0.2), ("'re", 0.2, 0.3), ("_a", 0.3, 0.4)]
    assert speech.join_words("you're a", spoken) == [("you're", 0.1, 0.3), ("a", 0.3, 0.4)]
    assert speech.join_words("you", spoken) is None
    assert speech.join_words("you're a star", spoken) is None


def test_bpe_merges_the_most_frequent_pair_first():
    tokens = tokenizer.learn(tokenizer.count_words(["one one two"]), 258)
    assert tokens[:256] == [bytes([value]) for value in range(256)]
    assert tokens[256:] == [b"on", b"one"]


def test_tekken_keeps_all_but_the_text_tokens():
    made = tokenizer.tekken([bytes([value]) for value in range(256)])
    committed = json.loads((CHECKPOINT / "tekken.json").read_text(encoding="utf-8"))
    assert made["special_tokens"] == committed["special_tokens"]
    assert made["config"]["default_vocab_size"] == 64 + 256
    assert made["vocab"] == committed["vocab"][:256]


def test_joined_clips_are_separated_by_silence():
    ones = np.ones(100, np.int16)
    joined = clips.joined([ones, ones], (0.5, 0.5), random.Random(0))
    assert len(joined) == 8_200
    assert not joined[100:-100].any()


# With torch


@pytest.mark.oracle
def test_exported_names_and_shapes_are_the_committed_ones():
    pytest.importorskip("torch")
    from tiny.training.export import upstream_tensors
    from tiny.training.model import TinyVoxtral

    exported = upstream_tensors(TinyVoxtral().state_dict())
    assert {name: list(tensor.shape) for name, tensor in exported.items()} == committed_shapes()


@pytest.mark.oracle
def test_viterbi_skips_optional_silence():
    pytest.importorskip("torch")
    from tiny.training.realign import viterbi

    likelihoods = np.full((6, 5), -5.0)
    likelihoods[[0, 1, 2, 3, 4, 5], [0, 1, 1, 3, 3, 4]] = 0.0
    path, score = viterbi(likelihoods, np.array([True, False, True, False, True]))
    assert path.tolist() == [0, 1, 1, 3, 3, 4]
    assert score == 0


@pytest.mark.oracle
def test_model_computes_what_transformers_computes():
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from safetensors.torch import load_file

    from tiny.training.model import TinyVoxtral
    from tiny.training.oracle import load_model
    from tiny.training.upstream import upstream_name

    tensors = load_file(CHECKPOINT / "consolidated.safetensors")
    ours = TinyVoxtral().eval()
    ours.load_state_dict(
        {
            name: tensors[upstream_name(name)].float() if upstream_name(name) in tensors else parameter
            for name, parameter in ours.state_dict().items()
        }
    )
    generator = torch.Generator().manual_seed(0)
    positions = 200  # 800 encoder frames: longer than the window of 750
    mel = torch.rand(1, 128, 8 * positions, generator=generator) * 2 - 0.6
    ids = torch.randint(64, 1024, (1, positions), generator=generator)
    with torch.no_grad():
        logits = ours.decode(ours.encode(mel)[1], ids)
        theirs = load_model(CHECKPOINT)(input_ids=ids, input_features=mel, num_delay_tokens=DELAY).logits
    assert (logits - theirs).abs().max() < 1e-4 * theirs.abs().max()


@pytest.mark.oracle
def test_committed_checkpoint_understands_digits():
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from tiny.training.oracle import load_transcriber

    transcribe = load_transcriber(CHECKPOINT)
    samples, _ = soundfile.read(clips.CLIPS / "digits" / "digits-1.flac", dtype="float32")
    assert transcribe(samples) == "four six seven"


def test_checkpoint_is_small():
    size = sum(path.stat().st_size for path in Path(CHECKPOINT).iterdir())
    size += sum(path.stat().st_size for path in clips.CLIPS.rglob("*") if path.is_file())
    assert size < 15e6
