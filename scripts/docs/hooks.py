"""The hooks of mkdocs: pages made at build time, and places of pages that are filled then.

Nothing made here is kept in the repository.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import PurePosixPath
from typing import Any

import places
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

# Files at the top of the repository that are pages of the site too.
ROOT_PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "develop/contributing.md",
    "MODEL_CARD.md": "models/model_card.md",
    "LICENSE": "licence.md",
    "CITATION.cff": "cite.md",
    "sample_data/README.md": "develop/sample_slide.md",
}
# Those that are shown as they are: the title of the page, and what their text is written in.
_VERBATIM = {"LICENSE": ("Licence", "text"), "CITATION.cff": ("Cite", "yaml")}
_LINK = re.compile(r"(?<=\]\()([^)#\s]+)(#[^)\s]*)?(?=\))")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add a page for each measurement to the navigation."""
    for section in config.nav or []:
        if "Benchmarks" in section:
            section["Benchmarks"] += [f"benchmarks/{stem}.md" for stem in places.results()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere in the repository, and those of new measurements."""
    for source, page in ROOT_PAGES.items():
        files.append(File.generated(config, page, content=page_of(source)))
    for stem in places.results():
        page = f"benchmarks/{stem}.md"
        if files.get_file_from_path(page) is None:
            text = f"# {places.title_of(stem)}\n\n<!-- made: result {stem} -->\n"
            files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Fill the places of a page."""
    return places.filled(markdown)


def page_of(source: str) -> str:
    """A file of the repository as a page of the site: its links lead to pages."""
    text = (places.ROOT / source).read_text(encoding="utf-8")
    if source in _VERBATIM:
        title, language = _VERBATIM[source]
        return f"# {title}\n\n```{language}\n{text.strip()}\n```\n"
    here = PurePosixPath(ROOT_PAGES[source]).parent

    def linked(match: re.Match[str]) -> str:
        target, anchor = match[1], match[2] or ""
        if "://" in target:
            return match[0]
        inside = posixpath.normpath(str(PurePosixPath(source).parent / target))
        page = ROOT_PAGES.get(inside, inside.removeprefix("docs/"))
        return posixpath.relpath(page, str(here)) + anchor

    return _LINK.sub(linked, text)
