"""Held-out clips are never used for training, and the committed clips are those that are documented."""

import re

import numpy as np
import pytest
import soundfile

from tiny.training import alignment, clips, features, more_clips, sentences, speech
from tiny.training.alignment import Alignment
from tiny.training.dataset import Dataset
from tiny.training.split import HeldOutError, load_split, refuse_copies, refuse_held_out, refuse_reported


def committed_prompt(key: str) -> np.ndarray:
    samples, _ = soundfile.read(clips.CLIPS / "prompts" / f"{key}.flac", dtype="int16")
    return samples


# The guard


def test_split_has_35_validation_20_reserved_and_32_development_clips():
    split = load_split()
    assert (len(split.validation), len(split.reserved), len(split.development)) == (35, 20, 32)
    assert (len(split.reported), len(split.held_out)) == (55, 87)


@pytest.mark.parametrize("key", sorted(load_split().held_out))
def test_held_out_clip_is_refused(key):
    with pytest.raises(HeldOutError, match=re.escape(key)):
        refuse_held_out(["digits/1", key])


def test_training_keys_are_accepted():
    keys = ["digits/1", "vm-goodbye"]
    refuse_held_out(keys)
    assert load_split().training([*keys, "vm-youhave"]) == keys


def test_copy_of_a_held_out_clip_is_refused():
    held_out = {"vm-youhave": committed_prompt("vm-youhave")}
    refuse_copies({"other": held_out["vm-youhave"][:-1]}, held_out)
    with pytest.raises(HeldOutError, match="other is a copy of the held-out vm-youhave"):
        refuse_copies({"other": held_out["vm-youhave"].copy()}, held_out)


def test_alignments_refuse_a_held_out_clip(tmp_path):
    path = tmp_path / "alignment.json"
    aligned = Alignment([("one", 0.1, 0.5)], [("pau", 0.1), ("w", 0.5)], 0.1, 0.5)
    alignment.save(path, {"digits/1": aligned})
    with pytest.raises(HeldOutError):
        alignment.save(path, {"vm-youhave": aligned})
    path.write_text(path.read_text().replace("digits/1", "vm-youhave"))
    with pytest.raises(HeldOutError):
        alignment.load(path)


def test_log_mels_refuse_a_held_out_clip(tmp_path):
    path = tmp_path / "mels.npz"
    mel = np.zeros((128, 1), np.float16)
    features.save(path, {("digits/1", 0.9): mel})
    assert list(features.load(path)) == [("digits/1", 0.9)]
    with pytest.raises(HeldOutError):
        features.save(path, {("vm-youhave", 1.0): mel})
    with path.open("wb") as file:
        np.savez(file, **{"vm-youhave@1.0": mel})
    with pytest.raises(HeldOutError):
        features.load(path)


def test_dataset_refuses_a_held_out_clip():
    with pytest.raises(HeldOutError):
        Dataset(real={"vm-youhave": []}, synthetic=[])


def test_sentences_refuse_held_out_clips_and_their_texts(monkeypatch):
    monkeypatch.setattr(sentences, "DRAWN", 300)
    training = {
        "a": "press one to save this message press two to erase it",
        "b": "you have entered an invalid option",
        "phonetic/a_p": "alpha",
    }
    forbidden = {"alpha", "you have entered"}
    assert not forbidden & set(sentences.draw(training, forbidden))
    with pytest.raises(HeldOutError):
        sentences.draw({**training, "vm-youhave": "you have"}, forbidden)


# The committed clips


def test_clips_list_exactly_their_files():
    for folder in ("prompts", "digits", "chains", "calibration"):
        lines = (clips.CLIPS / folder / "transcripts.tsv").read_text(encoding="utf-8").splitlines()
        files = [line.split("\t")[0] for line in lines]
        assert files == sorted(path.name for path in (clips.CLIPS / folder).glob("*.flac"))


def test_no_reserved_clip_is_committed():
    names = {path.stem for path in clips.CLIPS.rglob("*.flac")}
    assert not names & {speech.name(key) for key in load_split().reserved}


def test_prompts_are_the_validation_clips():
    lines = (clips.CLIPS / "prompts" / "transcripts.tsv").read_text(encoding="utf-8").splitlines()
    read = dict(line.split("\t") for line in lines)
    assert read == {f"{key}.flac": text for key, text in load_split().validation.items()}


def test_chains_consist_of_committed_prompts():
    for name, (samples, text) in clips.chains(committed_prompt).items():
        committed, rate = soundfile.read(clips.CLIPS / "chains" / f"{name}.flac", dtype="int16")
        assert rate == 16_000
        np.testing.assert_array_equal(committed, samples)
        assert 20 <= len(samples) / rate <= 60
        assert f"{name}.flac\t{text}\n" in (clips.CLIPS / "chains" / "transcripts.tsv").read_text()


def test_calibration_shares_no_recording_or_text_with_validation():
    def said(folder):
        lines = (clips.CLIPS / folder / "transcripts.tsv").read_text(encoding="utf-8").splitlines()
        return dict(line.split("\t") for line in lines)

    def sound(folder, name):
        return soundfile.read(clips.CLIPS / folder / name, dtype="int16")[0]

    calibration = said("calibration")
    refuse_reported(name.removesuffix(".flac") for name in calibration)
    for folder in ("prompts", "digits", "chains"):
        others = said(folder)
        assert not set(calibration.values()) & set(others.values())
        refuse_copies(
            {name: sound("calibration", name) for name in calibration},
            {name: sound(folder, name) for name in others},
        )
    for text in load_split().validation.values():
        assert not any(f" {text} " in f" {line} " for line in calibration.values())


def test_calibration_takes_development_clips_that_share_no_text_with_a_test_clip():
    texts = dict.fromkeys(load_split().held_out, "you have been held out of this")
    texts |= dict.fromkeys(load_split().development, "a text") | load_split().validation
    first, *others = sorted(load_split().development)
    texts |= {first: f"well {min(load_split().validation.values())} too", "good-1": "a training text"}
    drawn = clips.calibration(spoken, texts)
    assert sorted(drawn) == others
    committed = {path.stem for path in (clips.CLIPS / "calibration").glob("*.flac")}
    assert committed < {speech.name(key) for key in load_split().development}


def spoken(key: str) -> np.ndarray:
    """Three seconds that are another recording's for each key."""
    return np.concatenate([np.array([*key.encode()], np.int16), np.zeros(48_000, np.int16)])


def prompt_texts() -> dict[str, str]:
    """Transcripts of 200 training recordings, every text twice, and of the held-out ones."""
    held_out = dict.fromkeys(load_split().reserved, "you are held out") | load_split().validation
    held_out |= {key: f"chosen by {key}" for key in load_split().development}
    numbers = [f"a text of its own {'very ' * (n % 3)}{n}" for n in range(100)]
    single = [f"word{n}" for n in range(80)]
    training = {f"{take}-{n}": text for n, text in enumerate(numbers + single) for take in "ab"}
    training |= {"digits/1": "one", "holds-one": "well you are held out of here"}
    return training | held_out


def test_more_clips_share_no_recording_and_no_text_with_any_other_set():
    texts = prompt_texts()
    committed = clips.calibration(spoken, texts)
    sets = more_clips.drawn(spoken, texts)
    development, calibration = sets["development"], sets["calibration-5min"]
    assert (len(development), len(calibration)) == (60, 100)
    drawn = [*committed, *development, *calibration]
    assert len({texts[key] for key in drawn}) == len(drawn)
    assert set(committed) == set(load_split().development)
    assert not {"digits/1", "holds-one", *load_split().held_out} & {*development, *calibration}
    assert all(" " in texts[key] for key in development)


def test_more_clips_refuse_a_copy_of_a_held_out_recording():
    held_out = sorted(load_split().held_out)[0]
    drawn = more_clips.drawn(spoken, prompt_texts())
    for copy in (next(iter(drawn["development"])), next(iter(drawn["calibration-5min"]))):
        with pytest.raises(HeldOutError, match=f"{copy} is a copy of the held-out {held_out}"):
            more_clips.drawn(lambda key, copy=copy: spoken(held_out if key == copy else key), prompt_texts())


def test_trimmed_keeps_the_speech():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 5, 32_000)
    noise[8_000:24_000] += rng.normal(0, 3_000, 16_000)
    kept = clips.trimmed(noise.astype(np.int16))
    assert len(kept) == 16_000 + 800 + 1_600
