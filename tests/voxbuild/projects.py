"""Projects in temporary folders, and `doit` run in them as a command."""

import atexit
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from small_sources import ROOT, header_of, params_of, write_checkpoint

FAILED = (1, 2)
"""doit says 1 for a failed task, 2 where a group of tasks could not end."""
RECIPE = """\
name: {name}
summary: For tests.
source: tiny
quantize: {{mode: affine, bits: {bits}, group_size: 64}}
validate:
  clips: [few]
  gates: {{wer: 75.0, kl_mean: 0.01}}
publish:
  repo: someone/{{model}}-{{recipe}}
card: voxtral.md.j2
"""
"""A recipe. Over one to three clips 4 bits have a kl_mean of 0.0005 at most, 2 bits of 0.19 at least."""
CLIPS = """\
name: few
summary: The shortest prompts.
folder: ../../few
language: en
license: CC-BY-SA-3.0
attribution: whoever spoke the embedded clips.
"""
HEARD = CLIPS.replace("few", "heard").replace("The shortest prompts", "One training prompt")
RANDOM = """\
name: tiny
model: Random
summary: A random model.
path: ../../source
files: [{name: consolidated.safetensors}, {name: params.json}, {name: tekken.json}]
license: mit
languages: [en]
"""


def make_project(folder, recipes=("4bit", "2bit"), clips=3):
    """A project over the embedded model with these recipes and its shortest clips; return its folder."""
    for name in ("recipes/sources", "recipes/clips", "few"):
        (folder / name).mkdir(parents=True)
    for name in ("dodo.py", "doit.cfg"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "model_cards", folder / "model_cards", ignore=shutil.ignore_patterns("siblings"))
    source = (ROOT / "recipes/sources/tiny.yaml").read_text()
    (folder / "recipes/sources/tiny.yaml").write_text(re.sub(r"^gates:\n(  .*\n)+", "", source, flags=re.M))
    (folder / "tiny").symlink_to(ROOT / "tiny")
    for name in recipes:
        text = RECIPE.format(name=name, bits=name.removesuffix("bit"))
        (folder / f"recipes/{name}.yaml").write_text(text)
    (folder / "recipes/clips/few.yaml").write_text(CLIPS)
    prompts = ROOT / "tiny/clips/prompts"
    said = dict(line.split("\t") for line in (prompts / "transcripts.tsv").read_text().splitlines())
    by_size = sorted(prompts.glob("*.flac"), key=lambda path: path.stat().st_size)
    shortest = by_size[1 : clips + 1]  # the embedded model does not hear the first one
    for path in shortest:
        shutil.copy(path, folder / "few")
    lines = [f"{path.name}\t{said[path.name]}\n" for path in shortest]
    (folder / "few/transcripts.tsv").write_text("".join(lines))
    return folder


def use_random_source(project, change=lambda header: header, params=None):
    """Put a random checkpoint in the embedded model's place, of these or small sizes, its header changed."""
    params = params or params_of()
    (project / "recipes/sources/tiny.yaml").write_text(RANDOM)
    (project / "source").mkdir()
    write_checkpoint(project / "source/consolidated.safetensors", change(header_of(params)))
    (project / "source/params.json").write_text(json.dumps(params))
    shutil.copy(ROOT / "tiny/checkpoint/tekken.json", project / "source")


def copy_project(project, folder):
    """A copy with everything that was built."""
    shutil.copytree(project, folder, symlinks=True)
    return folder


def doit_command(*arguments):
    return [sys.executable, "-m", "doit", *arguments]


@cache
def doit_server():
    """The process of `doit_server.py` that belongs to this one."""
    program = [sys.executable, Path(__file__).with_name("doit_server.py")]
    server = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    atexit.register(server.communicate)  # which closes its stdin, so that it ends
    return server


def doit(project, *arguments, **environment):
    """Run doit to its end; the finished process, both outputs in stdout."""
    command = doit_command(*arguments)
    if sys.platform == "darwin":  # where a fork cannot use what its parent has loaded
        how = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.run(command, cwd=project, env=os.environ | environment, **how)
    with tempfile.NamedTemporaryFile("r") as output:
        asked = {
            "folder": str(project),
            "arguments": [str(argument) for argument in arguments],
            "environment": os.environ | environment,
            "output": output.name,
        }
        server = doit_server()
        server.stdin.write(json.dumps(asked) + "\n")
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(command, code, output.read())


def executed(process):
    """Names of the tasks that ran, in order."""
    return re.findall(r"^\.  (\S+)$", process.stdout, re.MULTILINE)


def skipped(process):
    """Names of the tasks that were up to date."""
    return re.findall(r"^-- (\S+)$", process.stdout, re.MULTILINE)


def edit(path, old, new):
    """Replace the one occurrence in a text file."""
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
