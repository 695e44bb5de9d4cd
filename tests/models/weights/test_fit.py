"""Files of unknown digest are compared with their model's network before they are put in place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from refusal import refused
from small_models import random_values, save_random, small_networks

from histoprompt.core import settings
from histoprompt.core.errors import WeightsError
from histoprompt.models import registry, weights
from histoprompt.models.card import ModelCard, WeightsSpec
from histoprompt.models.networks.scribble_unet import ScribbleUNet
from histoprompt.models.weights import pins
from histoprompt.models.weights.find import partial_bytes
from histoprompt.models.weights.pack import export_pack, import_file, import_pack
from http_server import File, running
from tiny_sam import random_tiny_sam

ALL = registry.all_cards()
FETCHED = [c for c in ALL if c.weights is not None and c.weights.package is None]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(settings.HOME_VARIABLE, str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def small() -> Iterator[None]:
    with small_networks():
        yield


def unhashed(model_id: str) -> ModelCard:
    """A card whose file is not known by its digest, without terms to accept."""
    card = registry.card(model_id)
    assert card.weights is not None
    return replace(card, weights=replace(card.weights, digest=None, n_bytes=None), terms=None)


def file_of(model_id: str, folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    return save_random(registry.card(model_id), folder).rename(folder / name)


def unlike(card: ModelCard) -> str:
    """A model of another network."""
    return "plip" if card.role != "text" else "dinov2-vit-b"


def placed() -> list[str]:
    """What lies in the weights folder, begun files included."""
    folder = settings.weights_folder()
    return [p.name for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock"]


def test_every_model_with_weights_has_a_blueprint() -> None:
    assert [c for c in ALL if c.blueprint] == [c for c in ALL if c.weights is not None]


@pytest.mark.parametrize("model_id", ["litemedsam", "histoprompt-lite", "histoprompt-cells"])
def test_a_users_own_file_is_looked_at_when_it_is_verified(model_id: str, tmp_path: Path) -> None:
    card = registry.card(model_id)
    shipped = weights.locate(card).path
    assert shipped is not None
    assert weights.verify(card, shipped).state == "published"
    mine = tmp_path / "mine.safetensors"
    mine.symlink_to(shipped)
    assert weights.verify(card, mine).state == "published", "whatever its name"
    mine.unlink()
    save_random(registry.card("scribbleprompt-unet"), tmp_path).rename(mine)
    with pytest.raises(WeightsError, match=r"mine\.safetensors is no .*: it holds 29 tensors"):
        weights.verify(card, mine)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("model_id", [card.id for card in FETCHED])
def test_only_a_file_of_its_network_is_put_in_place(model_id: str, tmp_path: Path) -> None:
    card = unhashed(model_id)
    assert card.weights is not None
    name = card.weights.filename
    wrong = file_of(unlike(card), tmp_path / "wrong", name)
    with pytest.raises(WeightsError) as caught:
        import_file(wrong, card)
    message = str(caught.value)
    assert message.startswith(f"{wrong} is no {card.title}: it holds ")
    assert "million values, needed are" in message
    assert "tensors are missing (" in message
    assert "\n" not in message
    assert placed() == []
    assert pins.pin_of(card.weights) is None, "a wrong file never becomes the first seen"
    right = file_of(model_id, tmp_path / "right", name)
    assert import_file(right, card).state == "pinned"
    assert placed() == [name]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("model_id", ["scribbleprompt-unet", "quiltnet-b-32", "virchow2"])
def test_a_file_put_there_by_hand_is_looked_at_before_it_counts(
    model_id: str, tmp_path: Path
) -> None:
    card = unhashed(model_id)
    assert card.weights is not None
    place = weights.expected_path(card.weights)
    place.parent.mkdir(parents=True)
    file_of(unlike(card), tmp_path / "wrong", "x").rename(place)
    for look in (weights.resolve, weights.verify):
        with pytest.raises(WeightsError, match=f"{place.name} is no "):
            look(card)
    assert place.exists(), "it is the user's"
    assert pins.pin_of(card.weights) is None
    file_of(model_id, tmp_path / "right", "x").rename(place)
    assert weights.resolve(card) == place
    assert pins.pin_of(card.weights) is not None


@pytest.mark.usefixtures("small")
def test_the_wrong_file_of_a_server_leaves_nothing(tmp_path: Path) -> None:
    card = unhashed("scribbleprompt-unet")
    assert card.weights is not None
    wrong = file_of("plip", tmp_path / "wrong", "x")
    with running() as server:
        server.files["/net.pt"] = File(wrong.read_bytes())
        url = f"{server.url}/net.pt"
        card = replace(card, weights=replace(card.weights, url=url))
        refused(card, f"{url} is no ScribblePrompt UNet: ")
        assert partial_bytes(card) == 0
        right = file_of(card.id, tmp_path / "right", "x")
        server.files["/net.pt"] = File(right.read_bytes())
        from histoprompt.models.weights.install import install

        assert [v.state for v in install(card)] == ["pinned"]


@pytest.mark.usefixtures("small")
def test_a_pack_made_elsewhere_is_looked_at_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = replace(unhashed("virchow2"), blueprint="")  # a version that did not look
    import_file(file_of("uni", tmp_path / "wrong", "pytorch_model.bin"), card)
    export_pack([card], tmp_path / "pack")
    monkeypatch.setenv(settings.HOME_VARIABLE, str(tmp_path / "offline"))
    with pytest.raises(WeightsError, match=r"pack, .* is no Virchow2 \(ViT-H/14\): .*reg_token"):
        import_pack(tmp_path / "pack", [unhashed("virchow2")])
    assert placed() == []


def test_another_width_is_named_by_its_first_shape(tmp_path: Path) -> None:
    import torch

    torch.save(random_tiny_sam(width=64).state_dict(), tmp_path / "wide.pth")
    with small_networks(), pytest.raises(WeightsError) as caught:
        import_file(tmp_path / "wide.pth", unhashed("scribbleprompt-sam"))
    assert "have another shape (" in str(caught.value)
    assert " instead of (" in str(caught.value)


def test_the_model_it_is_made_like_is_named(tmp_path: Path) -> None:
    """In full size: what its values take says which networks are worth trying."""
    import torch

    torch.save(random_values(ScribbleUNet()), tmp_path / "mine.pt")
    with pytest.raises(WeightsError) as caught:
        import_file(tmp_path / "mine.pt", unhashed("quiltnet-b-32"))
    message = str(caught.value)
    assert "it holds 29 tensors of 4.0 million values, needed are 302 of 151.3 million" in (
        message.replace("302 tensors", "302")
    )
    assert "It is made like the file of scribbleprompt-unet." in message


class Marker:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.usefixtures("small")
def test_no_code_runs_while_it_is_looked_at(tmp_path: Path) -> None:
    import torch

    state = random_values(ScribbleUNet())
    torch.save({"model": state, "more": Marker(tmp_path / "it ran")}, tmp_path / "evil.pt")
    with pytest.raises(WeightsError, match=r"evil\.pt holds Python objects .* could run code"):
        import_file(tmp_path / "evil.pt", unhashed("scribbleprompt-unet"))
    assert not (tmp_path / "it ran").exists()
    assert placed() == []


# ---------------------------------------------------------------------- known digests


def test_a_known_file_is_not_looked_at(tmp_path: Path) -> None:
    content = b"\x80 the published bytes, whatever they hold"
    path = tmp_path / "mine.pt"
    path.write_bytes(content)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    card = unhashed("scribbleprompt-unet")
    card = replace(card, weights=replace(card.weights, digest=digest))  # type: ignore[type-var]
    assert import_file(path, card).state == "published"


def test_the_published_file_of_another_model_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def card_of(name: str) -> ModelCard:
        digest = f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"
        return ModelCard(
            name, "prompt", f"SAM {name}", "m:f", weights=WeightsSpec(f"{name}.pth", "s", 1, digest)
        )

    base, large = card_of("base"), card_of("large")
    monkeypatch.setattr(registry, "all_cards", lambda: (base, large))
    (tmp_path / "base.pth").write_bytes(b"large")
    with pytest.raises(WeightsError, match="It is the published file of SAM large"):
        import_file(tmp_path / "base.pth", base)
    assert placed() == []
