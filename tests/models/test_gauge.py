"""Measuring loads and uses on a device whose figures are known."""

from __future__ import annotations

import pytest

from histoprompt.core.errors import ModelError
from histoprompt.models.card import ModelCard, WeightsSpec
from histoprompt.models.devices import MIB
from histoprompt.models.memory.device_profiler import BELIEVABLE, DeviceProfiler
from histoprompt.models.memory.footprints import Footprint, FootprintBook


class Figures:
    """A meter that says what it is told to."""

    def __init__(self, exact):
        self.exact = exact
        self.used = self.peak = 0.0
        self.looks = 0

    def free_mib(self):
        self.looks += 1
        return 1000.0

    def used_mib(self):
        return self.used

    def reset_peak(self):
        self.peak = self.used

    def peak_mib(self):
        return self.peak

    def empty_cache(self):
        pass


def make(exact=True):
    meter = Figures(exact)
    return DeviceProfiler("cpu", meter, FootprintBook(None), "float32"), meter


def card(weights=True, total=150):
    spec = WeightsSpec("a.pth", "nowhere", n_bytes=100 * MIB) if weights else None
    return ModelCard("a", "prompt", "A", "none:none", weights=spec, memory_mib=total)


def use(gauge, meter, peak):
    with gauge.measured_use(card()):
        meter.peak = meter.used + peak


def test_the_device_is_looked_for_once_and_not_before_it_is_needed():
    gauge, meter = make()
    assert not gauge.prepared
    assert meter.looks == 0
    assert (gauge.device, gauge.meter, gauge.free_at_first_mib) == ("cpu", meter, 1000)
    gauge.prepare()
    assert gauge.prepared
    assert meter.looks == 1


def test_a_device_that_is_not_there_is_refused_at_first_need():
    gauge = DeviceProfiler("abacus", None, FootprintBook(None), "float32")
    with pytest.raises(ModelError, match="abacus"):
        gauge.prepare()
    assert not gauge.prepared


@pytest.mark.parametrize(("exact", "found"), [(True, 5000), (False, BELIEVABLE * 150)])
def test_a_model_without_tensors_is_weighed_by_the_meter_as_far_as_that_is_believed(exact, found):
    gauge, meter = make(exact)

    def load():
        meter.used += 5000
        return "model"

    assert gauge.measured_load(card(), load) == ("model", found)
    assert gauge.footprint(card()).weights_mib == found


def test_memory_that_shrinks_meanwhile_is_no_negative_weight():
    gauge, meter = make()
    meter.used = 500

    def load():
        meter.used = 100
        return "model"

    assert gauge.measured_load(card(), load) == ("model", 0)


def test_a_model_without_weights_weighs_nothing_whatever_else_happens():
    gauge, meter = make()

    def load():
        meter.used += 50
        return "model"

    assert gauge.measured_load(card(weights=False), load) == ("model", 0)


def test_the_highest_peak_is_remembered():
    gauge, meter = make()
    for peak in (20, 70, 30):
        use(gauge, meter, peak)
    assert gauge.footprint(card()) == Footprint(100, 70)


def test_a_peak_is_remembered_only_of_a_use_that_went_well_and_was_alone():
    gauge, meter = make()
    with pytest.raises(ZeroDivisionError), gauge.measured_use(card()):
        _ = 1 / 0
    with gauge.measured_use(card()):
        use(gauge, meter, 20)
    assert gauge.footprint(card()).peak_mib == 50  # the card's own figure still
    use(gauge, meter, 20)
    assert gauge.footprint(card()).peak_mib == 20
