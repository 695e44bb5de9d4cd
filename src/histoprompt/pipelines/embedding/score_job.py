"""What scoring tiles by words runs with."""

from __future__ import annotations

from dataclasses import dataclass

from histoprompt.core.errors import ModelError, Remedy
from histoprompt.pipelines.embedding.tiles import EmbedJob


@dataclass(frozen=True, slots=True)
class ScoreJob(EmbedJob):
    """An `EmbedJob` whose model compares tiles with words."""

    def __post_init__(self) -> None:
        if self.card.role != "text":
            raise ModelError(
                f"{self.card.id} does not compare images with texts: that needs a model of the "
                "role text.",
                remedy=Remedy.MODELS,
            )
