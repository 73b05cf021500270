"""A validation as a worker, in a project's folder: `python -m benchmarks.workers.validation TASK ...`.

`stage RECIPE` validates an artifact over tiny; `clips ARTIFACT CLIP...` lets an artifact of any size hear
clips, first as the source, then against that. Prints time and memory as JSON.
"""

import json
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

STATUS = Path("/proc/self/status")


class Memory(threading.Thread):
    """Watches resident memory: the process's own (anonymous), and of mapped files."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.own = self.mapped = 0

    def run(self) -> None:
        """Until the process ends."""
        while True:
            lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
            own, mapped = (int(lines[key].split()[0]) * 1024 for key in ("RssAnon", "RssFile"))
            self.own, self.mapped = max(self.own, own), max(self.mapped, mapped)
            time.sleep(0.05)


def stage(recipe: str) -> dict[str, Any]:
    """Time of the stage, without start-up."""
    from voxbuild import stages
    from voxbuild.artifact.variant import Variant
    from voxbuild.errors import ValidationError
    from voxbuild.recipes.book import read_book
    from voxbuild.workspace import Workspace

    work = Workspace(Path.cwd())
    book = read_book(work.recipes)
    variant = Variant(work, book, book.source("tiny"), book.recipe(recipe))
    begun, busy = time.perf_counter(), time.process_time()
    try:
        stages.validate(variant)
    except ValidationError as error:
        if "does not pass its gates" not in str(error):
            raise
    return {"stage_s": time.perf_counter() - begun, "stage_cpu_s": time.process_time() - busy}


def clips(artifact: Path, paths: list[Path]) -> dict[str, Any]:
    """Memory of an artifact that hears clips and is compared."""
    from voxbuild.evaluate.jobs import UNQUANTIZED, Model
    from voxbuild.evaluate.local import Local
    from voxbuild.evaluate.models import default_delay, jobs_for
    from voxbuild.evaluate.records import Records
    from voxbuild.evaluate.run import references, results
    from voxbuild.recipes.origins.base import Clip

    memory = Memory()
    memory.start()
    members = [Clip(path.name, path, "") for path in paths]
    with tempfile.TemporaryDirectory() as name:
        records = Records(Path(name))
        source, model = Model(UNQUANTIZED, artifact, "source"), Model("artifact", artifact, "artifact")
        delay_ms = default_delay(model)
        known = references(jobs_for(source, members, delay_ms), records, Local())
        begun = time.perf_counter()
        heard = results(jobs_for(model, members, delay_ms, [r for _, r in known]), records, Local())
        seconds = sum(each.seconds for each in heard)
    weights = sum(path.stat().st_size for path in artifact.glob("*.safetensors"))
    return {
        "weights_bytes": weights,
        "own_bytes": memory.own,
        "mapped_bytes": memory.mapped,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "audio_s": seconds,
        "hear_s": time.perf_counter() - begun,
    }


if __name__ == "__main__":
    task, first, *others = sys.argv[1:]
    found = stage(first) if task == "stage" else clips(Path(first), [Path(other) for other in others])
    print(json.dumps(found))
