"""`histoprompt audit`: how far a count can be trusted, by a few fields counted by eye."""

from __future__ import annotations

import argparse
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from histoprompt.cli.options import add_trust_size
from histoprompt.cli.speech import say, tell

if TYPE_CHECKING:
    from histoprompt.pipelines.count.audit import Audit


def add(audit: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    actions = audit.add_subparsers(metavar="ACTION", required=True)
    draw = actions.add_parser("draw", help="write a table of random fields to look at")
    _add_folder(draw)
    how_many = draw.add_mutually_exclusive_group(required=True)
    how_many.add_argument("--fields", type=int, metavar="N", help="10 to 20 are usual")
    how_many.add_argument(
        "--more",
        type=int,
        metavar="N",
        help="go on with the fields drawn before; what is filled in stays",
    )
    draw.add_argument("--seed", type=int, metavar="S", help="to draw the same fields again")
    draw.add_argument("--slide", type=Path, metavar="FILE", help="where the slide is, if it moved")
    add_trust_size(draw)
    draw.set_defaults(run=_draw)
    apply = actions.add_parser("apply", help="correct the count by the filled table")
    _add_folder(apply)
    apply.add_argument("--fields", required=True, type=Path, metavar="CSV", help="of `audit draw`")
    apply.set_defaults(run=_apply)


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="what `count` wrote for a slide")


def _draw(args: argparse.Namespace) -> None:
    from histoprompt.pipelines.count.audit_table import FIELDS_CSV, draw_fields, draw_more

    if args.more is not None:
        audit = draw_more(args.folder, args.more)
        tell(
            f"{audit.plan.fields:,} of {len(audit.plan.boxes):,} fields "
            f"-> {args.folder / FIELDS_CSV}"
        )
        _tell(audit)
        return
    seed = secrets.randbelow(2**31) if args.seed is None else args.seed
    audit = draw_fields(args.folder, args.fields, seed, args.slide, trust_size=args.trust_size)
    _keep_recipe(args.folder, audit, seed)
    tell(
        f"{audit.plan.fields:,} of {len(audit.plan.boxes):,} fields, seed {seed} "
        f"-> {args.folder / FIELDS_CSV}"
    )
    _tell(audit)


def _keep_recipe(folder: Path, audit: Audit, seed: int) -> None:
    """What was drawn, with the count it is of; a count without a recipe cannot be done again."""
    from histoprompt.pipelines.count.audit_step import AuditParams
    from histoprompt.pipelines.recipes.beside import keep_recipe, recipe_beside
    from histoprompt.pipelines.recipes.recipe import RecipeStep

    before = recipe_beside(folder)
    if before is not None:
        params = AuditParams(fields=audit.plan.fields, seed=seed)
        keep_recipe(folder, (RecipeStep("audit", params),), before=before)


def _tell(audit: Audit) -> None:
    """Why there are not more fields, and what to enter of unsure cells."""
    from histoprompt.core.cell_table import UNSURE

    if audit.plan.all_drawn:
        say(f"note: {audit.plan.all_drawn}")
    if UNSURE in audit.plan.columns:
        say(
            "note: 'true unsure' takes the cells whose class cannot be told: they are cells of "
            "the total and of no class."
        )


def _apply(args: argparse.Namespace) -> None:
    from histoprompt.pipelines.count.audit_table import apply_fields

    audit = apply_fields(args.folder, args.fields)
    tell(f"{len(audit.seen):,} of {audit.plan.fields:,} fields; 95 % intervals in brackets")
    for count in audit.corrected():
        tell(f"{str(count).removeprefix(': ')} (found {count.found})")
        if count.note and count.low is not None:
            say(f"note: {count.name or 'cells'}: {count.note}")
