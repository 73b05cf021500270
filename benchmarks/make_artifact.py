"""Quantize a folder in the upstream's layout by a recipe, without validation: for time and memory only.

python benchmarks/make_artifact.py SOURCE OUT [--recipe 4bit]
"""

import argparse
import json
import shutil
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from voxbuild.convert.shards import convert
from voxbuild.folders import Journal
from voxbuild.plan.planner import make_plan
from voxbuild.recipes.book import read_book
from voxbuild.tensors.checkpoint import Checkpoint, OnePass
from voxbuild.tensors.source_files import in_order

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Write the artifact's weights, index, configuration and tokenizer."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("source", type=Path)
    p.add_argument("out", type=Path)
    p.add_argument("--recipe", default="4bit")
    args = p.parse_args()
    params = json.loads((args.source / "params.json").read_text(encoding="utf-8"))
    weights = args.source / "consolidated.safetensors"
    args.out.mkdir(parents=True)
    with (
        Checkpoint(weights) as checkpoint,
        tqdm(total=weights.stat().st_size, unit="B", unit_scale=True) as bar,
    ):
        recipe = read_book(ROOT / "recipes").recipe(args.recipe)
        plan = make_plan(recipe, in_order(checkpoint.tensors.values()), params)
        journal = Journal(args.out, "one run")
        with closing(OnePass(checkpoint, hashing=False)) as source:
            convert(plan, source, journal, bar.update)
        journal.forget()
    (args.out / "config.json").write_text(json.dumps(dict(plan.config)), encoding="utf-8")
    (args.out / "model.safetensors.index.json").write_text(json.dumps(plan.index()), encoding="utf-8")
    shutil.copyfile(args.source / "tekken.json", args.out / "tekken.json")


if __name__ == "__main__":
    main()
