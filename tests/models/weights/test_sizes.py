"""Sizes that lists show: published, or worked out from networks built on the meta device."""

from __future__ import annotations

import pytest

from histoprompt.models import registry
from histoprompt.models.card import ModelCard, WeightsSpec
from histoprompt.models.weights.describe import size_of
from histoprompt.models.weights.find import megabytes, size_text
from histoprompt.models.zoo import clip, sam

ALL = registry.all_cards()
FILES = [(card, card.weights) for card in ALL if card.weights is not None and card.blueprint]
# Networks of which the first layers are used, with the published number of values of the whole.
IN_PART = {"efficientnet-lite0": 4_652_008}


def test_every_model_with_weights_shows_a_size() -> None:
    for card in ALL:
        shown = size_of(card)
        assert shown.endswith(" MB") == (card.weights is not None or card.n_params is not None)
        assert shown.startswith("~") == (shown != "-" and card.n_bytes is None)


@pytest.mark.parametrize(
    ("card", "spec"), FILES, ids=[f"{card.id}-{spec.filename}" for card, spec in FILES]
)
def test_a_size_is_that_of_the_network(card: ModelCard, spec: WeightsSpec) -> None:
    """Within 1 %, of published sizes too: what a file holds beside its values is little.

    Values have four bytes, those of the project's own files two; these also hold what is known of
    the pictures that were learnt from.
    """
    blueprint = registry.blueprint_of(card, spec)
    assert blueprint is not None
    each, beside = (2, 0.05) if card.id.startswith("histoprompt-") else (4, 0.01)
    values = IN_PART.get(card.id, blueprint.values)
    assert values >= blueprint.values
    beside = 0.015 if card.id in IN_PART else beside  # batch statistics are no parameters
    assert spec.approx_bytes == pytest.approx(each * values, rel=beside)


def test_an_instance_decoder_is_one_of_two() -> None:
    from histoprompt.models.blueprint import Blueprint
    from histoprompt.models.networks.unetr import InstanceDecoder, Resampled, Transposed

    values = [Blueprint(InstanceDecoder(kind)).values for kind in (Resampled, Transposed)]
    assert sum(values) / 2 == pytest.approx(sam.DECODER_VALUES, rel=0.01)
    assert values == pytest.approx([sam.DECODER_VALUES] * 2, rel=0.08)


def test_a_vocabulary_has_a_line_for_each_word_of_the_network() -> None:
    net = clip.build_biomedclip()
    words = net.text.transformer.embeddings.word_embeddings.num_embeddings
    assert clip.CARDS[3].others[0].approx_bytes == 8 * words


def test_a_size_is_written_for_people() -> None:
    assert megabytes(605_109_252) == "605 MB"
    assert megabytes(2_564_550_879) == "2,565 MB"
    assert megabytes(60_000) == "0.1 MB"
    spec = WeightsSpec("a.pt", "s", n_params=151_277_313)
    assert size_text(spec) == " (about 605 MB)"
    assert size_text(WeightsSpec("a.pt", "s", 7, n_params=1)) == " (7 bytes)"
    assert size_text(WeightsSpec("a.pt", "s")) == ""
