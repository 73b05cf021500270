"""The pure parts of the tiny model's training; tests that need torch are marked `oracle`."""

import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tiny.training import clips, rope, sentences, speech, tokenizer, transcripts
from tiny.training.__main__ import default_stages, main
from tiny.training.align import warp
from tiny.training.config import DELAY, PHASES, SILENCE, ModelConfig
from tiny.training.logmel import logmel
from tiny.training.upstream import model_config, upstream_params
from tiny.training.workspace import TINY, Workspace

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


def test_sizes_are_read_from_params():
    sizes = ModelConfig(dim=128, n_kv_heads=1, sliding_window=7, encoder_layers=2, encoder_window=9)
    assert model_config(upstream_params(sizes)) == sizes


@pytest.mark.parametrize(("heads", "head_dim"), [(1, 2), (2, 6), (4, 64)])
def test_rotary_permutations_are_inverse(heads, head_dim):
    halves = rope.halves_from_interleaved(heads, head_dim)
    interleaved = rope.interleaved_from_halves(heads, head_dim)
    rows = np.arange(heads * head_dim)
    np.testing.assert_array_equal(rows[halves][interleaved], rows)
    np.testing.assert_array_equal(rows[interleaved][halves], rows)


def test_halves_hold_the_first_elements_of_all_pairs_first():
    assert rope.halves_from_interleaved(2, 4).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


# Texts and sound


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


def test_phases_start_from_phases_before_them():
    known = []
    for phase in PHASES:
        assert set(phase.start) <= set(known)
        assert phase.steps <= (phase.cosine_steps or phase.steps)
        assert sum(shape.share for shape in phase.shapes) == pytest.approx(1)
        known.append(phase.name)
    assert known == list("abcdefgh")


def test_a_continued_run_adopts_the_first_edition():
    from_nothing, continued = default_stages(continued=False), default_stages(continued=True)
    assert "adopt" in continued and "adopt" not in from_nothing
    assert not {"train-a", "train-b", "train-c"} & set(continued)
    assert [name for name in from_nothing if name in continued] == continued[1:]


def test_runs_from_different_checkpoints_are_kept_apart(tmp_path):
    folders = []
    for content in (b"one", b"other"):
        checkpoint = tmp_path / content.decode()
        checkpoint.mkdir()
        (checkpoint / "consolidated.safetensors").write_bytes(content)
        folders.append(Workspace(start=checkpoint).run)
    assert len({*folders, Workspace().run}) == 3


def test_a_start_that_is_no_checkpoint_is_refused_before_any_stage(tmp_path, capsys):
    assert main(["--start", str(tmp_path), "--data", str(tmp_path / "data")]) == 1
    assert "is no checkpoint: it has no consolidated.safetensors" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


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
@pytest.mark.parametrize("delay", [1, DELAY, 30])
def test_model_computes_what_transformers_computes(delay):
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from tiny.training.export import load_exported
    from tiny.training.oracle import load_model

    ours = load_exported(CHECKPOINT).eval()
    generator = torch.Generator().manual_seed(0)
    positions = 300  # longer than the windows: 250 positions, 750 encoder frames
    mel = torch.rand(1, 128, 8 * positions, generator=generator) * 2 - 0.6
    ids = torch.randint(64, 1024, (1, positions), generator=generator)
    with torch.no_grad():
        logits = ours.decode(ours.encode(mel)[1], ids, torch.tensor([delay]))
        theirs = load_model(CHECKPOINT)(input_ids=ids, input_features=mel, num_delay_tokens=delay).logits
    assert (logits - theirs).abs().max() < 1e-4 * theirs.abs().max()


@pytest.mark.oracle
def test_batched_decoding_writes_what_transformers_writes():
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    from tiny.training.decode import transcribe
    from tiny.training.export import load_exported
    from tiny.training.oracle import load_transcriber

    names = ("prompts/vm-youhave", "digits/digits-1", "digits/digits-2")
    sounds = [soundfile.read(clips.CLIPS / f"{name}.flac", dtype="float32")[0] for name in names]
    tekken = Tekkenizer.from_file(str(CHECKPOINT / "tekken.json"))
    heard = transcribe(load_exported(CHECKPOINT).eval(), tekken, sounds, (3, 12))
    for delay in (3, 12):
        oracle = load_transcriber(CHECKPOINT, delay)
        assert heard[delay] == [oracle(samples) for samples in sounds]
    assert heard[3][1] == "four six seven"


def test_checkpoint_is_small():
    size = sum(path.stat().st_size for path in Path(CHECKPOINT).iterdir())
    size += sum(path.stat().st_size for path in clips.CLIPS.rglob("*") if path.is_file())
    assert size < 15e6
