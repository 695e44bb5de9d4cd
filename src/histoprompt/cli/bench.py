"""`histoprompt bench`: how good a model is on data of your own."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from histoprompt import __version__
from histoprompt.cli.options import add_device, add_mpp
from histoprompt.cli.programs import add_trust, agree_to_program
from histoprompt.cli.speech import tell
from histoprompt.core.errors import LabelError
from histoprompt.models import registry
from histoprompt.models.memory.embeddings import EmbeddingCache
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.evaluate.nuclei import bench_nuclei
from histoprompt.pipelines.evaluate.prompts import PromptBench, bench_prompts
from histoprompt.pipelines.evaluate.report import Report, write_report
from histoprompt.pipelines.evaluate.text import bench_text, classes_in, read_templates
from histoprompt.pipelines.prompts.segment import SegmentJob
from histoprompt.training.data import Annotated, annotated_in

EMBEDDING_BYTES = 1 << 30


def add(bench: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    kinds = bench.add_subparsers(metavar="KIND", required=True)
    prompts = kinds.add_parser("prompts", help="outlines from boxes, scribbles and clicks")
    prompts.add_argument("--objects", type=int, default=5, help="of each image (default 5)")
    prompts.add_argument(
        "--forget", action="store_true", help="show no model its answer before, click by click"
    )
    prompts.set_defaults(run=_prompts)
    nuclei = kinds.add_parser("nuclei", help="all nuclei: F1, PQ, AJI, counts")
    add_trust(nuclei)
    nuclei.set_defaults(run=_nuclei)
    text = kinds.add_parser("text", help="tiles named by words alone")
    text.add_argument(
        "--templates", type=Path, metavar="FILE", help="sentences with {}, one a line"
    )
    text.set_defaults(run=_text)
    for kind in (prompts, nuclei, text):
        _add_common(kind, images=kind is not text)


def _add_common(parser: argparse.ArgumentParser, *, images: bool) -> None:
    parser.add_argument("--model", required=True, metavar="ID")
    what = "images/ and labels/" if images else "a folder of images for each class"
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help=what)
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="for the table")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="a weights file of your own")
    add_device(parser)
    if images:
        parser.add_argument("--limit", type=int, metavar="N", help="only the first N images")
        add_mpp(parser)


def _prompts(args: argparse.Namespace) -> None:
    job = SegmentJob(
        ModelManager(device=args.device),
        EmbeddingCache(EMBEDDING_BYTES),
        registry.card(args.model),
        args.weights,
    )
    params = PromptBench(objects=args.objects, remember=not args.forget)
    report = bench_prompts(_images(args), job, args.task, params, mpp=args.mpp)
    _write(report, args, "prompts")


def _nuclei(args: argparse.Namespace) -> None:
    agree_to_program(args.model, args.weights, accepted=args.trust_program)
    report = bench_nuclei(
        _images(args),
        registry.card(args.model),
        ModelManager(device=args.device),
        args.task,
        weights=args.weights,
        mpp=args.mpp,
    )
    _write(report, args, "nuclei")


def _text(args: argparse.Namespace) -> None:
    report = bench_text(
        classes_in(args.data),
        registry.card(args.model),
        ModelManager(device=args.device),
        args.task,
        weights=args.weights,
        templates=read_templates(args.templates),
    )
    _write(report, args, "text")


def _images(args: argparse.Namespace) -> list[Annotated]:
    found = annotated_in(args.data)[: args.limit]
    if not found:
        raise LabelError(f"{args.data} holds no labelled images.")
    return found


def _write(report: Report, args: argparse.Namespace, kind: str) -> None:
    report = replace(report, setting=f"{report.setting} {_subject(args)}")
    tell(report.markdown(), page=True)
    for path in write_report(report, args.out, f"{kind}-{args.model}"):
        tell(path)


def _subject(args: argparse.Namespace) -> str:
    """What was measured on what, so that the table can be read without the command."""
    whose = f"weights {args.weights.name}" if args.weights else "its own weights"
    data = args.data.resolve().name
    return f"Model {args.model} with {whose}, data {data}, histoprompt {__version__}."
