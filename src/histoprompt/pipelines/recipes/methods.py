"""The methods paragraph of a paper, from the recipe of what was done."""

from __future__ import annotations

from histoprompt.models import registry
from histoprompt.pipelines.recipes.recipe import Recipe

_OWN = "histoprompt (napari plugin for histology slides)"


def methods_text(recipe: Recipe, slides: int | None = None) -> str:
    """One paragraph: program and version, each step, models with digests, citations.

    Parameters
    ----------
    recipe : Recipe
    slides : int, optional
        How many slides it was run on.
    """
    many = "" if slides is None else f" on {slides:,} slide{'s' if slides != 1 else ''}"
    sentences = [f"Images were analysed with {_OWN}, version {recipe.version}{many}."]
    sentences += [one.step.methods(one.params) for one in recipe.steps]
    cited = []
    for model, digest in recipe.models.items():
        card = next((c for c in registry.all_cards() if c.id == model), None)
        if card is None:
            sentences.append(f"The model {model} was used.")
            continue
        weights = f" (weights {digest[:23]})" if digest else ""
        sentences.append(f"The model {card.short_title}{weights} was used.")
        cited += [card.citation] if card.citation else []
    text = " ".join(sentences)
    if cited:
        text += "\n\n" + "\n".join(dict.fromkeys(cited))
    return text
