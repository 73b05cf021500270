"""A build that is validated with a corpus on the Hub: it is heard, and every document names it."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from projects import doit, edit, make_project

CORPUS = """\
name: few
summary: Two prompts as parquet.
parquet:
  repo: maker/prompts
  revision: {commit}
  data_files: data/test-*.parquet
  speaker: who
  id: id
  split: test
language: en
license: CC-BY-SA-3.0
attribution: whoever spoke the embedded clips.
"""


@pytest.mark.slow
def test_a_build_hears_a_corpus_and_names_it_in_every_document(hub, hub_environment, tmp_path):
    project = make_project(tmp_path / "project", recipes=("4bit",), clips=2)
    lines = (project / "few/transcripts.tsv").read_text().splitlines()
    names, texts = zip(*(line.split("\t") for line in lines), strict=True)
    sounds = [{"bytes": (project / "few" / name).read_bytes(), "path": name} for name in names]
    shutil.rmtree(project / "few")
    table = pa.table({"id": ["first/1", "second"], "audio": sounds, "text": texts, "who": ["allison"] * 2})
    pq.write_table(table, tmp_path / "x.parquet")
    file = "data/test-00000-of-00001.parquet"
    commit = hub.add("datasets", "maker/prompts", {file: (tmp_path / "x.parquet").read_bytes()})
    (project / "recipes/clips/few.yaml").write_text(CORPUS.format(commit=commit))

    built = doit(project, "build", "recipe=4bit", **hub_environment, HF_HUB_OFFLINE="0")
    assert built.returncode == 0, built.stdout
    artifact = project / "out/tiny/4bit"
    validation = json.loads((artifact / "validation.json").read_text())
    assert set(validation["clips"]) == {"few/first_1", "few/second"}
    page = "https://huggingface.co/datasets/maker/prompts"
    provenance = json.loads((artifact / "provenance.json").read_text())
    assert provenance["predicate"]["buildDefinition"]["resolvedDependencies"][-1] == {
        "name": "clips/few",
        "uri": f"{page}/tree/{commit}",
        "digest": {"gitCommit": commit},
    }
    bom = json.loads((artifact / "bom.cdx.json").read_text())
    (dataset,) = bom["metadata"]["component"]["modelCard"]["modelParameters"]["datasets"]
    assert dataset["contents"] == {"url": page}
    told = yaml.safe_load((artifact / "README.md").read_text().split("---")[1])
    assert told["model-index"][0]["results"][0]["dataset"] | {"name": ""} == {
        "name": "",
        "type": "maker/prompts",
        "config": "default",
        "split": "test",
        "revision": commit,
    }
    (entry,) = yaml.safe_load((artifact / ".eval_results/voxbuild.yaml").read_text())
    assert entry["dataset"] == {"id": "maker/prompts", "task_id": "default", "revision": commit}

    edit(project / "recipes/clips/few.yaml", "  split: test", "  split: test\n  limit: 1")
    fewer = doit(project, "validate", "recipe=4bit", **hub_environment, HF_HUB_OFFLINE="1")
    assert fewer.returncode == 0, fewer.stdout
    assert set(json.loads((artifact / "validation.json").read_text())["clips"]) == {"few/first_1"}
