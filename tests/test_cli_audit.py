"""`histoprompt audit`: fields drawn, filled in and applied, and what is refused."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histoprompt.cli import main
from histoprompt.core.errors import ExportError
from histoprompt.core.slides.limits import Limits
from histoprompt.pipelines.count import audit_table as audit_fields

TRUE = "true cells"


@pytest.fixture(scope="module")
def counted(tmp_path_factory) -> Path:
    """A count of 300 by 400 um with two discs a field of 100 um."""
    home = tmp_path_factory.mktemp("counted")
    pixels = np.full((600, 800, 3), (235, 205, 220), float)
    rr, cc = np.mgrid[:600, :800]
    for row in range(50, 600, 200):
        for col in range(50, 800, 100):
            pixels[(rr - row) ** 2 + (cc - col) ** 2 <= 9**2] = (90, 55, 135)
    pixels += np.random.default_rng(1).normal(0, 4, pixels.shape)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(home / "tile.png")
    where = ["--mpp", "0.5", "--region", "0,0,600,800", "--out", str(home)]
    where += ["--segmenter", "classical-cells"]
    assert main(["count", str(home / "tile.png"), *where]) == 0
    return home / "tile"


@pytest.fixture
def folder(counted, tmp_path) -> Path:
    return Path(shutil.copytree(counted, tmp_path / "tile"))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def draw(folder: Path, *more: str) -> int:
    return main(["audit", "draw", str(folder), "--fields", "8", *more])


def apply(folder: Path) -> int:
    return main(["audit", "apply", str(folder), "--fields", str(folder / "fields.csv")])


def test_a_count_is_corrected_by_fields_filled_in(folder, capsys):
    before = rows_of(folder / "counts.csv")
    assert draw(folder, "--seed", "3") == 0
    assert "8 of 12 fields, seed 3" in capsys.readouterr().out
    rows = rows_of(folder / "fields.csv")
    assert [list(r)[:4] for r in rows] == [["row0", "col0", "row1", "col1"]] * 8
    assert {r["found cells"] for r in rows} == {"2"}
    assert {r[TRUE] for r in rows} == {""}
    for row in rows:
        row[TRUE] = "3"
    write(folder / "fields.csv", rows)
    assert apply(folder) == 0
    assert "36 (" in capsys.readouterr().out
    (after,) = rows_of(folder / "counts.csv")
    low, estimate, high = (float(after[c]) for c in ("low", "estimate", "high"))
    assert low <= 36 <= high
    assert estimate == pytest.approx(36)
    kept = {k: v for k, v in after.items() if k not in ("estimate", "low", "high")}
    assert kept == {k: before[0][k] for k in kept}
    (line,) = rows_of(folder / "audit.csv")
    assert (line["found"], line["fields"]) == ("24", "8")
    assert json.loads((folder / "audit.json").read_text())["seen"] == [[3]] * 8


def test_the_report_tells_of_the_latest_audit(folder):
    plain = (folder / "report.html").read_text()
    assert "Corrected counts" not in plain
    draw(folder, "--seed", "3")
    rows = rows_of(folder / "fields.csv")
    for true in ("3", "4"):
        write(folder / "fields.csv", [row | {TRUE: true} for row in rows])
        apply(folder)
    page = (folder / "report.html").read_text()
    assert page.count("<h2>Corrected counts</h2>") == 1
    assert "8 randomly chosen fields were audited" in page
    assert ">48<" in page
    section = page[page.index('<section id="audit">') : page.index("</section>")]
    assert page.replace(section, '<section id="audit">') == plain
    (folder / "report.html").unlink()
    assert apply(folder) == 0
    assert not (folder / "report.html").exists()


def test_the_report_is_made_of_what_count_json_says(folder, capsys):
    draw(folder, "--seed", "3")
    rows = rows_of(folder / "fields.csv")
    write(folder / "fields.csv", [row | {TRUE: "3"} for row in rows])
    made = json.loads((folder / "count.json").read_text())
    name = "<script>alert(1)</script> & co"
    made["result"]["name"], made["result"]["lines"][0]["count"] = name, 1234567
    (folder / "count.json").write_text(json.dumps(made))
    (folder / "report.html").write_text("scribbled over")
    assert apply(folder) == 0
    page = (folder / "report.html").read_text()
    assert "<script" not in page
    assert "Count of &lt;script&gt;alert(1)&lt;/script&gt; &amp; co" in page
    assert ">1,234,567<" in page
    assert "8 randomly chosen fields" in page
    del made["result"]["lines"]  # as by an earlier version
    (folder / "count.json").write_text(json.dumps(made))
    (folder / "audit.csv").unlink()
    capsys.readouterr()
    assert apply(folder) == 1
    assert "Count the slide again" in capsys.readouterr().err
    assert (folder / "report.html").read_text() == page
    assert rows_of(folder / "audit.csv")


def test_a_seed_draws_the_same_fields_and_a_moved_slide_is_found(folder, capsys):
    draw(folder, "--seed", "3")
    first = (folder / "fields.csv").read_text()
    made = json.loads((folder / "count.json").read_text())
    slide = Path(made["path"])
    made["path"] = "/nowhere/tile.png"
    (folder / "count.json").write_text(json.dumps(made))
    assert draw(folder, "--seed", "3") == 1
    assert "nowhere" in capsys.readouterr().err
    assert draw(folder, "--seed", "3", "--slide", str(slide)) == 0
    assert (folder / "fields.csv").read_text() == first
    other = folder / "other.png"
    Image.new("RGB", (600, 800)).save(other)
    assert draw(folder, "--slide", str(other)) == 1
    assert "not the slide" in capsys.readouterr().err


def test_a_few_fields_give_no_interval(folder, capsys):
    draw(folder)
    rows = rows_of(folder / "fields.csv")
    for row in rows[:2]:
        row[TRUE] = "2"
    write(folder / "fields.csv", rows)
    assert apply(folder) == 0
    assert "too few" in capsys.readouterr().out
    (after,) = rows_of(folder / "counts.csv")
    assert (after["estimate"], after["low"], after["high"]) == ("24.0", "", "")
    assert draw(folder) == 1
    assert "filled in already" in capsys.readouterr().err


def test_an_audit_goes_on_with_more_fields(folder, capsys):
    assert main(["audit", "draw", str(folder), "--more", "2"]) == 1
    assert "No fields were drawn" in capsys.readouterr().err
    draw(folder, "--seed", "3")
    first = rows_of(folder / "fields.csv")
    noted = [{**row, TRUE: "2", "note": "blurred"} for row in first]
    write(folder / "fields.csv", noted)
    capsys.readouterr()
    assert main(["audit", "draw", str(folder), "--more", "2"]) == 0
    assert "10 of 12 fields" in capsys.readouterr().out
    longer = rows_of(folder / "fields.csv")
    assert longer[:8] == noted
    assert [row[TRUE] for row in longer[8:]] == ["", ""]
    places = {(row["row0"], row["col0"]) for row in longer}
    assert len(places) == 10
    assert apply(folder) == 0
    told = capsys.readouterr()
    assert "8 of 10 fields" in told.out
    assert "cautious" in told.err
    assert main(["audit", "draw", str(folder), "--more", "9"]) == 0
    assert len(rows_of(folder / "fields.csv")) == 12
    assert main(["audit", "draw", str(folder), "--more", "1"]) == 1
    assert "12 of 12 are drawn already" in capsys.readouterr().err
    assert main(["audit", "draw", str(folder), "--more", "0"]) == 1
    fill(folder, dict.fromkeys(range(12), "2"))
    assert apply(folder) == 0
    assert "every field was audited" in capsys.readouterr().err


def test_more_fields_can_be_drawn_again_after_the_disk_was_full(folder, capsys, monkeypatch):
    draw(folder, "--seed", "3")
    fill(folder, dict.fromkeys(range(8), "2"))

    def full(*_: object) -> None:
        raise ExportError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(audit_fields, "save_audit", full)
        assert main(["audit", "draw", str(folder), "--more", "2"]) == 1
    assert "full" in capsys.readouterr().err
    assert apply(folder) == 0
    assert "8 of 8 fields" in capsys.readouterr().out
    assert main(["audit", "draw", str(folder), "--more", "3"]) == 0
    assert [row[TRUE] for row in rows_of(folder / "fields.csv")] == ["2"] * 8 + [""] * 3


def test_more_fields_are_not_added_to_a_table_of_others(folder, capsys):
    draw(folder, "--seed", "3")
    another_place(folder)
    before = (folder / "fields.csv").read_text()
    assert main(["audit", "draw", str(folder), "--more", "2"]) == 1
    assert "does not hold the 8 fields" in capsys.readouterr().err
    assert (folder / "fields.csv").read_text() == before


def fill(folder: Path, texts: dict[int, str]) -> None:
    rows = rows_of(folder / "fields.csv")
    for i, text in texts.items():
        rows[i][TRUE] = text
    write(folder / "fields.csv", rows)


def no_column(folder: Path) -> None:
    rows = rows_of(folder / "fields.csv")
    write(folder / "fields.csv", [{k: v for k, v in r.items() if k != TRUE} for r in rows])


def another_place(folder: Path) -> None:
    rows = rows_of(folder / "fields.csv")
    rows[0]["row0"] = "7"
    write(folder / "fields.csv", rows)


def other_classes(folder: Path) -> None:
    rows = rows_of(folder / "cells.csv")
    rows[0]["class"] = "tumour"
    write(folder / "cells.csv", rows)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: None, "not filled in"),
        (lambda folder: fill(folder, {0: "2", 2: "2"}), "row 2 is empty"),
        (lambda folder: fill(folder, {0: "two"}), "is no count"),
        (lambda folder: fill(folder, {0: "-1"}), "is no count"),
        (no_column, "no column true cells"),
        (another_place, "does not hold the 8 fields"),
        (other_classes, "Draw fields anew"),
        (lambda folder: (folder / "fields.csv").unlink(), "fields.csv"),
        (lambda folder: (folder / "audit.json").unlink(), "audit draw"),
        (lambda folder: (folder / "audit.json").write_text("{}"), "cannot be read"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_in_one_line(folder, capsys, spoil, says):
    draw(folder)
    before = (folder / "counts.csv").read_text()
    capsys.readouterr()
    spoil(folder)
    assert apply(folder) == 1
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert (folder / "counts.csv").read_text() == before


def test_nothing_to_draw_is_said_in_one_line(folder, capsys, tmp_path):
    assert main(["audit", "draw", str(tmp_path), "--fields", "5"]) == 1
    assert "holds no count" in capsys.readouterr().err
    assert main(["audit", "draw", str(folder), "--fields", "0"]) == 1
    assert "cannot be audited" in capsys.readouterr().err
    made = json.loads((folder / "count.json").read_text())
    (folder / "count.json").write_text(json.dumps({**made, "complete": False}))
    assert draw(folder) == 1
    assert "partial" in capsys.readouterr().err
    del made["polygons"]
    (folder / "count.json").write_text(json.dumps(made))
    assert draw(folder) == 1
    assert "lacks polygons" in capsys.readouterr().err


def unsure_cells(folder: Path) -> list[dict[str, str]]:
    """Give classes to the cells of a count, as `classify` would: two in three a."""
    rows = rows_of(folder / "cells.csv")
    for i, row in enumerate(rows):
        row["class"] = "unsure" if i % 3 == 0 else "a"
    write(folder / "cells.csv", rows)
    counts = rows_of(folder / "counts.csv")
    names = {"a": 16, "unsure": 8}
    write(folder / "counts.csv", [*counts, *(counts[0] | {"class": n, "count": str(c)}
                                             for n, c in names.items())])  # fmt: skip
    return rows


def test_an_audit_on_paper_that_agrees_with_unsure_cells_changes_nothing(folder, capsys):
    assert len(unsure_cells(folder)) == 24
    assert main(["audit", "draw", str(folder), "--fields", "20"]) == 0
    told = capsys.readouterr().err
    assert "holds 12 fields of this size: all are drawn" in told
    assert "'true unsure'" in told
    rows = rows_of(folder / "fields.csv")
    assert len(rows) == 12
    columns = ["found a", "found unsure", "true a", "true unsure"]
    assert list(rows[0])[4:] == columns
    agreed = [r | {"true a": r["found a"], "true unsure": r["found unsure"]} for r in rows]
    write(folder / "fields.csv", [agreed[0] | {"true unsure": ""}, *agreed[1:]])
    assert apply(folder) == 1
    assert "'' in column true unsure is no count" in capsys.readouterr().err
    write(folder / "fields.csv", agreed)
    assert apply(folder) == 0
    found = {r["class"]: r["estimate"] for r in rows_of(folder / "counts.csv")}
    assert found == {"all": "24.0", "a": "16.0", "unsure": ""}


def test_fields_are_drawn_on_a_slide_over_the_size_limit_if_its_size_is_trusted(
    folder, monkeypatch, capsys
):
    monkeypatch.setattr(Limits.__init__, "__defaults__", (500, *Limits.__init__.__defaults__[1:]))
    assert draw(folder) == 1
    assert "600 x 800 pixels" in (told := capsys.readouterr().err)
    assert "(--trust-size)" in told
    assert draw(folder, "--trust-size") == 0
    assert len(rows_of(folder / "fields.csv")) == 8
