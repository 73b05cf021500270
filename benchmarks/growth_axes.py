"""What grows, and how each size is measured: an axis is a row of AXES, a point of it is a fresh process."""

import itertools
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from growth_place import SIZES, WEIGHTS, Place, tiny_params
from runs import ROOT, Run, process

CLIPS = ROOT / "tiny/clips"
CHAINS = sorted((CLIPS / "chains").glob("*.flac"))
PROMPTS = sorted((CLIPS / "prompts").glob("*.flac"))
SESSION_SECONDS = 10
MANY_TENSORS = {"dim": 768, "n_layers": 24, "hidden_dim": 1536, "n_heads": 12, "n_kv_heads": 6}
MANY_TENSORS_ENCODER = {"dim": 512, "n_layers": 24, "hidden_dim": 1536, "n_heads": 8, "n_kv_heads": 8}
"""Of 200 MB in 8 bits: the smallest shards have 1 MB."""
NARROW = {"dim": 96, "hidden_dim": 192, "n_heads": 2, "n_kv_heads": 1}
"""So narrow that a model with the upstream's vocabulary is computed as a small one is."""


def worker(name: str, *arguments: object) -> Run:
    """A worker in a fresh process."""
    return process(sys.executable, "-m", f"benchmarks.workers.{name}", *arguments)


def audio(place: Place, seconds: float) -> Run:
    """One session hears the committed clips, again and again."""
    return worker("voxrun", "stream", "--model", place.tiny, "--seconds", seconds, "--audio", *CHAINS)


def files(place: Place, n: float) -> Run:
    """The command with so many recordings."""
    named = itertools.islice(itertools.cycle(PROMPTS), int(n))
    return process(sys.executable, "-m", "voxrun", "--model", place.tiny, *named)


def sessions(place: Place, n: float) -> Run:
    """So many sessions hear the same at once, in one process."""
    return worker("growth", place.tiny, CHAINS[0], SESSION_SECONDS, int(n))


def shards(place: Place, n: float) -> Run:
    """An artifact in so many files, built and loaded."""
    source = place.source("many-tensors", tiny_params(MANY_TENSORS, MANY_TENSORS_ENCODER))
    place.describe("many-tensors", source)
    recipe = f"8bit-{n:g}"
    stored = (source / WEIGHTS).stat().st_size / 2 * 1.063  # bytes: 8 bits, and two halves in 64 values
    place.recipe(recipe, {"max_size": f"{max(1, round(1.02 * stored / n / 1e6))}MB"})
    built = place.convert(recipe, "many-tensors")
    if built.error:
        return built
    artifact = place.artifact(recipe, "many-tensors")
    built.figures["size"] = len(list(artifact.glob("*.safetensors")))
    return joined(built, worker("voxrun", "decode", "--budget", 1, "--model", artifact))


def vocabulary(place: Place, n: float) -> Run:
    """A narrow model with so many tokens, loaded as it is."""
    source = place.source(f"vocabulary-{n:g}", tiny_params(NARROW | {"vocab_size": int(n)}))
    return worker("voxrun", "decode", "--budget", 1, "--model", source)


def model(place: Place, step: float) -> Run:
    """A model of one of five sizes: converted, loaded, one row decoded."""
    name = f"model-{step:g}"
    if step == 1:
        source = ROOT / "tiny/checkpoint"
    elif step == len(SIZES) + 2:
        if place.full is None:
            return Run({}, "no source of full size: give --full DIR")
        source = place.full
    else:
        source = place.source(name, SIZES[int(step) - 2].params())
    place.describe(name, source)
    built = place.convert("4bit", name)
    if built.error:
        return built
    built.figures["size"] = (source / WEIGHTS).stat().st_size / 2  # bfloat16
    return joined(built, worker("voxrun", "decode", "--budget", 4, "--model", place.artifact("4bit", name)))


def joined(first: Run, second: Run) -> Run:
    """The figures of two processes as one."""
    return Run(first.figures | second.figures, first.error or second.error)


@dataclass(frozen=True)
class Axis:
    """What grows, and what is measured of it."""

    name: str
    title: str
    across: str
    """What the sizes are."""
    points: tuple[float, ...]
    run: Callable[[Place, float], Run]
    """Figures of a point; `size` among them, if the point is not the size itself."""
    figures: Mapping[str, str]
    """Key in a run -> title; seconds end in `_s`, bytes in `_bytes`."""
    about: str
    said: str
    """What came out, and why."""
    once_from: float = field(default=float("inf"))
    """Points from here on are measured in one round."""


TIME, MEMORY = "time", "peak memory"
BUILDING = {
    "convert_wall_s": "building",
    "convert_cpu_s": "building, processor time",
    "convert_peak_bytes": "building, peak memory",
}
STEP = {"load_s": "load", "step_s": "decode step, one row", "peak_bytes": "peak memory, loaded"}
AXES = (
    Axis(
        "audio",
        "Length of the audio",
        "seconds of audio",
        (1, 10, 60, 600, 3600, 10800),
        audio,
        {"stream_s": TIME, "peak_bytes": MEMORY},
        "A session of tiny hears the committed clips, one after the other, after 5 s that do not count.",
        "Time is linear. Memory is flat: caches hold the model's windows, which are full after some "
        "20 s, and words are handed on as they come.",
        once_from=3600,
    ),
    Axis(
        "files",
        "Number of files",
        "recordings",
        (1, 3, 10, 30, 100, 300),
        files,
        {"wall_s": TIME, "cpu_s": "processor time", "peak_bytes": MEMORY},
        "The command with so many recordings of 1 to 5 s, from its start to its end.",
        "Linear above the start of the process. Up to 8 recordings are heard at once, and the caches "
        "of those are what memory grows by at first; then it is flat.",
        once_from=300,
    ),
    Axis(
        "sessions",
        "Sessions at once",
        "sessions",
        (1, 2, 4, 8, 16, 32),
        sessions,
        {"heard_s": TIME, "peak_bytes": MEMORY},
        f"So many sessions of one process hear the same {SESSION_SECONDS} s, each from a thread of its own.",
        "Time is linear: the cores are busy with one session already, and passes are shared. Memory "
        "is linear above that of the process and the weights: each session has caches of its own.",
    ),
    Axis(
        "shards",
        "Shards",
        "files of weights",
        (1, 3, 10, 30, 100, 200),
        shards,
        {
            **BUILDING,
            "load_s": "load",
            "peak_bytes": "peak memory, loaded",
        },
        "A model of 210 million weights in 8 bits, `doit convert` from its start to its end, then loaded.",
        "Memory is flat. A file costs building about 9 ms here, most of it waiting for the disk, to which "
        "each file is flushed before it gets its name, and loading 0.3 ms.",
    ),
    Axis(
        "vocabulary",
        "Vocabulary",
        "tokens",
        (1024, 4096, 16384, 65536, 131072),
        vocabulary,
        STEP,
        "A model of tiny's layers, 96 wide, with so many tokens.",
        "Less than linear, because process and layers are there with few tokens, too. Loading reads "
        "tekken.json whole and checks each token; a step multiplies one row with the matrix of all "
        "tokens.",
    ),
    Axis(
        "model",
        "Size of the model",
        "weights",
        (1, 2, 3, 4, 5),
        model,
        {**BUILDING, **STEP},
        "From tiny to the upstream's size in five steps, `recipe=4bit`: `doit convert` from its start to its"
        " end, then loaded, and one row decoded.",
        "Building is linear above the second that `doit` and the libraries take to start; its memory "
        "is that of the libraries and of the rows in work. Loading grows with the number of layers "
        "and tokens, not with the weights: these stay in the mapped file. Between the first two sizes "
        "the compiled kernels come in, whose library takes 0.1 s to load. A step reads each weight of "
        "the decoder once. Memory is the mapped weights above that of the process.",
    ),
)
