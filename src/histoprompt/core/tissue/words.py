"""Words for what is seen in H&E, with their synonyms: which words compete, which mean the same."""

from __future__ import annotations

import re
from typing import Final

# The first name of each line is the one shown. Plurals are understood by `normal`.
SYNONYMS: Final[dict[str, tuple[str, ...]]] = {
    "tumour": (
        "tumor",
        "viable tumour",
        "viable tumor",
        "cancer",
        "carcinoma",
        "malignant",
        "malignant tumour",
        "malignant tumor",
        "neoplasm",
        "adenocarcinoma",
        "tumour epithelium",
        "tumor epithelium",
        "cancer epithelium",
    ),
    "stroma": (
        "connective tissue",
        "fibrous tissue",
        "fibrosis",
        "collagen",
        "desmoplasia",
        "cancer associated stroma",
        "tumour stroma",
        "tumor stroma",
    ),
    "muscle": ("smooth muscle", "skeletal muscle", "muscularis"),
    "lymphocyte": (
        "inflammation",
        "inflammatory infiltrate",
        "lymphoid tissue",
        "lymphoid",
        "til",
        "inflammatory",
        "lymphocytic infiltrate",
    ),
    "necrosis": (
        "necrotic",
        "necrotic tumour",
        "necrotic tumor",
        "non viable tumour",
        "non viable tumor",
        "debris",
        "dead tissue",
    ),
    "fat": ("adipose", "adipose tissue", "fatty tissue", "adipocyte"),
    "gland": (
        "epithelium",
        "glandular epithelium",
        "normal mucosa",
        "mucosa",
        "normal epithelium",
        "benign epithelium",
        "duct",
        "crypt",
    ),
    "bone": ("bony", "osteoid", "trabecular bone", "trabecula"),
    "mucus": ("mucin", "mucinous"),
    "blood": (
        "red blood",
        "red blood cell",
        "erythrocyte",
        "haemorrhage",
        "hemorrhage",
        "bleeding",
    ),
    "brown": (
        "dab",
        "brown stain",
        "brown nuclei",
        "brown nucleus",
        "positive nuclei",
        "ihc positive",
    ),
    "nucleus": ("nuclei", "cellular", "dense nuclei"),
    "glass": ("background", "slide background", "empty", "white background"),
    "pen": ("ink", "marker", "pen mark"),
}


def normal(text: str) -> str:
    """A text as words are compared: small letters, single blanks, no hyphens, no plural s."""
    words = re.findall(r"[^\W_]+(?:&[^\W_]+)?", text.lower())
    return " ".join(_singular(word) for word in words)


def same_word(text: str) -> frozenset[str]:
    """All names of what a text means, in normal form; the text alone if it is in no list."""
    wanted = normal(text)
    return next((names for names in _SENSES if wanted in names), frozenset({wanted}))


def _singular(word: str) -> str:
    if len(word) < 4 or word.endswith(("ss", "us", "is")):
        return word
    return word.removesuffix("s")


_SENSES = tuple(
    frozenset(normal(name) for name in (head, *others)) for head, others in SYNONYMS.items()
)
