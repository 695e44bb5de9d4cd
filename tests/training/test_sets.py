"""Sets of images: what is known of them, and that nothing is learnt from what is held out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from skimage.io import imsave

from histoprompt.core.errors import LabelError
from histoprompt.training import run, shares
from histoprompt.training.sets import SetConfig, members, parted


@pytest.fixture
def folder(tmp_path):
    base = tmp_path / "set"
    for part in ("images", "labels"):
        (base / part).mkdir(parents=True)
    rows = ["name,patient"]
    for k in range(6):
        imsave(base / "images" / f"t{k}.png", np.zeros((8, 8, 3), np.uint8), check_contrast=False)
        imsave(base / "labels" / f"t{k}.tif", np.ones((8, 8), np.uint16), check_contrast=False)
        rows.append(f"t{k},{k // 2:02d}")
    (base / "tiles.csv").write_text("\n".join(rows) + "\n")
    return base


def test_members_have_their_group_and_what_is_known_of_the_set(folder):
    items = members(SetConfig(folder, mpp=0.175, group="patient", silver=True))
    assert [(i.name, i.group) for i in items][:3] == [("t0", "00"), ("t1", "00"), ("t2", "01")]
    assert {(i.mpp, i.silver, i.kind) for i in items} == {(0.175, True, "stained")}


def test_whole_groups_are_held_out(folder):
    learnt, held = parted(members(SetConfig(folder, group="patient")), ("01", "02"))
    assert {i.name for i in learnt} == {"t0", "t1"}
    assert {i.name for i in held} == {"t2", "t3", "t4", "t5"}


def test_images_are_held_out_by_name(folder):
    learnt, held = parted(members(SetConfig(folder)), ("t3",))
    assert [i.name for i in held] == ["t3"]
    assert len(learnt) == 5


def test_a_column_that_is_not_there_is_named(folder):
    with pytest.raises(LabelError, match="organ"):
        members(SetConfig(folder, group="organ"))
    (folder / "tiles.csv").write_text("name,patient\nt0,00\n")
    with pytest.raises(LabelError, match="does not name t1"):
        members(SetConfig(folder, group="patient"))


def test_a_config_with_sets_is_read_and_nothing_is_in_both_parts(folder):
    path = folder.parent / "train.toml"
    path.write_text(
        'out = "w.safetensors"\nwork = "tmp"\n'
        '[[sets]]\nfolder = "set"\nmpp = 0.25\ngroup = "patient"\nheld_out = ["02"]\n'
    )
    config = run.read_config(path)
    assert config.sets[0].folder == folder
    learnt, kept = shares.splits(config)
    assert [i.name for i in learnt[0].items] == ["t0", "t1", "t2", "t3"]
    assert [(k.name, [i.name for i in k.items]) for k in kept] == [("set", ["t4", "t5"])]


def test_a_set_learnt_from_in_two_ways_is_checked_once(folder):
    one = SetConfig(folder, group="patient", held_out=("02",))
    config = run.TrainConfig(
        folder / "w", folder / "work", sets=(one, replace(one, brown=1.0, variants=3))
    )
    learnt, kept = shares.splits(config)
    assert [(len(x.items), x.variants, x.items[0].brown) for x in learnt] == [
        (4, 8, 0.14),
        (4, 3, 1.0),
    ]
    assert [len(k.items) for k in kept] == [2]


@pytest.mark.parametrize("held_out", ['["00", "01", "02"]', "[]"])
def test_a_split_that_leaves_one_part_empty_is_refused(folder, held_out):
    path = folder.parent / "train.toml"
    path.write_text(
        'out = "w.safetensors"\nwork = "tmp"\n'
        f'[[sets]]\nfolder = "set"\ngroup = "patient"\nheld_out = {held_out}\n'
    )
    with pytest.raises(LabelError, match="others to check on"):
        shares.splits(run.read_config(path))


def test_a_misspelt_field_of_a_set_is_refused(folder):
    path = folder.parent / "train.toml"
    path.write_text('out = "w"\nwork = "tmp"\n[[sets]]\nfolder = "set"\nmmp = 0.25\n')
    with pytest.raises(run.ConfigError, match="mmp"):
        run.read_config(path)
