"""What training does to sound, history and weights; left out where torch is not installed."""

from dataclasses import replace

import numpy as np
import pytest
from takes import dataset

from tiny.training.config import (
    BOS,
    FIRST_TEXT,
    LEFT_PAD,
    MELS_PER_POSITION,
    PAD,
    PHASES,
    SILENCE,
    WORD,
    ModelConfig,
    Shape,
)

try:
    import torch
except ModuleNotFoundError:
    torch = None
pytestmark = [pytest.mark.oracle, pytest.mark.skipif(torch is None, reason="needs torch")]

SECOND_EDITION, THIRD_EDITION = PHASES[-2:]


def batch(positions=128, count=6, phase=SECOND_EDITION, seed=0):
    from tiny.training.batches import make_batch
    from tiny.training.sequences import Composer

    torch.manual_seed(seed)
    composer = Composer(dataset(), phase.sound, seed)
    return make_batch(composer, phase, Shape(positions, count, 1.0))


def uncorrupted(phase):
    return replace(phase, history=replace(phase.history, random=0.0, dropped=0.0))


def random_matrix(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# Batches


def test_each_sequence_is_written_at_three_delays():
    made = batch(phase=uncorrupted(SECOND_EDITION))
    assert made.rows_each == 3
    assert made.labels.shape == made.ids.shape == made.counted.shape == (18, 128)
    for row, (ids, labels, delay) in enumerate(zip(made.ids, made.labels, made.delays, strict=True)):
        sequence = made.mel[row // 3]
        midstream = not (sequence[:, : LEFT_PAD * MELS_PER_POSITION] == SILENCE).all()
        free = 1 if midstream else LEFT_PAD + int(delay) + 1
        assert ids[0] == (PAD if midstream else BOS)
        assert (ids[1:free] == PAD).all()
        assert (ids[free:] == labels[free - 1 : -1]).all()


def test_augmented_sound_is_silent_outside_and_finite():
    first, second = batch(phase=PHASES[0]), batch()
    for made in (first, second):
        assert torch.isfinite(made.mel).all()
        assert made.mel.min() == SILENCE
    assert (first.mel[:, :, : LEFT_PAD * MELS_PER_POSITION] == SILENCE).all()


def test_a_warped_sound_has_its_bins_elsewhere():
    from tiny.training.augment import warped

    mel = np.repeat(np.linspace(0, 1.27, 128, dtype=np.float32)[:, None], 5, 1)
    assert warped(mel, 0.0) is mel
    torch.manual_seed(0)
    stretches = [warped(mel, 0.1)[100, 0] / mel[100, 0] for _ in range(50)]
    assert 0.9 <= min(stretches) < 0.95 < 1.05 < max(stretches) <= 1.1


def test_workers_make_the_batches_of_their_steps():
    from tiny.training.feed import Steps, feed

    steps = Steps(dataset(), replace(THIRD_EDITION, shapes=(Shape(128, 2, 0.5), Shape(176, 1, 0.5))))
    here, there = feed(steps, workers=0, pinned=False), feed(steps, workers=2, pinned=False)
    made = [(next(here), next(there)) for _ in range(12)]
    for one, other in made:
        assert torch.equal(one.mel, other.mel) and torch.equal(one.ids, other.ids)
    assert len({one.mel.shape for one, _ in made}) == 2


def test_history_loses_words_and_gets_other_tokens():
    from tiny.training.history import drop_words, own_text, random_text

    ids = torch.tensor([[BOS, PAD, WORD, 70, 71, PAD, WORD, 72]] * 200)
    dropped = drop_words(ids, 0.3)
    first, second = (dropped[:, 2] == PAD), (dropped[:, 6] == PAD)
    assert (dropped[first, 3:5] == PAD).all() and (dropped[~first] == ids[~first])[:, :5].all()
    assert 0.2 < first.float().mean() < 0.4 and not torch.equal(first, second)
    other = random_text(ids, 0.5)
    assert (other[:, [0, 1, 2, 5, 6]] == ids[:, [0, 1, 2, 5, 6]]).all()
    assert 0.4 < (other[:, [3, 4, 7]] != ids[:, [3, 4, 7]]).float().mean() < 0.6
    guesses = torch.full_like(ids, 99)
    guesses[:, 3] = PAD  # no text where 71 stands: the timing stays
    assert own_text(ids, guesses, 1.0)[0].tolist() == [BOS, PAD, WORD, 99, 71, PAD, WORD, 99]


def test_text_loss_is_the_weighted_mean_of_what_counts():
    from tiny.training.objective import pad_weights, text_loss

    made = batch()
    assert pad_weights(torch.tensor([1, 2, 3, 6]), SECOND_EDITION).tolist() == pytest.approx(
        [1, 0.8, 0.7, 0.5]
    )
    logits = random_matrix(*made.labels.shape, 1024)
    logits[..., PAD] += 5  # pads are easy
    total = weights = 0.0
    for row, delay in enumerate(made.delays.tolist()):
        for at in np.flatnonzero(made.counted[row].numpy()):
            label = int(made.labels[row, at])
            weight = {1: 1.0, 2: 0.8, 3: 0.7}.get(delay, 0.5) if label == PAD else 1.0
            total -= weight * logits[row, at].log_softmax(-1)[label].item()
            weights += weight
    assert text_loss(logits, made, SECOND_EDITION).item() == pytest.approx(total / weights, rel=1e-4)


# The network


def test_window_mask_is_banded():
    from tiny.training.model import window_mask

    assert window_mask(range(2, 4), range(0, 4), 2).tolist() == [
        [False, True, True, False],
        [False, False, True, True],
    ]


def test_block_by_block_attention_is_that_of_the_whole_mask():
    from tiny.training.model import BLOCK, attend, window_mask

    length = 2 * BLOCK + 30
    query, key, value = (random_matrix(1, 2, length, 8, seed=seed) for seed in range(3))
    mask = window_mask(range(length), range(length), 100)
    whole = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    torch.testing.assert_close(attend(query, key, value, 100), whole, rtol=1e-4, atol=1e-5)


def test_batched_decoding_writes_what_the_model_predicts_after_it():
    from tiny.training.decode import decode
    from tiny.training.model import TinyVoxtral

    model = TinyVoxtral(ModelConfig(sliding_window=20)).eval()
    model.tok_embeddings.weight.data[:FIRST_TEXT] = 0  # so that every guess is text
    sounds, delays = [random_matrix(70, 256), random_matrix(60, 256, seed=1)], [3, 8]
    for sound, delay, written in zip(sounds, delays, decode(model, sounds, delays), strict=True):
        first = LEFT_PAD + delay + 1
        assert [position for position, _ in written] == list(range(first, len(sound)))
        tokens = [token for _, token in written]
        ids = torch.tensor([[BOS] + [PAD] * (first - 1) + tokens])
        with torch.no_grad():
            guesses = model.decode(sound[None], ids, torch.tensor([delay])).argmax(-1)
        assert guesses[0, first - 1 : -1].tolist() == tokens


# Weights


@pytest.mark.parametrize("shape", [(24, 40), (40, 24)])
def test_muon_takes_the_steps_of_a_float64_reference(shape):
    from tiny.training.muon import Muon

    weight = torch.nn.Parameter(random_matrix(*shape))
    expected, momentum = weight.detach().numpy().astype(np.float64), np.zeros(shape)
    optimizer = Muon([{"params": [weight]}], weight_decay=0.03)
    optimizer.param_groups[0]["lr"] = 0.01
    for seed in (1, 2, 3):
        weight.grad = random_matrix(*shape, seed=seed)
        optimizer.step()
        gradient = weight.grad.numpy().astype(np.float64)
        momentum = 0.95 * momentum + 0.05 * gradient
        direction = 0.05 * gradient + 0.95 * momentum
        left, values, right = np.linalg.svd(direction, full_matrices=False)
        values /= np.linalg.norm(values)
        for _ in range(4):  # Newton-Schulz acts on the singular values alone
            values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
        update = 0.2 * 40**0.5 * (left * values) @ right
        expected = expected * (1 - 0.01 * 0.03) - 0.01 * update
    np.testing.assert_allclose(weight.detach().numpy(), expected, atol=1e-5)


def test_muon_has_the_hidden_matrices_and_the_encoder_learns_slower():
    from tiny.training.model import TinyVoxtral
    from tiny.training.optimizers import make_optimizers, set_rate

    model = TinyVoxtral()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    adamw, muon = make_optimizers(model, SECOND_EDITION)
    set_rate([adamw, muon], 1.0)
    rates = {
        names[id(parameter)]: group["lr"]
        for optimizer in (adamw, muon)
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert len(rates) == len(names)
    assert all(rate == (0.5 if name.startswith("whisper") else 1.0) for name, rate in rates.items())
    of_muon = {names[id(parameter)] for group in muon.param_groups for parameter in group["params"]}
    assert "layers.0.attention.wq.weight" in of_muon
    assert not {"tok_embeddings.weight", "phone_head.weight", "norm.weight"} & of_muon


def test_rate_rises_then_falls_to_a_hundredth():
    from tiny.training.optimizers import rate

    assert rate(0, step=0, warmup=10) == pytest.approx(0.1)
    assert rate(0.5, step=50, warmup=10) == pytest.approx(0.505)
    assert rate(1, step=100, warmup=10) == pytest.approx(0.01)


def test_running_average_follows_the_weights():
    from tiny.training.averaging import RunningAverage

    model = torch.nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(0.0)
    last, slow = RunningAverage(model, 0.0), RunningAverage(model, 0.98)
    model.weight.data.fill_(1.0)
    for average in (last, slow):
        average.update(model)
    assert last.state["weight"].item() == 1.0
    assert slow.state["weight"].item() == pytest.approx(9 / 11)  # the first steps count more
    for _ in range(1000):
        slow.update(model)
    assert slow.state["weight"].item() == pytest.approx(1.0)


def test_a_phase_starts_from_the_mean_of_its_starts(tmp_path):
    from tiny.training import train
    from tiny.training.model import TinyVoxtral
    from tiny.training.workspace import Workspace

    work = Workspace(data=tmp_path)
    states = {name: TinyVoxtral().state_dict() for name in SECOND_EDITION.start}
    for name, state in states.items():
        train.weights_path(work, name).parent.mkdir(exist_ok=True)
        torch.save(state, train.weights_path(work, name))
    start = train.initial_state(work, SECOND_EDITION)
    for name, value in start.items():
        one, other = (state[name] for state in states.values())
        torch.testing.assert_close(value, (one + other) / 2)
    assert train.initial_state(work, THIRD_EDITION) is None


@pytest.mark.parametrize("seconds", [None, 3.0])
def test_a_phase_lasts_as_long_as_asked_and_keeps_its_weights(tmp_path, seconds, capsys):
    from tiny.training.log import Log
    from tiny.training.train import Length, train

    phase = replace(THIRD_EDITION, shapes=(Shape(96, 1, 1.0),), bfloat16=False, average=0.0)
    log = Log("h", tmp_path / "phase-h.pt")
    state = train(phase, dataset(), None, Length(4, seconds), log)
    kept = torch.load(tmp_path / "phase-h-snapshot.pt")
    assert kept["step"] == 4 if seconds is None else kept["step"] >= 1
    assert all(torch.equal(kept["average"][name], value) for name, value in state.items())
    assert all(torch.equal(kept["last"][name], value) for name, value in state.items())
    assert f"step {kept['step']}, 1" in capsys.readouterr().err


def test_a_few_steps_lower_the_loss():
    from tiny.training.model import TinyVoxtral
    from tiny.training.objective import losses
    from tiny.training.optimizers import make_optimizers, set_rate
    from tiny.training.train import update

    made = batch(count=2)
    model = TinyVoxtral()
    optimizers = make_optimizers(model, SECOND_EDITION)
    set_rate(optimizers, 2e-3)
    seen = []
    for _ in range(6):
        text_loss, phone_loss = losses(model, made, SECOND_EDITION, own_history=0.4)
        seen.append(text_loss.item())
        update(model, optimizers, text_loss + 0.1 * phone_loss)
    assert seen[-1] < 0.7 * seen[0]


def test_a_phone_head_is_fitted_to_frozen_weights(monkeypatch):
    from tiny.training import phone_head
    from tiny.training.model import TinyVoxtral

    monkeypatch.setattr(phone_head, "STEPS", 60)
    model = TinyVoxtral().eval()
    before = model.tok_embeddings.weight.clone(), model.phone_head.weight.clone()
    assert phone_head.fit(model, dataset()) > 0.9  # all frames of these clips have one phone
    assert torch.equal(model.tok_embeddings.weight, before[0])
    assert not torch.equal(model.phone_head.weight, before[1])
