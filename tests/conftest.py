"""Fixtures every test may use."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings

from power_cut import ForgetfulDisk

os.environ.setdefault("NAPARI_ENSURE_PLUGIN_MAIN_THREAD", "1")


# A slow machine is no failure: nothing here is timed. And what passed here passes elsewhere: each
# run tries the same examples. To look for new ones: --hypothesis-profile=wild
settings.register_profile("wild", deadline=None)
settings.register_profile("same", deadline=None, derandomize=True)
settings.load_profile("same")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


# The hub's client reads these when it is imported: no test meets the public hub, or the user's
# token and cache. Tests of hub files serve at this address.
os.environ["HF_ENDPOINT"] = f"http://127.0.0.1:{_free_port()}"
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="histoprompt-hub-")
os.environ.pop("HF_TOKEN", None)

# Where a warning is an error. Elsewhere (napari, vispy and Qt give many of their own) it is shown.
STRICT = ("annotations", "core", "models")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Only show warnings in tests that are not strict yet."""
    calmer = [line for line in config.getini("filterwarnings") if line != "error"]
    for item in items:
        if item.path.relative_to(Path(__file__).parent).parts[0] not in STRICT:
            item.add_marker(pytest.mark.filterwarnings("default", *calmer))


SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ForgetfulDisk]:
    """The folder ``tmp_path / "disk"`` on a disk that forgets what was not synced."""
    (tmp_path / "disk").mkdir()
    forgetful = ForgetfulDisk(tmp_path / "disk", monkeypatch)
    yield forgetful
    forgetful.close()


@pytest.fixture(scope="session", autouse=True)
def _own_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the user's settings, caches and label stores out of the tests."""
    home = tmp_path_factory.mktemp("home")
    os.environ["NAPARI_CONFIG"] = str(home / "napari.yaml")
    os.environ["HISTOPROMPT_HOME"] = str(home / "histoprompt")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images and masks that lies beside the checkout, where there is one."""
    if not SHARED.is_dir():
        pytest.skip("the shared data folder is not beside this checkout")
    return SHARED


@pytest.fixture(scope="session")
def sample_slide() -> Path:
    """The sample slide of the repository."""
    return Path(__file__).resolve().parents[1] / "sample_data" / "slide.ome.tif"


@pytest.fixture(scope="module")
def small_windows() -> Iterator[None]:
    """Classical cells are looked for in windows that are no larger than the pictures of tests.

    A window of the model is 1024 pixels a side, and a smaller picture is mirrored until it fills
    one. What is done in a window is the same.
    """
    from histoprompt.models import registry
    from histoprompt.models.zoo import classical_cells
    from histoprompt.pipelines.recipes import unit

    def forget() -> None:
        """Cards that were read, and the models that runs of this process keep loaded."""
        registry._known_cards.cache_clear()
        unit._manager.cache_clear()

    with pytest.MonkeyPatch.context() as patch:
        card = replace(classical_cells.CARD, input_size=256, window_stride=192)
        patch.setattr(classical_cells, "CARD", card)
        forget()
        yield
    forget()
