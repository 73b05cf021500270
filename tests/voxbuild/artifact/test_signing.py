"""`doit sign` and `sign:`: an intact artifact is signed with the right key, or not at all."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from artifacts import contents, make_artifact
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from keys import write_keys
from projects import FAILED, copy_project, doit, edit, executed, make_project, skipped

from voxbuild.artifact.manifest import Manifest
from voxbuild.artifact.signature import KEY, PASSWORD, faults, sign
from voxbuild.errors import SigningError
from voxrun.errors import TrustError
from voxrun.trust.proof import check
from voxrun.trust.signature import signed_files

VIEW = "4bit.mlx-audio"


@pytest.fixture
def keys(tmp_path):
    return write_keys(tmp_path)


@pytest.fixture
def artifact(tmp_path):
    return make_artifact(tmp_path / "artifact")


def test_the_signature_covers_every_file(artifact, keys):
    files = contents(artifact).keys()
    sign(artifact, *keys)
    assert signed_files((artifact / "model.sig").read_bytes(), keys[1]).keys() == files
    assert faults(artifact, keys[1]) == []


def test_files_of_the_hubs_tools_are_not_signed(artifact, keys):
    files = contents(artifact).keys()
    (artifact / ".gitattributes").write_text("theirs")
    (artifact / ".cache").mkdir()
    (artifact / ".cache/huggingface").write_text("theirs")
    sign(artifact, *keys)
    sign(artifact, *keys)  # over the first signature
    assert signed_files((artifact / "model.sig").read_bytes(), keys[1]).keys() == files


@pytest.mark.parametrize("change", ["model.safetensors", "more.safetensors", "manifest.json"])
def test_files_that_differ_from_the_manifest_are_not_signed(change, artifact, keys):
    if change == "manifest.json":
        Manifest.load(artifact).unvalidated().save(artifact)
    else:
        (artifact / change).write_bytes(b"another")
    with pytest.raises(SigningError, match=r"differs from its manifest|not validated"):
        sign(artifact, *keys)
    assert not list(artifact.glob("*model.sig*"))
    assert not list(artifact.glob(".model.sig*"))


def test_an_unvalidated_artifact_is_not_signed(artifact, keys):
    manifest = Manifest.load(artifact)
    for name in manifest.files.keys() - manifest.weight_files.keys():
        (artifact / name).unlink()
    manifest.unvalidated().save(artifact)
    with pytest.raises(SigningError, match="not validated, so not signed"):
        sign(artifact, *keys)


def test_a_key_other_than_the_recipes_is_refused(artifact, keys, tmp_path):
    other, _ = write_keys(tmp_path, "other")
    with pytest.raises(SigningError, match=r"other\.pem: does not match .*key\.pub"):
        sign(artifact, other, keys[1])
    assert not (artifact / "model.sig").exists()


def test_without_a_public_key_any_private_key_signs(artifact, keys):
    sign(artifact, keys[0], None)
    assert faults(artifact, keys[1]) == []


def test_a_key_with_a_password_is_opened_with_it(artifact, tmp_path, monkeypatch):
    private, public = write_keys(tmp_path, "locked", password=b"secret")
    for password, complaint in ((None, "Password was not given"), ("wrong", "Incorrect password")):
        if password:
            monkeypatch.setenv(PASSWORD, password)
        with pytest.raises(SigningError, match=f"locked.pem: {complaint}.*{PASSWORD}"):
            sign(artifact, private, public)
    monkeypatch.setenv(PASSWORD, "secret")
    sign(artifact, private, public)
    assert faults(artifact, public) == []


@pytest.mark.parametrize(
    ("key", "complaint"),
    [
        (None, "the private key cannot be read"),
        (b"no key", "Could not deserialize|Unable to load|MalformedFraming"),
        (rsa.generate_private_key(65537, 2048), "not a private key on one of the curves"),
        (ec.generate_private_key(ec.SECP256K1()), "not a private key on one of the curves"),
    ],
    ids=["missing", "no key", "RSA", "another curve"],
)
def test_an_unusable_key_is_reported(key, complaint, artifact, tmp_path):
    path = tmp_path / "some.pem"
    if isinstance(key, bytes):
        path.write_bytes(key)
    elif key:
        write_keys(tmp_path, "some", key=key)
    with pytest.raises(SigningError, match=f"some.pem: .*({complaint})"):
        sign(artifact, path, None)


def test_a_public_key_given_as_private_is_reported(artifact, keys):
    with pytest.raises(SigningError, match=r"key\.pub: "):
        sign(artifact, keys[1], None)


def test_missing_libraries_are_reported(artifact, keys, monkeypatch):
    monkeypatch.setitem(sys.modules, "model_signing", None)
    with pytest.raises(SigningError, match=r"pip install 'voxbuild\[signing\]'"):
        sign(artifact, *keys)


def test_a_signature_goes_away_with_the_manifest_that_it_signs(artifact, keys):
    sign(artifact, *keys)
    manifest = Manifest.load(artifact)
    manifest.save(artifact)
    assert (artifact / "model.sig").exists()
    manifest.unvalidated().save(artifact)
    assert not (artifact / "model.sig").exists()


def test_the_reason_for_not_signing_is_reported(artifact, keys, tmp_path):
    assert faults(artifact, keys[1]) == [f"{artifact} has no model.sig"]
    sign(artifact, *keys)
    _, other = write_keys(tmp_path, "other")
    assert "not signed with the private key of" in faults(artifact, other)[0]
    manifest = (artifact / "manifest.json").read_text()
    (artifact / "manifest.json").write_text(manifest + "\n")
    assert faults(artifact, keys[1]) == ["manifest.json was another when it was signed"]
    (artifact / "model.sig").write_text("{}")
    assert "were expected" in faults(artifact, keys[1])[0]


def test_importing_voxbuild_loads_no_signing_library():
    """Those take most of a second, and are an extra."""
    program = "import voxbuild.artifact.signature, sys; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "error", "-c", program]).returncode == 0


@pytest.fixture(scope="module")
def signed_project(tmp_path_factory):
    """A project whose recipe says `sign:`, after its build; with the process. Change only copies."""
    project = make_project(tmp_path_factory.mktemp("signing") / "project", recipes=("4bit",), clips=1)
    private, _ = write_keys(project)
    recipe = project / "recipes/4bit.yaml"
    recipe.write_text(f"{recipe.read_text()}dialects: [mlx-audio]\nsign: {{public_key: ../key.pub}}\n")
    edit(recipe, "group_size: 64}", "group_size: 64, rules: [{match: '*ada_norm*', skip: true}]}")
    return project, doit(project, "build", **{KEY: str(private)})


@pytest.fixture
def project(signed_project, tmp_path):
    return copy_project(signed_project[0], tmp_path / "project")


@pytest.mark.slow
def test_a_build_ends_with_the_signature_of_artifact_and_view(signed_project):
    project, process = signed_project
    assert process.returncode == 0, process.stdout
    assert "4bit over tiny: signed out/tiny/4bit, out/tiny/4bit.mlx-audio" in process.stdout
    for name in ("4bit", VIEW):
        assert check(project / "out/tiny" / name, project / "key.pub").signed


@pytest.mark.slow
def test_provenance_of_both_is_checked_and_names_its_clips(signed_project):
    made_from = {}
    for name in ("4bit", VIEW):
        statement = json.loads((signed_project[0] / "out/tiny" / name / "provenance.json").read_text())
        dependencies = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
        made_from[name] = [dependency["name"] for dependency in dependencies]
        assert "clips/few/transcripts.tsv" in made_from[name]
    assert "tiny/consolidated.safetensors" in made_from["4bit"]
    assert "someone/Voxtral-Tiny-Prompts-4bit/model.safetensors" in made_from[VIEW]


@pytest.mark.slow
def test_a_second_build_needs_no_key_and_does_nothing(signed_project):
    before = contents(signed_project[0] / "out")
    process = doit(signed_project[0], "build")
    assert process.returncode == 0
    assert executed(process) == []
    assert "views:tiny:4bit" in skipped(process)
    assert contents(signed_project[0] / "out") == before


@pytest.mark.slow
def test_an_edited_provenance_is_written_again_and_signed_again(project):
    folder = project / "out/tiny/4bit"
    before = {name: data for name, data in contents(folder).items() if name != "model.sig"}
    edit(folder / "provenance.json", "urn:voxbuild:build:1", "urn:somebody:else:1")
    with pytest.raises(TrustError, match=r"provenance\.json"):
        check(folder, project / "key.pub")
    process = doit(project, "build", **{KEY: "key.pem"})
    assert process.returncode == 0, process.stdout
    assert executed(process) == ["provenance:tiny:4bit"]
    assert check(folder, project / "key.pub").signed
    assert {name: data for name, data in contents(folder).items() if name != "model.sig"} == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["4bit", VIEW])
def test_a_missing_or_foreign_signature_is_made_again(name, project, tmp_path):
    signature = project / "out/tiny" / name / "model.sig"
    signature.unlink()
    process = doit(project, "build")
    assert process.returncode in FAILED
    assert f"no private key to sign with: give key=PRIVATE.pem, or set {KEY}" in process.stdout
    assert not signature.exists()
    assert doit(project, "build", "key=key.pem").returncode == 0
    check(signature.parent, project / "key.pub")

    other, _ = write_keys(tmp_path, "other")
    process = doit(project, "sign", "recipe=4bit", f"key={other}")
    assert process.returncode in FAILED
    assert "does not match" in process.stdout
    check(signature.parent, project / "key.pub")


@pytest.mark.slow
def test_a_changed_manifest_removes_the_signature(project):
    """After a gate is edited without a key the artifact is unsigned, and the build says so."""
    edit(project / "recipes/4bit.yaml", "wer: 75.0", "wer: 74.0")
    process = doit(project, "build")
    assert process.returncode in FAILED
    assert "no private key" in process.stdout
    for name in ("4bit", VIEW):
        assert not (project / "out/tiny" / name / "model.sig").exists()
    assert doit(project, "build", "key=key.pem").returncode == 0
    check(project / "out/tiny/4bit", project / "key.pub")


@pytest.mark.slow
def test_a_replaced_key_signs_the_same_weights_again(project, tmp_path):
    before = contents(project / "out/tiny")
    old = shutil.copy(project / "key.pub", tmp_path / "old.pub")
    write_keys(project, "key")
    process = doit(project, "build", "key=key.pem")
    assert process.returncode == 0, process.stdout
    assert not {"convert:tiny:4bit", "validate:tiny:4bit"} & set(executed(process))
    check(project / "out/tiny/4bit", project / "key.pub")
    with pytest.raises(TrustError, match="not signed with the private key of"):
        check(project / "out/tiny/4bit", Path(old))
    after = contents(project / "out/tiny")
    changed = {name for name in before if after[name] != before[name]}
    assert {"4bit/model.sig", f"{VIEW}/model.sig"} <= changed
    assert not [name for name in changed if "safetensors" in name or "validation" in name]


@pytest.mark.slow
def test_doit_sign_signs_validated_artifacts(project):
    (project / "recipes/2bit.yaml").write_text(
        (project / "recipes/4bit.yaml").read_text().replace("4bit", "2bit")
    )
    for name in ("4bit", VIEW):
        (project / "out/tiny" / name / "model.sig").unlink()
    process = doit(project, "sign", **{KEY: "key.pem"})
    assert process.returncode == 0, process.stdout
    assert "2bit over tiny: not built, so not signed" in process.stdout
    assert "4bit over tiny: signed out/tiny/4bit, out/tiny/4bit.mlx-audio" in process.stdout
    check(project / "out/tiny" / VIEW, project / "key.pub")
    named = doit(project, "sign", "recipe=2bit", "key=key.pem")
    assert named.returncode in FAILED
    assert "2bit: not built, so not signed; run `doit build`" in named.stdout


@pytest.mark.slow
def test_equal_inputs_give_equal_bytes_but_for_the_signature(signed_project, tmp_path):
    other = make_project(tmp_path / "elsewhere", recipes=("4bit",), clips=1)
    shutil.copy(signed_project[0] / "recipes/4bit.yaml", other / "recipes")
    shutil.copy(signed_project[0] / "key.pub", other)
    assert doit(other, "build", f"key={signed_project[0] / 'key.pem'}").returncode == 0
    for name in ("4bit", VIEW):
        first, second = (contents(p / "out/tiny" / name) for p in (signed_project[0], other))
        assert first.pop("model.sig") != second.pop("model.sig")
        assert first == second
