"""The bookkeeping of memory alone, without models, devices or threads."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histoprompt.core.errors import ModelError, OutOfMemoryError
from histoprompt.models.card import ModelCard, WeightsSpec
from histoprompt.models.devices import MIB
from histoprompt.models.memory.footprints import Footprint
from histoprompt.models.memory.loaded_models import ModelPool, key_of, to_set_aside

SIZES = st.floats(0, 100)


def key(name):
    return name, ""


def put(residents, name, weights=100.0, peak=50.0, budget=1000.0):
    """Lend a model and put it in its place, as a first use does."""
    lease, _ = residents.lend(key(name), Footprint(weights, peak), budget)
    assert lease is not None
    if lease.must_load:
        assert residents.settle(lease, object(), Footprint(weights, peak), budget) == (True, [])
    return lease


def ids(residents):
    return [shown.card_id for shown in residents.shown()]


def card():
    spec = WeightsSpec("a.pth", "nowhere", n_bytes=100 * MIB)
    return ModelCard("a", "prompt", "A", "none:none", weights=spec, memory_mib=150)


def test_a_lease_counts_weights_once_and_every_peak():
    residents = ModelPool()
    first, second = put(residents, "a"), put(residents, "a")
    assert (first.must_load, second.must_load) == (True, False)
    assert residents.used_mib == 200
    residents.give_back(first)
    assert residents.used_mib == 150
    assert residents.shown()[0].leased
    residents.give_back(second)
    assert residents.used_mib == 100
    assert not residents.shown()[0].leased


def test_idle_models_make_room_oldest_first_and_no_more_than_needed():
    residents = ModelPool()
    for name in "abcd":
        residents.give_back(put(residents, name))
    residents.give_back(put(residents, "a"))
    assert ids(residents) == ["b", "c", "d", "a"]
    assert [r.key for r in residents.evict_for(100, 300)] == [key("b"), key("c")]
    assert ids(residents) == ["d", "a"]


def test_a_model_in_use_or_kept_stays():
    residents = ModelPool()
    put(residents, "used")
    residents.give_back(put(residents, "kept"))
    assert residents.evict_for(1000, 300, keep=key("kept")) == []
    assert ids(residents) == ["used", "kept"]


def test_without_room_nothing_is_lent():
    residents = ModelPool()
    put(residents, "a", budget=200)
    assert residents.lend(key("b"), Footprint(100, 50), 200) == (None, [])
    assert ids(residents) == ["a"]


def test_a_model_that_is_still_loading_is_not_lent_again():
    residents = ModelPool()
    lease, _ = residents.lend(key("a"), Footprint(100, 50), 1000)
    assert residents.lend(key("a"), Footprint(100, 50), 1000) == (None, [])
    residents.give_back(lease)
    assert ids(residents) == []  # nothing was loaded, so nothing stays


def test_a_model_larger_than_promised_evicts_others_or_is_not_put_in_place():
    residents = ModelPool()
    residents.give_back(put(residents, "idle"))
    lease, evicted = residents.lend(key("a"), Footprint(50, 50), 300)
    assert evicted == []
    fits, evicted = residents.settle(lease, "model", Footprint(200, 50), 300)
    assert fits
    assert [r.key for r in evicted] == [key("idle")]
    assert lease.resident.model == "model"

    other, _ = residents.lend(key("b"), Footprint(20, 20), 300)
    fits, _ = residents.settle(other, "model", Footprint(100, 20), 300)
    assert not fits
    assert other.resident.model is None
    residents.give_back(other)
    assert ids(residents) == ["a"]


def test_taking_out_takes_all_weights_of_a_card_unless_in_use():
    residents = ModelPool()
    for weights in ("", "/own.pth"):
        lease, _ = residents.lend(("a", weights), Footprint(1, 1), 1000)
        residents.settle(lease, object(), Footprint(1, 1), 1000)
        residents.give_back(lease)
    used = put(residents, "b")
    with pytest.raises(ModelError, match="b is in use"):
        residents.take_out("b")
    assert [r.key for r in residents.take_out("a")] == [("a", ""), ("a", "/own.pth")]
    assert residents.take_out("nothing") == []
    residents.give_back(used)
    assert len(residents.take_out("b")) == 1


@given(
    st.floats(100, 300),
    st.lists(st.tuples(st.sampled_from("abcde"), SIZES, SIZES, st.booleans()), max_size=30),
)
def test_whatever_is_lent_the_budget_holds(budget, wishes):
    residents, held = ModelPool(), []
    for name, weights, peak, keep in wishes:
        before = {r.key for r in residents if r.leases}
        lease, _ = residents.lend(key(name), Footprint(weights, peak), budget)
        assert residents.used_mib <= budget + 1e-3
        assert before <= {r.key for r in residents}  # nobody's model was taken away
        if lease is None:
            continue
        if lease.must_load:
            residents.settle(lease, object(), Footprint(weights, peak), budget)
        if keep:
            held.append(lease)
        else:
            residents.give_back(lease)
    for lease in held:
        residents.give_back(lease)
    assert not any(shown.leased for shown in residents.shown())


def test_a_large_measured_peak_shrinks_to_what_is_left():
    assert to_set_aside(card(), Footprint(100, 500), 1000, "cpu") == Footprint(100, 500)
    assert to_set_aside(card(), Footprint(100, 500), 180, "cpu") == Footprint(100, 80)


def test_a_model_that_never_fits_is_refused_with_the_numbers():
    assert to_set_aside(card(), Footprint(100, 50), 150, "cpu") == Footprint(100, 50)
    with pytest.raises(OutOfMemoryError, match=r"A needs 150 MiB on cpu \(100.*budget of 149 MiB"):
        to_set_aside(card(), Footprint(100, 500), 149, "cpu")


def test_own_weights_have_a_key_of_their_own():
    assert key_of(card(), None) == ("a", "")
    assert key_of(card(), Path("/own.pth")) == ("a", str(Path("/own.pth").absolute()))
