"""Files of the Hugging Face hub, from a hub on this machine: token, gate, mirror, offline mode."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from refusal import refused

from histoprompt.core import settings
from histoprompt.models import weights
from histoprompt.models.card import ModelCard, on_hub
from histoprompt.models.weights.install import install, remove
from http_server import File, Server, running

CONTENT = b"PK\x03\x04" + b"the weights of the hub" * 20_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
COMMIT = "67ade53ddd32195868f422585f72698ef5d15094"
ADDRESS = f"/vinid/plip/resolve/{COMMIT}/pytorch_model.bin"
CDN = "/cdn/blob"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(settings.HOME_VARIABLE, str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def hub() -> Iterator[Server]:
    """Answers as the hub does: facts of a large file in the headers, its bytes elsewhere."""
    with running(urlsplit(os.environ["HF_ENDPOINT"]).port or 0) as server:
        facts = {
            "X-Repo-Commit": COMMIT,
            "X-Linked-Etag": f'"{SHA256}"',
            "X-Linked-Size": str(len(CONTENT)),
        }
        server.files[ADDRESS] = File(
            headers=facts, location=f"http://localhost:{server.server_port}{CDN}"
        )
        server.files[CDN] = File(CONTENT)
        yield server


def card_of(digest: str | None = None, n_bytes: int | None = None, gated: bool = False):
    spec = on_hub(
        "vinid/plip", "pytorch_model.bin", COMMIT, n_bytes=n_bytes, digest=digest, gated=gated
    )
    return ModelCard("plip", "text", "PLIP", "m:f", weights=spec)


def place() -> Path:
    return settings.weights_folder() / "vinid--plip" / "pytorch_model.bin"


def test_a_file_of_the_mirror_is_fetched_and_its_sha256_kept(hub: Server) -> None:
    (checked,) = install(card_of())
    assert place().read_bytes() == CONTENT
    assert checked.state == "pinned"
    assert checked.digest == f"sha256:{SHA256}"
    assert weights.resolve(card_of()) == place()


def test_files_of_one_name_from_two_repositories_do_not_meet(hub: Server) -> None:
    other = replace(card_of(), weights=on_hub("owkin/phikon-v2", "pytorch_model.bin"))
    assert weights.expected_path(other.weights) != weights.expected_path(card_of().weights)


def test_a_dropped_download_goes_on(hub: Server) -> None:
    hub.files[CDN].cuts = [300_000, 0]
    refused(card_of(), "dropped")
    install(card_of())
    assert str(hub.ranges()[-1]).startswith("bytes=")
    assert place().read_bytes() == CONTENT


def test_the_token_opens_the_gate_and_is_not_told_to_others(
    hub: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.files[ADDRESS].token = "hf_secret"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    install(card_of(gated=True))
    assert place().read_bytes() == CONTENT
    seen = {path: headers.get("authorization") for _, path, headers in hub.requests}
    assert seen == {ADDRESS: "Bearer hf_secret", CDN: None}


def test_a_gate_without_a_token_says_which_page_to_visit(hub: Server) -> None:
    hub.files[ADDRESS].token = "hf_secret"
    hub.files[ADDRESS].headers = {"X-Error-Code": "GatedRepo"}
    refused(card_of(gated=True), "https://huggingface.co/vinid/plip", "HF_TOKEN", "hf auth login")


def test_an_account_without_access_is_told_to_ask(
    hub: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    gate = File(status=403, headers={"X-Error-Code": "GatedRepo", "X-Error-Message": "Ask first"})
    hub.files[ADDRESS] = gate
    message = refused(card_of(gated=True), "https://huggingface.co/vinid/plip", "ask for access")
    assert "hf_mine" not in message


def test_a_file_that_is_not_in_the_repository_is_said_so(hub: Server) -> None:
    hub.files[ADDRESS] = File(status=404, headers={"X-Error-Code": "EntryNotFound"})
    refused(card_of(), "vinid/plip has no pytorch_model.bin", COMMIT)


def test_a_hub_in_trouble_is_said_so(hub: Server) -> None:
    hub.files[ADDRESS] = File(status=500)
    refused(card_of(), "HTTP 500", "HF_ENDPOINT")


def test_no_hub_at_all_is_said_so() -> None:
    refused(card_of(n_bytes=605_000_000), "not reached", "605,000,000", "HF_ENDPOINT", str(place()))


def test_offline_mode_is_respected(hub: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refused(card_of(), "HF_HUB_OFFLINE", "https://huggingface.co/vinid/plip", str(place()))
    assert hub.requests == []


def test_another_file_than_the_published_one_is_refused_before_it_is_fetched(hub: Server) -> None:
    published = "0" * 64
    refused(card_of(digest=f"sha256:{published}"), SHA256, published)
    assert [path for _, path, _ in hub.requests] == [ADDRESS]


def test_a_file_damaged_on_the_way_is_refused(hub: Server) -> None:
    hub.files[CDN].content = CONTENT[::-1]
    refused(card_of(), SHA256, hashlib.sha256(CONTENT[::-1]).hexdigest(), "damaged")
    hub.files[CDN].content = CONTENT
    install(card_of())


def test_a_file_that_another_program_fetched_is_used(
    hub: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    cache = tmp_path / "cache"
    snapshot = cache / "models--vinid--plip" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "pytorch_model.bin").write_bytes(CONTENT)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    assert weights.resolve(card_of()) == snapshot / "pytorch_model.bin"
    install(card_of())
    assert hub.requests == []
    assert remove(card_of()) == []
    assert (snapshot / "pytorch_model.bin").exists()


MIRROR = """
from histoprompt.models import weights
from histoprompt.models.card import ModelCard, on_hub
from histoprompt.models.weights.install import install
card = ModelCard("t", "text", "T", "m:f", weights=on_hub("owner/name", "model.safetensors", "main"))
print(install(card)[0].path)
"""


def test_another_mirror_is_taken_from_the_environment(tmp_path: Path) -> None:
    with running() as mirror:
        headers = {"X-Repo-Commit": COMMIT}
        mirror.files["/owner/name/resolve/main/model.safetensors"] = File(CONTENT, headers=headers)
        env = {**os.environ, "HF_ENDPOINT": mirror.url}
        done = subprocess.run(
            [sys.executable, "-c", MIRROR], env=env, capture_output=True, text=True, check=True
        )
    assert Path(done.stdout.strip()).read_bytes() == CONTENT
