"""Slides behind addresses, over a server on this machine that counts what it sends."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile
from test_slide_io import halves, picture, write_pyramid

import http_server
from histoprompt.cli import main
from histoprompt.core.errors import SlideError
from histoprompt.core.files import remote
from histoprompt.core.geometry import Box
from histoprompt.core.readers.naming import result_name
from histoprompt.core.readers.open import open_slide
from histoprompt.core.strings.addresses import address_of
from histoprompt.pipelines.project.project import add_slides, new_project
from histoprompt.pipelines.project.table import ProjectSlide

pytest.importorskip("aiohttp", reason="the extra `remote` is not installed")


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with http_server.running() as running:
        yield running


def serve(server, path, at="/slides"):
    """Serve a file or all files of a folder; the address."""
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    for file in files:
        name = file.relative_to(path.parent).as_posix()
        server.files[f"{at}/{name}"] = http_server.File(file.read_bytes())
    return f"{server.url}{at}/{path.name}"


def noise(height, width):
    """A picture that does not compress, so that bytes are pixels."""
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def zarr_image(path, levels, chunk=128):
    import zarr

    group = zarr.open_group(path, mode="w", zarr_format=3)
    for i, level in enumerate(levels):
        planes = np.ascontiguousarray(level.transpose(2, 0, 1))
        array = group.create_array(
            str(i), shape=planes.shape, chunks=(3, chunk, chunk), dtype="u1", compressors=None
        )
        array[...] = planes
    axes = [{"name": "c", "type": "channel"}] + [
        {"name": n, "type": "space", "unit": "micrometer"} for n in "yx"
    ]
    sets = [
        {"path": str(i), "coordinateTransformations": [{"type": "scale", "scale": [1, s, s]}]}
        for i, s in enumerate(0.25 * 2.0 ** np.arange(len(levels)))
    ]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": sets}]}
    return path


def same_slide(there, here):
    assert (there.key, there.mpp, there.name) == (here.key, here.mpp, here.name)
    assert [a.shape for a in there.levels] == [a.shape for a in here.levels]
    for a, b in zip(there.levels, here.levels, strict=True):
        np.testing.assert_array_equal(a[...], b[...])


def test_ome_zarr_is_the_local_one_and_little_more_than_needed_travels(server, tmp_path):
    path = zarr_image(tmp_path / "a.zarr", halves(noise(1280, 1536), 4))
    address = serve(server, path)
    with open_slide(address) as there, open_slide(path) as here:
        assert there.path == address
        server.sent = 0
        box = Box(300, 410, 700, 930)
        got, _ = there.read(box)
        np.testing.assert_array_equal(got, here.read(box)[0])
        rows, cols = 700 // 128 + 1 - 300 // 128, 930 // 128 + 1 - 410 // 128
        needed = rows * cols * 128 * 128 * 3
        assert needed <= server.sent < 1.3 * needed
        same_slide(there, here)


def test_tiled_tiff_is_the_local_one_and_read_in_parts(server, tmp_path):
    path = tmp_path / "big.tif"
    levels = halves(noise(1536, 1536), 3)
    write_pyramid(path, levels, compression=None, tile=(256, 256))
    address = serve(server, path)
    with open_slide(address) as there, open_slide(path) as here:
        box = Box(512, 512, 768, 1024)
        server.sent = 0
        np.testing.assert_array_equal(there.read(box)[0], here.read(box)[0])
        needed = 2 * 256 * 256 * 3
        assert server.sent <= needed + 4 * remote.BLOCK
        assert there.key == here.key
        np.testing.assert_array_equal(there.levels[-1][...], here.levels[-1][...])


def test_striped_tiff_and_names_in_addresses(server, tmp_path):
    path = tmp_path / "a b.ome.tif"
    tifffile.imwrite(path, picture(), photometric="rgb")
    address = serve(server, path).replace(" ", "%20")
    server.files["/slides/a%20b.ome.tif"] = server.files["/slides/a b.ome.tif"]
    with open_slide(f"{address}?token=1") as there, open_slide(path) as here:
        same_slide(there, here)
    assert result_name(f"{address}?token=1") == "a b"


def test_an_address_that_went_through_a_path(server, tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, picture(), photometric="rgb", tile=(64, 64))
    address = serve(server, path)
    assert address_of(Path(address)) == address
    with open_slide(Path(address)) as slide:
        assert slide.path == address


@pytest.mark.parametrize("name", ["gone.tif", "gone.zarr", "gone"])
def test_nothing_there(server, name):
    with pytest.raises(SlideError, match=r"does not exist on the server|not a readable OME-Zarr"):
        open_slide(f"{server.url}/{name}")


@pytest.mark.parametrize("name", ["a.tif", "a.zarr"])
def test_no_server(name):
    with http_server.running() as gone:
        address = gone.url
    with pytest.raises(SlideError, match="cannot be reached"):
        open_slide(f"{address}/{name}")


@pytest.mark.parametrize("name", ["a.tif", "a.zarr/zarr.json"])
def test_a_server_that_refuses(server, name):
    server.files[f"/{name}"] = http_server.File(status=403)
    with pytest.raises(SlideError, match="does not let you read"):
        open_slide(f"{server.url}/{name.partition('/')[0]}")


def test_a_server_without_ranges_is_refused(server, tmp_path):
    path = tmp_path / "big.tif"
    tifffile.imwrite(path, noise(512, 1024), photometric="rgb", tile=(128, 128))
    address = serve(server, path)
    server.files["/slides/big.tif"].ranges = False
    with pytest.raises(SlideError, match=r"no range requests.*Download it once"):
        open_slide(address)


def test_a_silent_server(server, tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "SILENT_S", 0.3)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, picture(), photometric="rgb", tile=(64, 64))
    address = serve(server, path)
    gate = server.files["/slides/a.tif"].gate = threading.Event()
    try:
        with pytest.raises(SlideError, match="did not answer"):
            open_slide(address)
    finally:
        gate.set()


def test_a_connection_that_is_lost_once_is_tried_again(server, tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, picture(), photometric="rgb", tile=(64, 64))
    address = serve(server, path)
    server.files["/slides/a.tif"].cuts = [100]
    with open_slide(address) as there, open_slide(path) as here:
        same_slide(there, here)


def test_what_is_no_slide_and_what_is_no_address(server):
    server.files["/a.png"] = http_server.File(b"\x89PNG" + bytes(100))
    with pytest.raises(SlideError, match="neither OME-Zarr nor a TIFF"):
        open_slide(f"{server.url}/a.png")
    with pytest.raises(SlideError, match=r"begins with gs://.*https://"):
        open_slide("gs://bucket/a.tif")


def test_slides_of_a_project_and_commands_take_addresses(server, tmp_path, capsys):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, picture(), photometric="rgb", tile=(64, 64))
    address = serve(server, path)
    project, notes = add_slides(new_project(tmp_path / "study"), [ProjectSlide("one", address)])
    assert not notes
    with open_slide(path) as here, project.open(project.slide("one")) as there:
        assert project.slide("one").key == here.key == there.key
    assert main(["info", address]) == 0
    assert address in capsys.readouterr().out


def test_s3(server, tmp_path, monkeypatch):
    pytest.importorskip("s3fs", reason="the extra `remote` is not installed")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, picture(), photometric="rgb", tile=(64, 64))
    image = zarr_image(tmp_path / "b.zarr", halves(noise(256, 256), 2))
    serve(server, path, "/bucket")
    serve(server, image, "/bucket")
    with open_slide("s3://bucket/a.tif") as there, open_slide(path) as here:
        same_slide(there, here)
    with open_slide("s3://bucket/b.zarr") as there, open_slide(image) as here:
        same_slide(there, here)
