"""Model folders made to harm: refused in one sentence, in memory and time that do not follow their claims.

Each is opened in a process of its own that may take no more memory than a small model does, and is ended if
it hangs.
"""

import base64
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from committed import CHECKPOINT
from small_models import random_tensors, small_params, write_artifact

from voxrun.checkpoint.config import ModelConfig
from voxrun.checkpoint.tensors import MAX_HEADER, MAX_TENSORS, read_header_of
from voxrun.errors import VoxrunError
from voxrun.transcriber import Transcriber

MEMORY = 3 * 2**30
"""Bytes of address space: MLX and NumPy alone reserve half of it."""
WEIGHTS = "model.safetensors"
HANGS = 120
"""Seconds after which a process is taken to hang."""
OPEN = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))
from voxrun.transcriber import Transcriber
from voxrun.errors import VoxrunError
try:
    Transcriber.open(sys.argv[1])
except VoxrunError as error:
    print(error)
else:
    print("opened")
"""
Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    params = small_params()
    folder = tmp_path_factory.mktemp("hostile") / "model"
    return write_artifact(folder, params, random_tensors(ModelConfig.from_dict(params)))


@pytest.fixture
def folder(model: Path, tmp_path: Path) -> Path:
    """A copy of a small model, to be spoilt."""
    return shutil.copytree(model, tmp_path / "model")


def run(code: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=HANGS)


def opened(folder: Path) -> str:
    """What a process with bounded memory says of a folder: one line."""
    child = run(OPEN, str(folder))
    assert child.returncode == 0, child.stderr[-1000:]
    assert child.stdout.count("\n") == 1
    return child.stdout.strip()


def refused(folder: Path) -> str:
    """The one sentence with which a folder is refused."""
    with pytest.raises(VoxrunError) as caught:
        Transcriber.open(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def edit(folder: Path, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    value = json.loads((folder / name).read_text(encoding="utf-8"))
    change(value)
    (folder / name).write_text(json.dumps(value), encoding="utf-8")


def sparse(path: Path, nbytes: int) -> None:
    """A file of that size that takes no room."""
    path.unlink(missing_ok=True)
    path.touch()
    os.truncate(path, nbytes)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def write_at_start(path: Path, data: bytes) -> None:
    with path.open("r+b") as file:
        file.write(data)


def encoder(params: dict[str, Any]) -> dict[str, Any]:
    return params["multimodal"]["whisper_model_args"]["encoder_args"]


def every_size(params: dict[str, Any]) -> None:
    """The most that is plausible of each, all at once."""
    params |= {"dim": 2**16, "n_layers": 512, "n_heads": 1024, "n_kv_heads": 1024, "head_dim": 1024}
    params |= {"hidden_dim": 2**18, "vocab_size": 2**21, "sliding_window": 2**18}
    encoder(params).update({"dim": 2**16, "n_layers": 512, "n_heads": 1024, "n_kv_heads": 1024})


def pieces(raw: dict[str, Any]) -> None:
    """A vocabulary of a megabyte in each token."""
    large = base64.b64encode(bytes(2**20)).decode()
    raw["vocab"] = [{"rank": rank, "token_bytes": large} for rank in range(20)]


def weights(text: bytes) -> Change:
    """Put a file with this header, and no data, in the weights' place."""
    return lambda folder: (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text)


def empty(names: Iterable[str]) -> bytes:
    """A header of empty tensors of these names."""
    return json.dumps({n: {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for n in names}).encode()


def large(name: str) -> Change:
    return lambda folder: sparse(folder / name, 2**34)


def sizes(**changed: int) -> Change:
    return lambda folder: edit(folder, "config.json", lambda params: params.update(changed))


EXABYTE = b'{"a":{"dtype":"U8","shape":[1073741824,1073741824],"data_offsets":[0,1152921504606846976]}}'
CLAIMS: dict[str, tuple[Change, str]] = {
    "nothing": (lambda f: None, "opened"),
    "a tekken.json of gigabytes": (large("tekken.json"), "larger than 67,108,864 bytes"),
    "a config.json of gigabytes": (large("config.json"), "larger than 8,388,608 bytes"),
    "an index of gigabytes": (large("model.safetensors.index.json"), "larger than 8,388,608 bytes"),
    "a header of exabytes": (
        lambda f: (f / WEIGHTS).write_bytes(bytes(7) + b"\x10" * 99),
        "cut off in its header",
    ),
    "a header of gigabytes that is there": (
        lambda f: (sparse(f / WEIGHTS, 2**34), write_at_start(f / WEIGHTS, struct.pack("<Q", 2**33))),
        "not a safetensors file",
    ),
    "a tensor of exabytes": (weights(EXABYTE), "truncated"),
    "a hundred thousand names": (weights(empty(map(str, range(100_000)))), "names 100,000 tensors"),
    "names of many numbers": (weights(empty(f"{i}{'.0' * 240}" for i in range(10_000))), "10000 unexpected"),
    "all sizes as large as they may be": (
        lambda f: edit(f, "config.json", every_size),
        "the tensors do not fit the configuration",
    ),
    "a billion layers": (sizes(n_layers=10**9), "n_layers is 1000000000, where 1 to 512 is plausible"),
    "a trillion words": (sizes(vocab_size=10**12), "vocab_size is 1000000000000, where"),
    "tokens of megabytes": (lambda f: edit(f, "tekken.json", pieces), "tekken.json: not a streaming tekken"),
    "a pipe for weights": (lambda f: pipe(f / WEIGHTS), "none of"),
    "a pipe for a config": (lambda f: pipe(f / "config.json"), "neither config.json nor params.json"),
    "a pipe for a tokenizer": (lambda f: pipe(f / "tekken.json"), "no such file"),
}


@pytest.mark.slow
@pytest.mark.parametrize("claim", CLAIMS)
def test_sizes_claimed_by_a_file_cost_neither_memory_nor_time(folder: Path, claim: str) -> None:
    change, said = CLAIMS[claim]
    change(folder)
    assert said in opened(folder)


def test_the_bound_on_memory_is_one() -> None:
    """What a file claims, were it believed, would end the process."""
    child = run(OPEN.replace("Transcriber.open(sys.argv[1])", "bytearray(2**33)"))
    assert "MemoryError" in child.stderr


@pytest.mark.parametrize("name", ["config.json", "tekken.json", "model.safetensors"])
def test_a_link_out_of_the_folder_is_refused(folder: Path, name: str) -> None:
    outside = shutil.move(folder / name, folder.parent / name)
    (folder / name).symlink_to(outside)
    assert f"{folder / name}: a link that leads out of the folder" in refused(folder)


def test_links_within_the_folder_are_followed(folder: Path) -> None:
    (folder / "real").mkdir()
    for name in ("config.json", "tekken.json", "model.safetensors"):
        shutil.move(folder / name, folder / "real")
        (folder / name).symlink_to(f"real/{name}")
    Transcriber.open(folder)


def shards(folder: Path) -> dict[str, str]:
    """Cut the weights in two by an index; return its weight map."""
    from voxrun.device import mx

    tensors = mx.load(str(folder / "model.safetensors"))
    mx.eval(tensors)
    names = sorted(tensors)
    places = {name: f"{'first' if i < 9 else 'second'}.safetensors" for i, name in enumerate(names)}
    for file in set(places.values()):
        mx.save_safetensors(
            str(folder / file), {name: tensors[name] for name in names if places[name] == file}
        )
    (folder / "model.safetensors").unlink()
    return places


def write_index(folder: Path, places: object) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}), encoding="utf-8")


def test_an_index_that_contradicts_the_files_is_refused(folder: Path) -> None:
    places = shards(folder)
    write_index(folder, places)
    Transcriber.open(folder)
    first = min(places)
    for changed in (
        places | {first: "second.safetensors"},
        places | {"nobody": "first.safetensors"},
        {name: file for name, file in places.items() if name != first},
    ):
        write_index(folder, changed)
        assert "is in" in refused(folder)


def test_a_tensor_in_two_files_is_refused(folder: Path) -> None:
    write_index(folder, shards(folder))
    shutil.copy(folder / "first.safetensors", folder / "third.safetensors")
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    write_index(folder, index | {"again": "third.safetensors"})
    assert "third.safetensors: " in (said := refused(folder))
    assert "is in first.safetensors too" in said


@pytest.mark.slow
def test_an_index_of_a_million_files_is_refused(folder: Path) -> None:
    write_index(folder, {f"t{i}": f"{i}.safetensors" for i in range(100_000)})
    assert "it names 100,000 files" in refused(folder)


@pytest.mark.parametrize("name", ["x" * 5000, "x" * 300, "a/" * 200 + "b"])
def test_a_file_name_that_no_disk_has_is_refused(folder: Path, name: str) -> None:
    write_index(folder, {"a": f"{name}.safetensors"})
    assert "index.json" in refused(folder)


@pytest.mark.parametrize(
    "quantization",
    [
        {"bits": 4, "group_size": 48},
        {"bits": 7, "group_size": 64},
        {"bits": 4, "group_size": 64, "mode": "unknown"},
        {"bits": 4, "group_size": 64, "mode": "mxfp4"},
        {"bits": 4},
        {"group_size": 64},
        {"bits": 4, "group_size": 64, "adapter.w_in": {"self": 1, "bits": 3}},
    ],
)
def test_quantization_that_mlx_does_not_know_is_refused(folder: Path, quantization: dict[str, Any]) -> None:
    from voxrun.device import mx

    path = folder / "model.safetensors"
    tensors = mx.load(str(path))
    packed = mx.quantize(tensors.pop("adapter.w_in.weight"), 64, 4)
    leaves = zip(("weight", "scales", "biases"), packed, strict=True)
    tensors |= {f"adapter.w_in.{leaf}": part for leaf, part in leaves}
    mx.eval(tensors)
    mx.save_safetensors(str(path), tensors)
    edit(folder, "config.json", lambda c: c.update(quantization={"bits": 4, "group_size": 64}))
    Transcriber.open(folder)
    edit(folder, "config.json", lambda c: c.update(quantization=quantization))
    assert "quantization" in refused(folder) or "do not fit the configuration" in refused(folder)


def test_data_that_is_not_aligned_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A header of odd length is legal, and moves every number to an odd place."""
    path = folder / "model.safetensors"
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    text = content[8 : 8 + length].rstrip()
    text += b" " * (1 - len(text) % 2)
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    Transcriber.open(folder)


def test_limits_leave_room() -> None:
    """Ten times what the upstream's and the embedded model's headers take."""
    tensors = read_header_of(CHECKPOINT / "consolidated.safetensors")
    assert len(tensors) * 10 < MAX_TENSORS
    assert MAX_HEADER > 10 * 90_000
