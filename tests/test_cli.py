"""The command line: what it writes, what it says, and how it fails."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save_file

from histoprompt import __version__
from histoprompt.cli import main
from histoprompt.core.geometry import Box
from histoprompt.core.labels.tiff import read_labels
from histoprompt.core.slides.sample import CLASSES, LABELS, SLIDE, sample_file
from histoprompt.models import registry
from histoprompt.pipelines.formats.coco import read_coco
from histoprompt.pipelines.formats.geojson import read_geojson
from histoprompt.pipelines.formats.tiles import read_tiles
from truth import Nucleus, nuclei_near

SIZE = (2400, 3000)
PURPLE, PINK = (90, 60, 140), (232, 190, 215)
Fails = Callable[..., str]


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Fails:
    """Run a command that must exit with 1 and one line on stderr, and give that line."""

    def run(*argv: object, words: tuple[str, ...] = ()) -> str:
        capsys.readouterr()
        assert main([str(arg) for arg in argv]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("histoprompt: ")
        assert err.count("\n") == 1
        assert "Traceback" not in err
        for word in words:
            assert word in err
        return err

    return run


def ran(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    """What a command that must succeed printed."""
    capsys.readouterr()
    assert main([str(arg) for arg in argv]) == 0
    return capsys.readouterr().out


def write(path: Path, document: object) -> Path:
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def boxes_file(path: Path, *boxes: list[float]) -> Path:
    objects = [{"id": i, "box": box} for i, box in enumerate(boxes, start=1)]
    return write(path, {"objects": objects})


def picture(path: Path, rows: int = 120, cols: int = 160) -> Path:
    """One dark disc of radius 14 about (60, 70) on pink; no pixel size."""
    rr, cc = np.mgrid[:rows, :cols]
    image = np.full((rows, cols, 3), PINK, np.uint8)
    image[(rr - 60) ** 2 + (cc - 70) ** 2 <= 14**2] = PURPLE
    Image.fromarray(image).save(path)
    return path


@pytest.fixture(scope="module")
def slide() -> Path:
    """The sample slide."""
    return sample_file(SLIDE)


@pytest.fixture(scope="module")
def nuclei() -> list[Nucleus]:
    return nuclei_near(5)


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory, nuclei: list[Nucleus]) -> Path:
    """Box, click, scribble, box with clicks, box: ids 11, 22, 33, 44, 55."""
    row, col = nuclei[2].middle
    stroke = [[row, col - 4], [row, col + 4]]
    objects = [
        {"id": 11, "box": list(nuclei[0].box)},
        {"id": 22, "points": [nuclei[1].middle], "labels": [1]},
        {"id": 33, "scribbles": {"positive": [stroke], "negative": []}},
        {"id": 44, "box": list(nuclei[3].box), "points": [nuclei[3].middle], "labels": [1]},
        {"id": 55, "box": list(nuclei[4].box)},
    ]
    return write(tmp_path_factory.mktemp("cli") / "prompts.json", {"objects": objects})


@pytest.fixture
def small(tmp_path: Path) -> tuple[Path, Path]:
    """A picture with one disc, and a prompts file with a box around it."""
    box = [45, 55, 76, 86]
    return picture(tmp_path / "disc.png"), boxes_file(tmp_path / "disc.json", box)


# -- info -----------------------------------------------------------------------------------------


def test_info_prints_what_the_sample_slide_is(slide, capsys):
    printed = ran(capsys, "info", slide)
    for text in ("2400 x 3000 pixels", "0.25 um a pixel (from the file)", "0.60 x 0.75 mm"):
        assert text in printed
    assert "level 3" in printed
    assert "downsample 8" in printed
    assert "vendor" in printed


def test_info_says_what_is_missing_and_takes_a_typed_pixel_size(tmp_path, capsys):
    path = picture(tmp_path / "plain.png")
    printed = ran(capsys, "info", path)
    assert "unknown" in printed
    assert "missing or assumed" in printed
    assert "mpp" in printed
    typed = ran(capsys, "info", path, "--mpp", "0.5")
    assert "0.5 um a pixel (typed by the user)" in typed


def test_info_of_a_real_svs(shared_data, capsys):
    printed = ran(capsys, "info", shared_data / "slides" / "CMU-1-Small-Region.svs")
    assert "2967 x 2220 pixels" in printed
    assert "0.499 um a pixel" in printed
    assert "perio" in printed


# -- segment --------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["classical", "litemedsam"])
def test_segment_finds_nuclei_of_the_sample_slide(model, prompts, nuclei, tmp_path, capsys):
    out = tmp_path / "labels.tif"
    argv = ["--prompts", prompts, "--model", model, "--out", out, "--device", "cpu"]
    printed = ran(capsys, "segment", sample_file(SLIDE), *argv)
    assert printed == f"5 objects -> {out}\n"
    assert sorted(os.listdir(tmp_path)) == ["labels.tif", "recipe.toml"]
    labels = tifffile.imread(out)
    assert (labels.dtype, labels.shape) == (np.uint32, SIZE)
    assert np.unique(labels).tolist() == [0, 11, 22, 33, 44, 55]
    for value, nucleus in zip((11, 22, 33, 44, 55), nuclei, strict=True):
        assert nucleus.iou(labels == value) > 0.6, value
    with tifffile.TiffFile(out) as tiff:
        assert 'PhysicalSizeX="0.25"' in (tiff.ome_metadata or "")


def test_segment_says_which_prompts_became_boxes(small, tmp_path, capsys):
    picture_, _ = small
    clicks = write(tmp_path / "clicks.json", {"objects": [{"id": 3, "points": [[60, 70]]}]})
    argv = ["--prompts", clicks, "--out", tmp_path / "l.tif", "--device", "cpu"]
    argv += ["--model", "litemedsam"]
    assert main([str(v) for v in ("segment", picture_, *argv)]) == 0
    assert "LiteMedSAM takes boxes only: the clicks became a box." in capsys.readouterr().err


def test_by_default_every_kind_of_prompt_is_taken_as_it_is(prompts, nuclei, tmp_path, capsys):
    out = tmp_path / "labels.tif"
    argv = ("segment", sample_file(SLIDE), "--prompts", prompts, "--out", out, "--device", "cpu")
    assert main([str(v) for v in argv]) == 0
    assert "box" not in capsys.readouterr().err
    labels = tifffile.imread(out)
    found = zip((11, 22, 33, 44, 55), nuclei, strict=True)
    right = [nucleus.iou(labels == value) for value, nucleus in found]
    assert min(right) > 0.55, right
    assert np.mean(right) > 0.75, right


def test_a_region_has_its_size_and_place(slide, prompts, nuclei, tmp_path, capsys):
    box = nuclei[0].box.union(nuclei[1].box).pad(9)
    text = ",".join(f"{v:.0f}" for v in box)
    common = ["--prompts", prompts, "--model", "classical", "--device", "cpu"]
    ran(capsys, "segment", slide, *common, "--out", tmp_path / "all.tif")
    ran(capsys, "segment", slide, *common, "--out", tmp_path / "part.tif", "--region", text)
    whole, part = tifffile.imread(tmp_path / "all.tif"), tifffile.imread(tmp_path / "part.tif")
    assert part.shape == box.shape
    assert {11, 22} <= set(np.unique(part).tolist())
    assert np.array_equal(part, whole[box.slices()])
    labels = read_labels(tmp_path / "part.tif")
    assert labels.origin == (box.r0, box.c0)
    assert np.array_equal(labels.read(box), part)


def test_an_object_outside_the_region_is_told(small, tmp_path, capsys):
    picture_, prompts = small
    argv = ["--prompts", prompts, "--model", "classical", "--device", "cpu"]
    argv += ["--out", tmp_path / "l.tif", "--region", "0,0,20,30"]
    assert main([str(v) for v in ("segment", picture_, *argv)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("0 objects")
    assert err == "note: no pixels were found for object 1.\n"
    assert tifffile.imread(tmp_path / "l.tif").shape == (20, 30)


def test_a_typed_pixel_size_stands_in_the_labels(small, tmp_path, capsys):
    picture_, prompts = small
    argv = ["--prompts", prompts, "--model", "classical", "--device", "cpu", "--mpp", "0.5"]
    ran(capsys, "segment", picture_, *argv, "--out", tmp_path / "l.tif")
    with tifffile.TiffFile(tmp_path / "l.tif") as tiff:
        assert 'PhysicalSizeX="0.5"' in (tiff.ome_metadata or "")


def test_an_earlier_label_file_is_replaced(small, tmp_path, capsys):
    picture_, prompts = small
    out = tmp_path / "l.tif"
    out.write_bytes(b"an earlier run")
    argv = ["--prompts", prompts, "--model", "classical", "--device", "cpu", "--out", out]
    ran(capsys, "segment", picture_, *argv)
    assert np.unique(tifffile.imread(out)).tolist() == [0, 1]


@pytest.mark.parametrize("which", ["slide", "prompts"])
def test_the_output_never_replaces_an_input(which, small, tmp_path, fails):
    picture_, prompts = small
    out = {"slide": picture_, "prompts": prompts}[which]
    before = out.read_bytes()
    argv = ["--prompts", prompts, "--model", "classical", "--device", "cpu", "--out", out]
    fails("segment", picture_, *argv, words=("--out", out.name))
    assert out.read_bytes() == before


# -- export ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory, slide: Path, prompts: Path) -> Path:
    """Labels of five nuclei of the sample slide."""
    out = tmp_path_factory.mktemp("labelled") / "labels.tif"
    argv = ["segment", slide, "--prompts", prompts, "--model", "classical", "--out", out]
    assert main([*map(str, argv), "--device", "cpu"]) == 0
    return out


def read_back(fmt: str, folder: Path) -> NDArray[np.uint32]:
    """An export as one label image of the sample slide's size."""
    if fmt == "labels":
        return np.asarray(tifffile.imread(folder / "labels.ome.tif"))
    if fmt == "geojson":
        found = read_geojson(folder / "objects.geojson", SIZE)
    else:
        found = (read_tiles if fmt == "tiles" else read_coco)(folder)
    return found.labels.read(Box.of_shape(SIZE))


@pytest.mark.parametrize("fmt", ["tiles", "coco", "geojson", "labels"])
def test_what_is_exported_reads_back_equal(fmt, slide, labelled, tmp_path, capsys):
    classes = tmp_path / "classes.csv"
    classes.write_text("id,class\n11,tumour\n33,lymphocyte\n")
    out = tmp_path / "out"
    argv = ["--image", slide, "--labels", labelled, "--classes", classes, "--out", out]
    printed = ran(capsys, "export", *argv, "--format", fmt)
    assert printed.startswith("5 objects")
    assert "1 lymphocyte" in printed
    assert "1 tumour" in printed
    assert np.array_equal(read_back(fmt, out), tifffile.imread(labelled))
    assert sorted(os.listdir(tmp_path)) == ["classes.csv", "out"]


def test_the_truth_of_the_sample_slide_is_exported_with_its_classes(slide, tmp_path, capsys):
    argv = ["--image", slide, "--labels", sample_file(LABELS), "--out", tmp_path / "out"]
    printed = ran(capsys, "export", *argv, "--classes", sample_file(CLASSES), "--format", "geojson")
    assert "lymphocyte" in printed
    truth = tifffile.imread(sample_file(LABELS))
    assert np.array_equal(read_back("geojson", tmp_path / "out"), truth)


def test_labels_of_a_region_find_their_place(labelled, nuclei, tmp_path, capsys, fails):
    box = nuclei[0].box.pad(20)
    cut = tifffile.imread(labelled)[box.slices()]
    tifffile.imwrite(tmp_path / "cut.tif", cut)
    argv = [
        "export",
        "--image",
        sample_file(SLIDE),
        "--labels",
        tmp_path / "cut.tif",
        "--format",
        "tiles",
    ]
    argv += ["--out", tmp_path / "out"]
    fails(*argv, words=("2400 rows", "which one"))
    fails(*argv, "--region", "0,0,50,50", words=("50 rows", str(box.shape[0])))
    assert not (tmp_path / "out").exists()
    ran(capsys, *argv, "--region", ",".join(f"{v:.0f}" for v in box))
    expected = np.zeros(SIZE, np.uint32)
    expected[box.slices()] = cut
    assert np.array_equal(read_back("tiles", tmp_path / "out"), expected)


# -- models, doctor -------------------------------------------------------------------------------


def test_models_list_names_every_model_and_its_weights(capsys):
    lines = ran(capsys, "models", "list").splitlines()
    rows = {line.split()[0]: line for line in lines[1:]}
    assert list(rows) == [card.id for card in registry.all_cards()]
    assert "present" in rows["litemedsam"]
    assert "none needed" in rows["classical"]
    assert "missing" in rows["medsam"]


def test_models_path_and_verify(capsys, fails):
    path = Path(ran(capsys, "models", "path", "litemedsam").strip())
    assert path.is_file()
    assert "needs no weights" in ran(capsys, "models", "path", "classical")
    assert "is the published file" in ran(capsys, "models", "verify", "litemedsam")
    assert "litemedsam" in ran(capsys, "models", "verify")
    for action in ("path", "verify"):
        fails("models", action, "medsam", words=("medsam_vit_b.pth", "zenodo", "models"))
    fails("models", "path", "nonsense", words=("nonsense", "litemedsam"))


def test_a_file_to_verify_needs_its_model(tmp_path, fails):
    (tmp_path / "own.pth").write_bytes(b"weights")
    fails("models", "verify", "--weights", tmp_path / "own.pth", words=("model", "--weights"))


def test_doctor_looks_at_the_machine(capsys):
    status = main(["doctor", "--quick", "--device", "cpu"])
    printed = capsys.readouterr().out
    for name in ("python", "torch", "device: cpu", "free memory", "weights of litemedsam: present"):
        assert name in printed
    assert "speed of" not in printed
    assert status == int("[fail]" in printed)


# -- wrong usage ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["nonsense"],
        ["info"],
        ["info", "a.svs", "--mpp", "0"],
        ["info", "a.svs", "--mpp", "wide"],
        ["segment", "a.svs", "--out", "l.tif"],
        ["segment", "a.svs", "--prompts", "p.json", "--out", "l.tif", "--device", "abacus"],
        ["export", "--image", "a", "--labels", "l", "--out", "o", "--format", "jpeg"],
        ["models"],
    ],
)
def test_wrong_usage_exits_with_two(argv, capsys):
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    assert "usage: histoprompt" in capsys.readouterr().err


def test_version(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"histoprompt {__version__}\n"


# -- bad input ------------------------------------------------------------------------------------


def test_no_such_slide(tmp_path, fails):
    fails("info", tmp_path / "gone.svs", words=("gone.svs", "does not exist"))


def test_a_compression_nobody_can_decode(tmp_path, fails):
    path = tmp_path / "odd.tif"
    plane = np.zeros((128, 128, 3), np.uint8)
    tifffile.imwrite(path, plane, photometric="rgb", tile=(64, 64), compression="deflate")
    patch(path, "Compression", (34661).to_bytes(2, "little"))
    fails("info", path, words=("odd.tif", "JBIG"))


def test_a_zero_size_image(tmp_path, fails):
    path = tmp_path / "zero.tif"
    tifffile.imwrite(path, np.zeros((30, 40, 3), np.uint8), photometric="rgb", metadata=None)
    patch(path, "ImageWidth", bytes(4))
    fails("info", path, words=("zero", "no pixels"))


def patch(path: Path, tag: str, value: bytes) -> None:
    """Change the value of a tag of the first page."""
    with tifffile.TiffFile(path) as tiff:
        at = tiff.pages[0].tags[tag].valueoffset
    with path.open("r+b") as file:
        file.seek(at)
        file.write(value)


@pytest.mark.parametrize(
    ("document", "key"),
    [
        ({"things": []}, '"objects"'),
        ({"objects": []}, '"objects"'),
        ({"objects": [{"box": [1, 2, 30, 40]}]}, "objects[0].id"),
        ({"objects": [{"id": 1, "box": [1, 2, 3]}]}, "objects[0].box"),
        ({"objects": [{"id": 1, "box": [30, 2, 3, 40]}]}, "objects[0].box"),
        ({"objects": [{"id": 1, "points": [[1, "x"]]}]}, "objects[0].points[0]"),
        ({"objects": [{"id": 1, "points": [[1, 2]], "labels": [1, 0]}]}, "objects[0].labels"),
        ({"objects": [{"id": 1, "scribble": []}]}, '"scribble"'),
        ({"objects": [{"id": 1, "points": [[1, 2]], "labels": [0]}]}, "objects[0]"),
        ({"objects": [{"id": 1, "points": [[1, 2]]}] * 2}, '"id" 1'),
    ],
)
def test_a_wrong_prompts_file_names_the_key(document, key, small, tmp_path, fails):
    wrong = write(tmp_path / "wrong.json", document)
    argv = ["--prompts", wrong, "--model", "classical", "--out", tmp_path / "l.tif"]
    fails("segment", small[0], *argv, words=("wrong.json", key))
    assert not (tmp_path / "l.tif").exists()


def test_a_prompts_file_that_is_missing_or_no_json(small, tmp_path, fails):
    argv = ["segment", small[0], "--model", "classical", "--out", tmp_path / "l.tif", "--prompts"]
    fails(*argv, tmp_path / "gone.json", words=("gone.json", "cannot be read"))
    (tmp_path / "text.json").write_text("{oops")
    fails(*argv, tmp_path / "text.json", words=("text.json", "is not JSON"))


def test_a_box_outside_the_slide_gives_the_numbers(small, tmp_path, fails):
    far = boxes_file(tmp_path / "far.json", [45, 55, 76, 86], [500, 900, 520, 930])
    argv = ["--prompts", far, "--model", "classical", "--out", tmp_path / "l.tif"]
    words = ("Object 2", "500", "930", "120 rows", "160 columns")
    fails("segment", small[0], *argv, "--device", "cpu", words=words)
    assert not (tmp_path / "l.tif").exists()


@pytest.mark.parametrize(
    ("region", "words"),
    [
        ("0,0,121,160", ("120 rows", "160 columns")),
        ("-1,0,10,10", ("120 rows", "outside")),
        ("1,2,3", ("r0,c0,r1,c1",)),
        ("a,b,c,d", ("r0,c0,r1,c1",)),
        ("10,10,10,40", ("10",)),
    ],
)
def test_a_wrong_region_is_refused(region, words, small, tmp_path, fails):
    argv = ["--prompts", small[1], "--model", "classical", "--out", tmp_path / "l.tif"]
    fails("segment", small[0], *argv, f"--region={region}", words=words)
    assert not (tmp_path / "l.tif").exists()


def test_missing_weights_name_the_file_its_source_and_the_folder(small, tmp_path, fails):
    argv = ["--prompts", small[1], "--out", tmp_path / "l.tif", "--device", "cpu"]
    folder = str(Path(os.environ["HISTOPROMPT_HOME"]) / "models" / "medsam_vit_b.pth")
    words = ("MedSAM", "medsam_vit_b.pth", "zenodo", folder)
    fails("segment", small[0], *argv, "--model", "medsam", words=words)
    gone = tmp_path / "gone.pth"
    fails("segment", small[0], *argv, "--weights", gone, words=("gone.pth", "does not exist"))
    fails("segment", small[0], *argv, "--model", "nonsense", words=("nonsense", "litemedsam"))
    assert not (tmp_path / "l.tif").exists()


def test_a_wrong_hash_gives_both(small, tmp_path, fails):
    card = registry.card("litemedsam")
    assert card.weights is not None
    wrong = tmp_path / card.weights.filename
    wrong.write_bytes(b"half a download")
    argv = [
        "--model",
        "litemedsam",
        "--prompts",
        small[1],
        "--out",
        tmp_path / "l.tif",
        "--device",
        "cpu",
    ]
    words = (str(wrong), "15 bytes", str(card.weights.digest).partition(":")[2])
    fails("segment", small[0], *argv, "--weights", wrong, words=words)
    fails("models", "verify", "litemedsam", "--weights", wrong, words=words)


def test_a_checkpoint_of_another_architecture_is_named(small, tmp_path, fails):
    other = tmp_path / "unet.safetensors"
    save_file({"down.0.weight": np.zeros((3, 3), np.float32)}, other)
    argv = ["--prompts", small[1], "--out", tmp_path / "l.tif", "--device", "cpu"]
    argv += ["--model", "litemedsam"]
    words = (str(other), "is no LiteMedSAM", "down.0.weight")
    fails("segment", small[0], *argv, "--weights", other, words=words)
    assert not (tmp_path / "l.tif").exists()


def test_bad_labels_and_classes_on_export(slide, labelled, tmp_path, fails):
    def export(**options: object) -> list[object]:
        given = {"image": slide, "labels": labelled, "format": "labels", "out": tmp_path / "out"}
        pairs = [(f"--{name}", value) for name, value in {**given, **options}.items()]
        return ["export", *(word for pair in pairs for word in pair)]

    fails(*export(labels=tmp_path / "gone.tif"), words=("gone.tif",))
    fails(*export(labels=slide), words=("slide.ome.tif",))
    (tmp_path / "cut.tif").write_bytes(labelled.read_bytes()[:900])
    fails(*export(labels=tmp_path / "cut.tif"), words=("cut.tif",))
    fails(*export(classes=tmp_path / "gone.csv"), words=("gone.csv",))
    (tmp_path / "odd.csv").write_text("a,b\n1,2\n")
    fails(*export(classes=tmp_path / "odd.csv"), words=("odd.csv", "id"))
    (tmp_path / "unknown.csv").write_text("id,class\n9999,tumour\n")
    fails(*export(classes=tmp_path / "unknown.csv"), words=("9999",))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.docx").write_text("years of work")
    fails(*export(out=tmp_path / "full"), words=("full", "thesis.docx", "--set-aside"))
    assert not (tmp_path / "out").exists()


def test_export_sets_a_folder_aside_that_holds_other_things(
    slide, labelled, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir("/")
    out = tmp_path / "full"
    out.mkdir()
    (out / "thesis.docx").write_text("years of work")
    given = ("--image", slide, "--labels", labelled, "--format", "labels", "--out", out)
    assert main(["export", *map(str, given), "--set-aside"]) == 0
    assert (tmp_path / "full-before" / "thesis.docx").read_text() == "years of work"
    assert "full-before" in capsys.readouterr().err
    assert sorted(path.name for path in out.iterdir()) == [
        "classes.csv", "export.json", "labels.ome.tif", "recipe.toml"
    ]  # fmt: skip


def test_labels_cannot_be_written_below_a_file(small, tmp_path, fails):
    out = small[0] / "l.tif"
    argv = ["--prompts", small[1], "--model", "classical", "--out", out, "--device", "cpu"]
    fails("segment", small[0], *argv, words=(small[0].name,))


# -- as a process ---------------------------------------------------------------------------------


def process(*argv: object, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, after some lines of Python."""
    code = f"import sys\n{before}\nfrom histoprompt.cli import main\nsys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *map(str, argv)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def told(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """A process ended with 1 and one line that holds these words."""
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr


def test_the_installed_command_runs(slide):
    command = str(Path(sys.executable).with_name("histoprompt"))
    done = subprocess.run([command, "info", slide], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2400 x 3000" in done.stdout


def test_a_reader_that_stops_early_is_no_error():
    read, write_end = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "histoprompt.cli", "models", "list"]
    done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, check=False)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_truncated_tiff_is_one_line_whatever_libraries_log(slide, tmp_path):
    cut = tmp_path / "cut.ome.tif"
    cut.write_bytes(slide.read_bytes()[:1_000_000])
    prompts = boxes_file(tmp_path / "p.json", [2300, 2800, 2330, 2830])
    argv = ["--prompts", prompts, "--model", "classical", "--device", "cpu"]
    done = process("segment", cut, *argv, "--out", tmp_path / "l.tif")
    told(done, "cut.ome.tif", "the file ends", "download it again")
    assert not list(tmp_path.glob("*l.tif*"))
    done = process("info", cut)
    assert (done.returncode, done.stderr) == (0, "")
    assert "the file is cut short" in done.stdout
    cut.write_bytes(slide.read_bytes()[:20])
    told(process("info", cut), "cut.ome.tif", "download it again")


FULL_DISK = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))"


def test_a_full_disk_keeps_the_earlier_export(slide, labelled, tmp_path, capsys):
    argv = ["export", "--image", slide, "--labels", labelled, "--out", tmp_path / "out"]
    ran(capsys, *argv, "--format", "geojson")
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    told(process(*argv, "--format", "tiles", before=FULL_DISK), "no room", "out")
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before
    assert os.listdir(tmp_path) == ["out"]


def test_a_full_disk_leaves_no_half_label_file(slide, prompts, tmp_path):
    out = tmp_path / "l.tif"
    argv = ["--prompts", prompts, "--model", "classical", "--device", "cpu", "--out", out]
    told(process("segment", slide, *argv, before=FULL_DISK), "no room", "l.tif")
    assert os.listdir(tmp_path) == []


def _interrupt(command: list[str], place: Path) -> tuple[int, str]:
    """Run a command and send it an interrupt when its first tile is there."""
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not list(place.rglob("*.png")):
        assert running.poll() is None, "it ended before a tile was written"
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate()
    return running.returncode, err


def test_an_interrupted_export_leaves_nothing(tmp_path):
    rng = np.random.default_rng(0)
    side = 4096
    image = tmp_path / "in" / "big.tif"
    image.parent.mkdir()
    tifffile.imwrite(image, np.full((side, side, 3), 200, np.uint8), tile=(256, 256))
    ids = rng.integers(1, 4000, (side // 8, side // 8)).repeat(8, 0).repeat(8, 1)
    tifffile.imwrite(tmp_path / "in" / "ids.tif", ids.astype(np.uint32))
    place = tmp_path / "place"
    place.mkdir()
    # A shell's background jobs ignore the signal, and so would their children.
    listen = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{listen}; from histoprompt.cli import main; sys.exit(main(sys.argv[1:]))"
    argv = ["export", "--image", image, "--labels", tmp_path / "in" / "ids.tif"]
    argv += ["--format", "tiles", "--out", place / "out"]
    # The export may be through before the signal is served; then it is no test, and is tried again.
    for _ in range(4):
        returncode, err = _interrupt([sys.executable, "-c", code, *map(str, argv)], place)
        if returncode != 0:
            break
        shutil.rmtree(place / "out")
    assert returncode == 130, err
    assert err == "histoprompt: interrupted; nothing half-written was left.\n"
    assert list(place.iterdir()) == []
