"""Certificates: what they bind, what breaks them, and that old ones hold."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.limits import cpu_seconds, slowness
from toolkit import certificate, cli, manifest
from toolkit.errors import BadInput, UnsafeFile

RELEASED = Path(__file__).parents[1] / "certificates"


@pytest.fixture
def bundle(tmp_path):
    return Path(shutil.copytree(RELEASED / "schema-1", tmp_path / "bundle"))


@pytest.fixture
def pair(tmp_path):
    """A private and a public key that nobody has seen before."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    pem = serialization.Encoding.PEM
    (tmp_path / "key.pem").write_bytes(
        private.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public = private.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pub").write_bytes(public)
    return tmp_path / "key.pem", tmp_path / "key.pub"


@pytest.mark.parametrize("folder", sorted(path.name for path in RELEASED.iterdir() if path.is_dir()))
def test_every_released_certificate_still_holds(folder):
    found = certificate.check(RELEASED / folder, RELEASED / f"{folder}.pub")
    assert found.passed
    assert found.files >= 4
    assert found.signed_by


def test_it_is_an_in_toto_statement_about_all_files(bundle):
    statement = json.loads((bundle / certificate.NAME).read_text())
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == certificate.PREDICATE
    names = {subject["name"] for subject in statement["subject"]}
    assert names == {p.name for p in bundle.iterdir()} - {certificate.NAME, certificate.SIGNED, manifest.NAME}
    said = statement["predicate"]
    assert said["inputs"]["seed"] == 7
    assert said["rows"][0]["outputs"][0]["noise_ratio"] < said["thresholds"]["pass_ratio"]


def relist(bundle):
    """Let the manifest agree with the files again, as somebody would who wants to hide a change."""
    from dataclasses import replace

    listed = manifest.load(bundle)
    replace(listed, files=manifest.list_files(bundle)).save(bundle)


def test_an_edited_file_is_noticed_even_where_the_manifest_was_edited_too(bundle):
    path = bundle / "model.onnx"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(BadInput, match="bytes where the export had"):
        certificate.check(bundle)
    relist(bundle)
    with pytest.raises(BadInput, match="not the one that was certified"):
        certificate.check(bundle)


def test_an_edited_certificate_breaks_its_signature(bundle):
    path = bundle / certificate.NAME
    path.write_text(path.read_text().replace('"seed": 7', '"seed": 8'))
    relist(bundle)
    assert certificate.check(bundle).passed  # nothing but the signature binds the statement
    with pytest.raises(UnsafeFile, match="signs another certificate"):
        certificate.check(bundle, RELEASED / "schema-1.pub")


@pytest.mark.parametrize("verdict", ["FAIL", "INCONCLUSIVE"])
def test_a_certificate_of_a_failure_is_no_pass(bundle, verdict, capsys):
    path = bundle / certificate.NAME
    path.write_text(path.read_text().replace('"verdict": "PASS"', f'"verdict": "{verdict}"'))
    relist(bundle)
    assert not certificate.check(bundle).passed
    assert cli.invoke(["verify", str(bundle), "--certificate-only"]) == 1
    assert capsys.readouterr().out.startswith("FAIL")


def test_signing_and_checking(bundle, pair, capsys):
    private, public = pair
    with pytest.raises(UnsafeFile, match="of another key"):
        certificate.check(bundle, public)
    assert cli.invoke(["sign", str(bundle), "--key", str(private)]) == 0
    assert cli.invoke(["verify", str(bundle), "--certificate-only", "--key", str(public)]) == 0
    assert "signed by key" in capsys.readouterr().out.splitlines()[-1]


def test_a_missing_signature_is_not_enough_where_one_is_asked_for(bundle):
    (bundle / certificate.SIGNED).unlink()
    assert certificate.check(bundle).signed_by is None
    assert cli.invoke(["verify", str(bundle), "--certificate-only", "--key", str(RELEASED / "schema-1.pub")]) == 5


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff\xfe", b'{"payload": 3}'])
def test_a_damaged_signature_holds_nothing(bundle, content):
    (bundle / certificate.SIGNED).write_bytes(content)
    with pytest.raises(UnsafeFile, match="does not hold"):
        certificate.check(bundle, RELEASED / "schema-1.pub")


@pytest.mark.parametrize("content", ["{}", "[]", "no json", '{"predicateType": 3}'])
def test_a_damaged_certificate_is_named(bundle, content):
    (bundle / certificate.NAME).write_text(content)
    relist(bundle)
    with pytest.raises(BadInput, match="certificate"):
        certificate.check(bundle)


def test_what_is_no_key_is_refused(bundle, tmp_path):
    with pytest.raises(BadInput, match="cannot be read"):
        certificate.check(bundle, tmp_path / "none.pub")
    (tmp_path / "text.pem").write_text("a key")
    for call in (certificate.sign, certificate.check):
        with pytest.raises(BadInput, match="that can be used"):
            call(bundle, tmp_path / "text.pem")


def test_the_hook_of_pre_commit_gets_manifests_and_takes_less_than_a_second(bundle):
    command = [sys.executable, "-m", "toolkit", "verify", "--certificate-only", str(bundle / manifest.NAME)]
    assert min(cpu_seconds(command) for _ in range(3)) < slowness()


def test_nothing_of_the_machine_that_exported_it_is_in_a_bundle():
    for path in (RELEASED / "schema-1").iterdir():
        assert b"site-packages" not in path.read_bytes(), path.name
