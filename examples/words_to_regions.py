"""Score the tiles of a slide by words, move a threshold, and write regions for QuPath."""

from __future__ import annotations

import sys
from pathlib import Path

import histoprompt as hp
from histoprompt.core.slides.sample import SLIDE, sample_file
from histoprompt.pipelines.text.run import write_scored

out = Path(sys.argv[1])

slide = hp.open_slide(sample_file(SLIDE))
found = hp.score(slide, ["tumor", "stroma"], thresholds={"tumor": 0.4})
for line in found.origins():
    print(line)
write_scored(out / "words", found)
print(f"{len(found.regions)} regions -> {out / 'words'}")
