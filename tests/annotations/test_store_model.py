"""Random edits on a store give what the same edits on a plain numpy array give."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from skimage.measure import label, regionprops

from histoprompt.annotations.store import LabelStore
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.results import Mask

SHAPE = (37, 29)
CHUNK = 8


class Model:
    """A plain array with a list of snapshots: labels, classes, next id, classes in the list."""

    def __init__(self):
        self.states = [(np.zeros(SHAPE, np.uint32), {}, 1, frozenset())]
        self.at = 0

    @property
    def labels(self):
        return self.states[self.at][0]

    @property
    def classes(self):
        return self.states[self.at][1]

    @property
    def next_id(self):
        return self.states[self.at][2]

    @property
    def ids(self):
        return [int(i) for i in np.unique(self.labels) if i]

    def push(self, labels, classes=None):
        alive = {int(i) for i in np.unique(labels) if i}
        old = self.classes if classes is None else classes
        new = {i: old.get(i, "") for i in alive}
        if np.array_equal(labels, self.labels) and new == self.classes:
            return
        next_id = max([self.next_id, *(i + 1 for i in alive - set(self.classes))])
        listed = self.states[self.at][3] | {name for name in new.values() if name}
        self.states[self.at + 1 :] = [(labels.astype(np.uint32), new, next_id, listed)]
        self.at += 1

    def squash(self, states, at):
        """Make all steps since these states one."""
        last = self.states[self.at]
        self.states, self.at = states, at
        labels, classes, _, listed = states[at]
        # a class that came into use stays in the list, also where its object went again
        if not np.array_equal(last[0], labels) or last[1] != classes or last[3] != listed:
            self.states[at + 1 :] = [last]
            self.at += 1


def boxes():
    def build(values):
        r0, c0, h, w = values
        return Box(r0, c0, min(SHAPE[0], r0 + h), min(SHAPE[1], c0 + w))

    return st.tuples(
        st.integers(0, SHAPE[0] - 1),
        st.integers(0, SHAPE[1] - 1),
        st.integers(1, 20),
        st.integers(1, 20),
    ).map(build)


SEED = st.integers(0, 2**16)
OPS = st.one_of(
    st.tuples(st.just("write"), boxes(), SEED),
    st.tuples(st.just("commit"), boxes(), SEED, st.sampled_from(["keep", "overwrite"])),
    st.tuples(st.just("add"), boxes(), SEED, st.sampled_from(["keep", "overwrite"])),
    st.tuples(st.sampled_from(["merge", "delete", "classify", "split", "cut"]), SEED),
    st.tuples(st.sampled_from(["undo", "undo", "redo", "clear", "group", "fail"]), SEED),
    st.tuples(st.sampled_from(["reopen", "crash", "rebuild"])),
)


def some_of(ids, seed):
    rng = np.random.default_rng(seed)
    return sorted(int(i) for i in rng.permutation(ids)[: rng.integers(1, 4)])


def noise(box, seed):
    """Blobs of several labels, far apart in value so that both ways of measuring are met."""
    values = np.array([0, 0, 1, 2, 3, 70, 90_000, 2**31 + 5])
    rng = np.random.default_rng(seed)
    coarse = rng.choice(values, (box.shape[0] // 3 + 1, box.shape[1] // 3 + 1))
    return np.kron(coarse, np.ones((3, 3), int))[: box.shape[0], : box.shape[1]]


def blob(box, seed):
    rng = np.random.default_rng(seed)
    return Mask(rng.random(box.shape) < 0.6, Frame(box, box.shape), 0.5)


class Walk:
    """The same steps on the store and on the model."""

    def __init__(self, root):
        self.root, self.count = Path(root), 0
        self.model = Model()
        self.folder = self.root / "store"
        self.store = self.open()

    def open(self, **how):
        return LabelStore.open(self.folder, SHAPE, "slide", chunk=CHUNK, **how)

    def do(self, op, *args):
        getattr(self, op)(*args)
        self.check()

    def write(self, box, seed):
        labels = self.model.labels.copy()
        labels[box.slices()] = noise(box, seed)
        self.store.write(box, noise(box, seed))
        self.model.push(labels)

    def commit(self, box, seed, rule, object_id=None):
        mask = blob(box, seed)
        wanted = self.model.next_id if object_id is None else object_id
        labels = self.model.labels.copy()
        part = labels[box.slices()]
        part[mask.array & ((part == 0) | (rule == "overwrite"))] = wanted
        got = self.store.commit(mask, rule, object_id)
        assert got == (wanted if wanted in labels else 0)
        self.model.push(labels)

    def add(self, box, seed, rule):
        self.commit(box, seed, rule, seed % 5 + 1)

    def merge(self, seed):
        if ids := some_of(self.model.ids, seed):
            labels = self.model.labels.copy()
            labels[np.isin(labels, ids)] = ids[0]
            assert self.store.merge(ids) == ids[0]
            self.model.push(labels)

    def delete(self, seed):
        if ids := some_of(self.model.ids, seed):
            labels = self.model.labels.copy()
            labels[np.isin(labels, ids)] = 0
            self.store.delete(np.array(ids))
            self.model.push(labels)

    def clear(self, _):
        self.store.clear()
        self.model.push(np.zeros(SHAPE, np.uint32))

    def classify(self, seed):
        if ids := some_of(self.model.ids, seed):
            name = ["", "tumour", "stroma"][seed % 3]
            self.store.set_class(ids, name)
            self.model.push(self.model.labels, self.model.classes | dict.fromkeys(ids, name))

    def split(self, seed):
        if ids := some_of(self.model.ids, seed):
            pieces = label(self.model.labels == ids[0], connectivity=2)
            got = self.store.split(ids[0])
            assert len(got) == pieces.max()
            assert got[0] == ids[0]
            labels = self.model.labels.copy()
            order = np.argsort(-np.bincount(pieces.ravel())[1:], kind="stable") + 1
            for new, piece in enumerate(order[1:]):
                labels[pieces == piece] = self.model.next_id + new
            self.model.push(labels, self.inherited(got))

    def cut(self, seed):
        """Cut along a row: no pixel may be lost, and no piece spans the cut."""
        if ids := some_of(self.model.ids, seed):
            row = seed % SHAPE[0]
            line = Mask(
                np.ones((1, SHAPE[1]), bool), Frame(Box(row, 0, row + 1, SHAPE[1]), (1, 29))
            )
            mine = self.model.labels == ids[0]
            got = self.store.split(ids[0], along=line)
            after = self.store.read(self.store.box)
            assert np.array_equal(np.isin(after, got), mine)
            assert np.array_equal(after[~mine], self.model.labels[~mine])
            above, below = set(after[:row][mine[:row]]), set(after[row + 1 :][mine[row + 1 :]])
            assert not above & below
            self.model.push(after, self.inherited(got))

    def inherited(self, ids):
        """The classes after a split: all pieces are what the object was."""
        return self.model.classes | dict.fromkeys(ids, self.model.classes[ids[0]])

    def group(self, seed):
        states, before = list(self.model.states), self.model.at
        with self.store.group("several"):
            self.commit(Box(3, 3, 12, 20), seed, "overwrite")
            self.merge(seed)
            self.classify(seed)
            self.delete(seed)
        self.model.squash(states, before)

    def fail(self, seed):
        class StopError(Exception):
            pass

        try:
            with self.store.group("failing"):
                self.store.write(Box(0, 0, 20, 20), noise(Box(0, 0, 20, 20), seed))
                self.store.clear()
                raise StopError
        except StopError:
            pass

    def undo(self, _):
        assert (self.store.undo() is None) == (self.model.at == 0)
        self.model.at = max(0, self.model.at - 1)

    def redo(self, _):
        last = len(self.model.states) - 1
        assert (self.store.redo() is None) == (self.model.at == last)
        self.model.at = min(last, self.model.at + 1)

    def reopen(self):
        self.store.close()
        self.store = self.open()

    def crash(self):
        """Go on with a copy of the files as they lie there, without a farewell."""
        self.count += 1
        folder = self.root / f"copy{self.count}"
        shutil.copytree(self.folder, folder)
        self.store.close()
        self.folder = folder
        self.store = self.open()

    def rebuild(self):
        self.store.close()
        self.store = self.open(rebuild=True)

    def check(self):
        store, labels = self.store, self.model.labels
        assert np.array_equal(store.read(store.box), labels)
        for k, level in enumerate(store.levels):
            assert np.array_equal(level[:], labels[:: 2**k, :: 2**k])
        assert store.ids().tolist() == self.model.ids
        assert store.count == len(self.model.ids)
        assert store.next_id() == self.model.next_id
        self.check_objects()
        self.check_filled()
        assert store.can_undo == (self.model.at > 0)
        assert store.can_redo == (self.model.at < len(self.model.states) - 1)
        assert len(store.history()) == self.model.at

    def check_objects(self):
        names, small = np.unique(self.model.labels, return_inverse=True)
        small = small.reshape(SHAPE) + int(names[0] != 0)
        names = names[names > 0]
        records = self.store.objects()
        props = regionprops(small)
        assert len(records) == len(props)
        for record, prop, name in zip(records, props, names, strict=True):
            assert record.id == name
            assert tuple(record.box) == prop.bbox
            assert record.area_px == prop.area
            assert record.class_name == self.model.classes[record.id]
            assert self.store.box_of(record.id) == record.box
            assert self.store.area_of(record.id) == record.area_px

    def check_filled(self):
        covered = np.zeros(SHAPE, int)
        for box in self.store.filled_boxes():
            assert self.store.read(box).any()
            covered[box.slices()] += 1
        assert covered.max(initial=0) <= 1
        assert (covered[self.model.labels > 0] == 1).all()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(OPS, min_size=4, max_size=18))
def test_random_edits_equal_a_plain_array(operations):
    with tempfile.TemporaryDirectory() as root:
        walk = Walk(root)
        try:
            for operation in operations:
                walk.do(*operation)
        finally:
            walk.store.close()
