"""Training fields: scale, what is known, and images that show their labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from skimage.io import imsave

from histoprompt.core.errors import Cancelled, LabelError
from histoprompt.core.task import Task
from histoprompt.training import augment, chromatin, data, gather, pseudo
from histoprompt.training.gather import PoolConfig
from histoprompt.training.pool import Pooled, make_all


def nuclei(size=160, spacing=26, radius=7, seed=0):
    """A made H&E image of round nuclei, and their labels."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:size, :size]
    labels = np.zeros((size, size), np.int32)
    for value, (r, c) in enumerate(
        [(r, c) for r in range(15, size - 9, spacing) for c in range(15, size - 9, spacing)], 1
    ):
        at = np.array([r, c]) + rng.integers(-3, 4, 2)
        labels[(rows - at[0]) ** 2 + (cols - at[1]) ** 2 <= radius**2] = value
    od = np.where(labels[..., None] > 0, 1.1 * augment.HAEMATOXYLIN, 0.25 * augment.EOSIN)
    return augment.to_rgb(od + 0.02 * rng.random(od.shape)), labels


@pytest.fixture
def folder(tmp_path):
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for k in range(3):
        image, labels = nuclei(seed=k)
        imsave(tmp_path / "images" / f"t{k}.png", image, check_contrast=False)
        imsave(tmp_path / "masks" / f"t{k}.tif", labels.astype(np.uint16), check_contrast=False)
    return tmp_path


def test_exported_tiles_are_found_and_read(folder):
    items = data.annotated_in(folder)
    assert [i.name for i in items] == ["t0", "t1", "t2"]
    image, labels = items[0].read()
    assert image.shape == (160, 160, 3)
    assert labels.max() == nuclei()[1].max()


def test_data_sets_beside_each_other_are_read_together(folder, tmp_path_factory):
    both = tmp_path_factory.mktemp("both")
    for name in ("a", "b"):
        (both / name).symlink_to(folder, target_is_directory=True)
    assert len(data.annotated_in(both)) == 6


def test_a_folder_without_labels_is_refused(tmp_path, folder):
    with pytest.raises(LabelError, match="no training data"):
        data.annotated_in(tmp_path / "images")
    (folder / "masks" / "t1.tif").unlink()
    with pytest.raises(LabelError, match="t1"):
        data.annotated_in(folder)


def test_whole_images_are_brought_to_scale(folder):
    """Nuclei of radius 7 px have a diameter near 14 px."""
    item = replace(data.annotated_in(folder)[0], mpp=0.5)
    for mpp, factor in ((0.5, 1.0), (0.25, 2.0)):
        field = data.plain_field(item, mpp)
        assert field.image.shape == (160 * factor, 160 * factor, 3)
        assert data.median_diameter(field.labels) == pytest.approx(14 * factor, rel=0.08)
        assert field.known.all()


def test_where_no_scale_is_known_nuclei_have_the_usual_size(folder):
    field = data.plain_field(data.annotated_in(folder)[0])
    inner = data.median_diameter(np.where(field.known, field.labels, 0))
    assert inner == pytest.approx(data.NUCLEUS_UM / data.MPP, rel=0.08)
    assert all(n % 16 == 0 for n in field.labels.shape)


@pytest.mark.parametrize("mpp", [0.2, 0.3, 0.6])
def test_fields_have_the_scale_that_was_drawn(folder, mpp):
    item = replace(data.annotated_in(folder)[0], mpp=0.3)
    field = data.stained_field(item, np.random.default_rng(0), mpp)
    assert field.labels.shape == (256, 256)
    assert field.known.all()
    assert data.median_diameter(field.labels) == pytest.approx(14 * 0.3 / mpp, rel=0.15)


def test_scales_reach_from_fine_to_coarse():
    rng = np.random.default_rng(0)
    drawn = np.array([data.drawn_mpp(rng) for _ in range(2000)])
    assert drawn.min() >= 0.2
    assert 0.55 < drawn.max() <= 0.6
    assert 0.6 < (drawn < 0.3).mean() < 0.75
    assert (drawn > 0.45).mean() > 0.08


def test_a_small_image_is_mirrored_with_its_labels():
    image = np.arange(40 * 30 * 3, dtype=np.uint8).reshape(40, 30, 3)
    labels = np.zeros((40, 30), np.int32)
    labels[:5, 10:15] = 7  # cut by the upper edge
    labels[20:24, 10:15] = 9
    shown, found = data.scaled_crop(image, labels, 1.0, np.random.default_rng(0), 64)
    assert shown.shape == (64, 64, 3)
    top = (64 - 40) // 2
    assert np.array_equal(shown[top], shown[top - 1])
    whole = found[top - 5 : top + 5, 17 + 10 : 17 + 15]
    assert len(np.unique(whole)) == 1
    assert whole.min() > 0
    assert np.unique(found).tolist() == list(range(found.max() + 1))


def test_a_mirror_image_apart_is_another_object():
    labels = np.array([[0, 3, 0, 3, 3, 5]], np.int32)
    assert data.renumbered(labels).tolist() == [[0, 1, 0, 2, 2, 3]]
    assert data.renumbered(labels[:, 3:]).tolist() == [[1, 1, 2]]


def test_only_pieces_that_are_one_round_object_are_known_to_be_parted():
    rows, cols = np.mgrid[:60, :120]
    labels = np.zeros((60, 120), np.int32)
    for value, (r, c) in enumerate([(30, 20), (30, 60), (30, 81)], start=1):
        labels[((rows - r) ** 2 + (cols - c) ** 2 < 10**2) & (labels == 0)] = value
    labels[29:32, 69:72] = 2  # they touch
    known = data.whole_nuclei(labels)
    assert known[labels == 1].all()
    assert known[labels == 0].all()
    assert not known[labels > 1].any()
    merged = np.where(labels > 1, 2, labels)  # one label, and the outline of two
    assert not data.whole_nuclei(merged)[merged == 2].any()


def test_what_lies_beyond_the_image_is_not_known():
    image, labels, known = data.crop_or_pad(
        np.ones((40, 300, 3), np.float32), np.ones((40, 300), np.int32), np.random.default_rng(0)
    )
    assert image.shape == (256, 256, 3)
    assert known.sum() == 40 * 256
    assert not labels[~known].any()


@pytest.mark.parametrize("make", ["stained", "made"])
def test_nuclei_are_darker_in_red_than_what_lies_around(folder, make):
    item = data.annotated_in(folder)[0]
    for seed in range(4):
        rng = np.random.default_rng(seed)
        if make == "stained":
            sample = data.stained_field(item, rng)
        else:
            sample = data.made_field(item, gather.random_tissue([], rng), rng)
        red = sample.image[..., 0].astype(float)
        assert red[sample.labels > 0].mean() < red[(sample.labels == 0) & sample.known].mean()


def test_one_seed_gives_one_field(folder):
    item = data.annotated_in(folder)[0]
    one, other = (data.stained_field(item, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one.image, other.image)
    assert np.array_equal(one.labels, other.labels)


def test_density_and_image_are_inverse():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert np.abs(augment.to_rgb(augment.to_od(image)).astype(int) - image).max() <= 1


def test_unmixing_finds_what_was_mixed():
    amounts = np.random.default_rng(0).random((5, 5, 2)).astype(np.float32)
    od = amounts[..., :1] * augment.HAEMATOXYLIN + amounts[..., 1:] * (
        augment.EOSIN / np.linalg.norm(augment.EOSIN)
    )
    haem, eosin, rest = augment.unmix(od)
    assert np.allclose(haem, amounts[..., 0], atol=1e-4)
    assert np.allclose(eosin, amounts[..., 1], atol=1e-4)
    assert np.abs(rest).max() < 1e-4


def test_tissue_loses_its_nuclei():
    image, labels = nuclei(256, 36, 10)
    bare = pseudo.bare_tissue(image, np.random.default_rng(0))[..., 0]
    before = augment.to_od(image)[..., 0]
    assert bare[labels > 0].mean() < 0.4 * before[labels > 0].mean()


def test_a_sure_network_labels_and_an_unsure_one_does_not():
    from histoprompt.training.targets import instance_targets

    image, labels = nuclei(256, 36, 10)
    maps = instance_targets(labels)
    found, known = pseudo.relabelled(image, maps)
    assert len(np.unique(found)) == len(np.unique(labels))
    assert known.mean() > 0.8
    doubtful = maps * np.array([0.6, 1, 1], np.float32)[:, None, None]
    found, known = pseudo.relabelled(image, doubtful)
    assert not found.any()
    assert not known[labels > 0].all()
    found, known = pseudo.relabelled(image, np.zeros_like(maps))  # what is stained may be nuclei
    assert not found.any()
    assert known[labels > 0].mean() < 0.1


def test_samples_read_back_equal(tmp_path):
    image, labels = nuclei(256)
    sample = data.Sample(image, labels, labels >= 0, "made/x/y")
    Pooled.of(sample).save(tmp_path / "a.npz")
    back = Pooled.load(tmp_path / "a.npz")
    assert np.array_equal(back.sample.labels, labels)
    assert back.sample.source == "made/x/y"
    assert back.sample.parted.all()
    assert back.distance[labels == 3].max() == 255
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_a_pool_is_made_once_and_goes_on_where_it_was_stopped(tmp_path, folder):
    items = data.annotated_in(folder)

    def recipes():
        made, empty = gather.made_recipes(items, [], PoolConfig(made=2, empty=1), seed=3)
        return [*gather.stained_recipes(items, 1, (3, 0)), *made, *empty]

    wanted = recipes()
    assert [r.name for r in wanted] == [
        *(f"stained-3-0-0000{k}" for k in range(3)),
        "made-3-00000",
        "made-3-00001",
        "empty-3-00000",
    ]
    task = Task(lambda progress: task.cancel() if progress.done == 2 else None)
    with pytest.raises(Cancelled):
        make_all(wanted, tmp_path / "pool", task, "making")
    first = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "pool").iterdir()}
    assert 0 < len(first) < len(wanted)
    paths = make_all(recipes(), tmp_path / "pool", Task(), "making")
    assert all((tmp_path / "pool" / k).stat().st_mtime_ns == v for k, v in first.items())
    assert not Pooled.load(paths[-1]).sample.labels.any()


def test_views_of_real_tissue_keep_the_labels(folder):
    image, labels = nuclei(256, 36, 10)
    sample = data.Sample(image, labels, labels >= 0, "real/x")
    views = [r.make() for r in gather.real_recipes([lambda: sample], 3, seed=0)]
    assert {int((v.labels > 0).sum()) for v in views} == {int((labels > 0).sum())}
    assert len({v.image.tobytes() for v in views}) == 3


def test_nuclei_are_drawn_out_without_growing():
    _, labels = nuclei(160)
    amount = (labels > 0).astype(np.float32)
    for seed in range(3):
        moved, shapes = chromatin.drawn_out(amount, labels, np.random.default_rng(seed))
        assert 0.6 < (shapes > 0).mean() / (labels > 0).mean() < 1.6
        assert moved[shapes > 0].mean() > 0.8
        assert moved[shapes == 0].mean() < 0.1


def test_each_nucleus_has_a_look_of_its_own():
    _, labels = nuclei(160)
    looks = chromatin.textured((labels > 0).astype(np.float32), labels, np.random.default_rng(1))
    means = [looks[labels == v].mean() for v in range(1, labels.max() + 1)]
    assert np.std(means) > 0.03
    assert not looks[labels == 0].any()


def test_distractors_leave_nuclei_free():
    free = np.ones((128, 128), bool)
    free[:, :64] = False
    for seed in range(20):
        od = chromatin.distractors(free.shape, free, np.random.default_rng(seed))
        assert od[:, :56].max() < 0.01
