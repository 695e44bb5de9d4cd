"""Pages of HTML: what reports look like is told once."""

from __future__ import annotations

from pathlib import Path

import pytest

import histoprompt
from histoprompt.core.files import pages

ROOT = Path(histoprompt.__file__).parent
SHARED = Path(pages.__file__).parent / "templates" / "report.css"
TEMPLATES = sorted(ROOT.glob("pipelines/**/templates/*.html"))


def test_a_page_has_the_common_look_and_its_own_width(tmp_path):
    template = tmp_path / "own.html"
    template.write_text('{% set page_width = "9rem" %}\n{% include "report.css" %}\n{{ name }}\n')
    text = pages.page(template, {"name": "a < b"})
    assert "max-width: 9rem" in text
    assert text.endswith("a &lt; b\n")
    assert text.startswith(":root { color-scheme: light }\n")


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda p: "/".join(p.parts[-4:]))
def test_no_template_says_again_what_all_look_like(template):
    own, common = template.read_text().splitlines(), SHARED.read_text().splitlines()
    assert len(TEMPLATES) >= 5
    if '{% include "report.css" %}' in own:
        assert not set(own) & set(common)
