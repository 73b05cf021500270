"""What a search for codes, scales and biases gains over plain rounding at equal size, over tiny.

    python -m tiny.training recordings transcripts more-clips    # recordings to calibrate on, once
    python benchmarks/search.py [--bits 3 4] [--methods none gptq] [--without sensitivity]

Builds every variant with doit in a project of its own, measures it clip by clip against the unquantized
weights, and writes docs/benchmarks/search.md. A variant that cannot be built is named there; the exit code is
1 then.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import soundfile
from environments import machine
from runs import ROOT, tell
from search_figures import Judge, Measured
from search_project import GROUP, METHODS, MORE, OURS, BuildError, Project, Trial, recordings_of
from search_text import TEXT, Results, ratios, sensitivity, table

CLIPS = ROOT / "tiny/clips" / OURS
UNIFORM = ("none", "mse", "activation", "gptq")
ALLOCATED = ("allocation", "allocation, sequential")
TRIALS = (
    *(Trial(bits, method) for bits in (2, 3, 4, 5) for method in UNIFORM),
    *(Trial(bits, "sequential") for bits in (2, 3, 4)),
    *(Trial(bits, method) for bits in (3, 3.5, 4) for method in ALLOCATED),
    *(Trial(bits, "gptq", MORE) for bits in (2, 3, 4)),
    Trial(2, "sequential", MORE),
    *(Trial(bits, "allocation, sequential", MORE) for bits in (3, 4)),
)
SENSITIVE = (3, 4)
"""Bits at which other recordings are tried."""


def parsed() -> argparse.Namespace:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, default=ROOT / "docs/benchmarks/search.md")
    p.add_argument(
        "--recordings", type=Path, default=ROOT / "tiny/training/data/clips", help="more-clips' sets"
    )
    p.add_argument("--bits", type=float, nargs="+", default=sorted({trial.bits for trial in TRIALS}))
    p.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    p.add_argument("--audio", nargs="+", choices=(OURS, MORE), default=[OURS, MORE])
    p.add_argument("--without", choices=["sensitivity"], help="leave a part out")
    return p.parse_args()


def tried(trials: Sequence[Trial], measure: Callable[[Trial], Measured]) -> Results:
    """Measure variants one after the other, or find out why they cannot be built."""
    results: dict[Trial, Measured | str] = {}
    for number, trial in enumerate(trials, 1):
        start = time.perf_counter()
        try:
            results[trial] = it = measure(trial)
            said = f"KL {it.fidelity.kl_mean.value:.5f}"
        except BuildError as error:
            results[trial] = said = str(error)
        tell(f"{number}/{len(trials)} {trial.name}: {said} ({time.perf_counter() - start:.0f} s)")
    return results


def others_of(recordings: Sequence[Path]) -> list[Path]:
    """The first recordings that last as long as the committed set together; none is very short or long."""
    chosen: list[Path] = []
    for path in recordings:
        if 2 < duration([path]) < 7 and duration(chosen) < duration(recordings_of(CLIPS)):
            chosen.append(path)
    return chosen


def duration(recordings: Sequence[Path]) -> float:
    """In seconds."""
    return sum(soundfile.info(path).duration for path in recordings)


def add_sensitive_clips(project: Project, more: Sequence[Path]) -> dict[str, str]:
    """Clip sets like the committed one; what each is."""
    ours = recordings_of(CLIPS)
    project.add_clips("again", ours)
    project.add_clips("half", ours[::2])
    for seed in (1, 2):
        project.add_clips(f"noise-{seed}", ours, noise=1000 * seed)
    about = {
        OURS: f"the {len(ours)} clips",
        "again": "the same, measured again",
        "half": f"{len(ours[::2])} of them",
        "noise-1": "the same with noise",
        "noise-2": "with noise of another seed",
    }
    if more:
        project.add_clips("others", others_of(more))
        about["others"] = "other clips"
    return about


def main() -> None:
    """Measure, and write the document."""
    options = parsed()
    ours, folder = recordings_of(CLIPS), options.recordings / "calibration-5min"
    more = recordings_of(folder) if folder.is_dir() else []
    if not more:
        tell(f"{folder} is missing (python -m tiny.training ... more-clips): without its recordings")
    audio = [name for name in options.audio if name == OURS or more]
    chosen = [
        t for t in TRIALS if t.bits in options.bits and t.method in options.methods and t.clips in audio
    ]
    with tempfile.TemporaryDirectory() as name:
        project = Project(Path(name) / "project")
        judge = Judge(project)
        if more:
            project.add_clips(MORE, [*ours, *more])
        about = {} if options.without else add_sensitive_clips(project, more)
        sensitive = [Trial(bits, "gptq", clips) for bits in SENSITIVE for clips in about]
        for trial in {*chosen, *sensitive}:
            project.add(trial)
        results = tried(chosen, judge.measured)
        measured = {trial: it for trial, it in results.items() if trial in sensitive}
        rest = [trial for trial in sensitive if trial not in measured]
        options.out.write_text(document(results, {}, about, judge, more), encoding="utf-8")
        found = measured | dict(tried(rest, lambda trial: judge.measured(trial, with_texts=False)))
        options.out.write_text(document(results, found, about, judge, more), encoding="utf-8")
    if failed := [trial.name for trial, it in {**results, **found}.items() if isinstance(it, str)]:
        sys.exit(f"{options.out} lacks {', '.join(failed)}")


def document(
    results: Results, found: Results, about: dict[str, str], judge: Judge, more: Sequence[Path]
) -> str:
    """The whole of it."""
    there = [it for it in results.values() if isinstance(it, Measured)]
    failed = [f"{trial.name}: {why}" for trial, why in {**results, **found}.items() if isinstance(why, str)]
    of_width = sorted(found.items(), key=lambda pair: (pair[0].bits, list(about).index(pair[0].clips)))
    return TEXT.format(
        group=GROUP,
        table=table(results, judge),
        wer=f"{judge.texts.wer.in_words(2)} %",
        positions=there[0].fidelity.positions,
        clips=len(judge.clips),
        words=sum(judge.texts.words),
        calibrating=len(recordings_of(CLIPS)),
        ours=duration(recordings_of(CLIPS)),
        more=f"{duration([*recordings_of(CLIPS), *more]):.0f} s together" if more else "not there",
        measured="\n".join(f"- {line}" for line in once(judge.project)),
        machine=machine(),
        failed="".join(f"\n- Not built: {line}" for line in failed),
        ratios=ratios(results),
        sensitivity=sensitivity([(about[t.clips], it) for t, it in of_width if isinstance(it, Measured)]),
        others=len(others_of(more)),
        development=67,
    )


def once(project: Project) -> Iterator[str]:
    """What was measured for several variants, and how long it took."""
    for (task, search, audio), seconds in project.measured.items():
        yield f"`doit {task}` over `{audio}`, for `search: {search}`: {seconds:.0f} s."


if __name__ == "__main__":
    main()
