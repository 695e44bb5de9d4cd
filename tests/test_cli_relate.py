"""`histoprompt relate` from the outside: a table and features of one's own, no files."""

import csv

import numpy as np
import pandas as pd
import pytest

from histoprompt import cli
from histoprompt.pipelines.relate.write import COLUMNS, MIXED_COLUMNS

N = 48


def write_csv(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        write = csv.DictWriter(file, rows[0])
        write.writeheader()
        write.writerows(rows)


def make(folder, change=lambda slides, features: None):
    """48 patients of three sites, half of them with two slides; f0 goes with the response."""
    rng = np.random.default_rng(5)
    slides, features = [], []
    for i in range(N):
        site = i % 3
        yes = rng.random() < 0.5
        x = rng.normal(size=4) + 2 * site + np.array([2.5 * yes, 0, 0, 0])
        age = 60 + 10 * rng.normal()
        time = rng.exponential(20)
        kind = ["papillary", "solid", "mixed"][int(rng.integers(3))]
        for k in range(1 + i % 2):
            slides.append({
                "id": f"s{i}_{k}", "patient": f"P{i}", "site": "ABC"[site], "scanner": "X",
                "split": "", "response": "yes" if yes else "no", "age": f"{age:.1f}",
                "os_months": f"{time:.1f}", "os_status": "1:DECEASED" if i % 4 else "0:LIVING",
                "stage": ["I", "II", "III"][i % 7 % 3], "empty": "",
                "when": f"2020-03-{i % 28 + 1:02}",
                "same": "1", "type": kind,
            })  # fmt: skip
            features.append({"slide": f"s{i}_{k}", "area_mm2": str(1 + 3 * k),
                             **{f"f{j}": f"{v + k:.4f}" for j, v in enumerate(x)}})  # fmt: skip
    change(slides, features)
    folder.mkdir()
    (folder / "project.toml").write_text('format = 1\nname = "study"\n')
    write_csv(folder / "slides.csv", slides)
    write_csv(folder / "features.csv", features)
    return folder


def run(folder, *more, against="response"):
    return cli.main([
        "relate", str(folder), "--features", str(folder / "features.csv"), "--against", against,
        "--out", str(folder / "out"), "--permutations", "400", *more,
    ])  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = make(tmp_path_factory.mktemp("relate") / "study")
    assert run(folder, against="response,age,os_months,stage,type") == 0
    return folder


def test_the_table_has_a_line_per_test_and_every_number_its_n(done):
    table = pd.read_csv(done / "out" / "relate.csv")
    assert tuple(table.columns) == (*COLUMNS, *MIXED_COLUMNS)
    assert len(table) == 5 * 5  # four features, and all of them together
    assert (table["n"] == N).all()
    assert (table["sites"] == 3).all()
    alone = table[table["feature"] != "(all features)"]
    tests = dict(zip(alone["column"], alone["test"], strict=True))
    assert tests == {"response": "Mann-Whitney", "age": "Spearman", "os_months": "Cox",
                     "stage": "Spearman", "type": "Kruskal-Wallis"}  # fmt: skip
    told = table.dropna(subset="effect")
    assert ((told["low"] <= told["effect"]) & (told["effect"] <= told["high"])).all()
    alive = table[table["survives"] == "yes"]
    assert set(zip(alive["feature"], alive["column"], strict=True)) == {
        ("f0", "response"), ("(all features)", "response"),
    }  # fmt: skip
    assert (alive["low"] > 0).all()
    assert table["why"].notna().all()


def test_beside_each_is_the_mixed_model_of_statsmodels(done):
    from statsmodels.regression.mixed_linear_model import MixedLM

    table = pd.read_csv(done / "out" / "relate.csv").set_index(["feature", "column"])
    line = table.loc[("f0", "response")]
    cases = pd.read_csv(done / "out" / "cases.csv")
    x, yes = cases["f0"] - cases["f0"].mean(), (cases["response"] == "yes").astype(float)
    design = np.stack([np.ones(N), yes - yes.mean()], axis=1)
    fit = MixedLM(x / x.std(ddof=0), design, groups=cases["site"]).fit()
    assert line["mixed_effect"] == pytest.approx(fit.params.iloc[1], rel=1e-3)
    assert line["mixed_p"] == pytest.approx(fit.pvalues.iloc[1], rel=0.05)
    assert 0.5 < line["mixed_site_share"] < 1  # sites are far apart
    # of time to event, and of all features together, there is none
    assert np.isnan(table.loc[("f0", "os_months"), "mixed_p"])
    assert np.isnan(table.loc[("(all features)", "response"), "mixed_p"])
    told = f"{line['mixed_effect']:.2f} ({line['mixed_low']:.2f} to {line['mixed_high']:.2f})"
    page = (done / "out" / "report.html").read_text()
    assert page.count(told) >= 2  # in the table, and beside the plots of the finding


def test_q_is_of_all_tests_of_the_run(done):
    from statsmodels.stats.multitest import multipletests

    table = pd.read_csv(done / "out" / "relate.csv")
    assert table["q"].to_numpy() == pytest.approx(
        multipletests(table["p"], method="fdr_bh")[1], rel=1e-4
    )


def test_slides_of_a_patient_become_one_weighted_by_area(done):
    cases = pd.read_csv(done / "out" / "cases.csv").set_index("patient")
    features = pd.read_csv(done / "features.csv").set_index("slide")
    assert len(cases) == N
    assert cases.loc["P1", "slides"] == "s1_0;s1_1"
    expected = (features.loc["s1_0", "f0"] + 4 * features.loc["s1_1", "f0"]) / 5
    assert cases.loc["P1", "f0"] == pytest.approx(expected, abs=1e-4)


def test_the_report_begins_with_site_and_greys_what_does_not_survive(done):
    page = (done / "out" / "report.html").read_text()
    assert page.index("Can site and scanner be told") < page.index("<h2>Findings</h2>")
    assert page.count('<tr class="grey">') == 27  # 23 findings, and 4 models again
    assert "<b>survives</b>: holds without each of 3 sites" in page
    assert "P1 (B): s1_0, s1_1" in page


def test_cases_open_as_anndata(done):
    h5py = pytest.importorskip("h5py")
    with h5py.File(done / "out" / "cases.h5ad") as file:
        assert file.attrs["encoding-type"] == "anndata"
        assert file["X"].shape == (N, 4)
        assert file["obs/response/categories"][:].tolist() == [b"no", b"yes"]


def test_the_recipe_gives_the_same_bytes(done, capsys):
    assert cli.main(["run", str(done / "out" / "recipe.toml"), str(done), "--out",
                     str(done / "again")]) == 0  # fmt: skip
    for name in ("relate.csv", "report.html", "cases.csv", "recipe.toml"):
        assert (done / "again" / name).read_bytes() == (done / "out" / name).read_bytes(), name
    capsys.readouterr()
    assert cli.main(["methods", str(done / "out")]) == 0
    assert "with the patient as the unit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("empty", "empty has no value: all 48 patients lack it."),
        ("when", "when holds dates as text (2020-03-01)."),
        ("same", "same has one value (1) in all 48 patients"),
        ("nowhere", "There is no column nowhere to relate to."),
        ("site", "site is what patients are compared within."),
        ("", "Name at least one column to relate to."),
    ],
)
def test_a_column_that_cannot_be_is_one_line(done, capsys, column, said):
    assert run(done, "--out", str(done / "bad"), against=column) == 1
    told = capsys.readouterr().err
    assert said in told
    assert len(told.strip().splitlines()) == 1
    assert not (done / "bad").exists()


def test_a_column_that_cannot_be_does_not_stop_the_others(done, capsys):
    assert run(done, "--out", str(done / "some"), against="empty,response") == 1
    assert "empty has no value" in capsys.readouterr().err
    assert set(pd.read_csv(done / "some" / "relate.csv")["column"]) == {"response"}


def _two_outcomes(slides, features):
    slides[1]["response"], slides[2]["response"] = "yes", "no"


def _two_splits(slides, features):
    slides[1]["split"], slides[2]["split"] = "train", "test"


def _two_sites(slides, features):
    slides[1]["site"] = "C"


def _few(slides, features):
    del slides[20:], features[20:]


def _two_lines(slides, features):
    features.append(dict(features[3]))


def _strangers(slides, features):
    for row in features:
        row["slide"] = "x" + row["slide"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_two_outcomes, "response differs between slides of the patient P1: yes, no."),
        (_two_splits, "The patient P1 is in two parts of split: train and test."),
        (_two_sites, "The patient P1 has slides of 2 sites (B, C)."),
        (_few, "There are 14 patients with features; at least 20 are needed."),
        (_two_lines, "are both of the slide s2_0."),
        (_strangers, "No slide of features.csv is one of the project."),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, change, said):
    folder = make(tmp_path / "study", change)
    assert run(folder) == 1
    told = capsys.readouterr().err
    assert said in told
    assert len(told.strip().splitlines()) == 1
    assert not (folder / "out").exists()


def test_of_one_site_nothing_survives_and_the_line_says_so(tmp_path, capsys):
    folder = make(tmp_path / "study", lambda slides, _: [s.update(site="A") for s in slides])
    assert run(folder) == 0
    assert "All patients are of one site" in capsys.readouterr().err
    assert (pd.read_csv(folder / "out" / "relate.csv")["survives"] == "no").all()


def test_an_outcome_that_the_site_decides_has_no_p(tmp_path, capsys):
    def decided(slides, _):
        for row in slides:
            row["response"] = "yes" if row["site"] == "A" else "no"

    folder = make(tmp_path / "study", decided)
    assert run(folder) == 0
    table = pd.read_csv(folder / "out" / "relate.csv")
    assert table["p"].isna().all()
    assert table["why"].str.contains("cannot be told apart").all()
    assert "goes with the site" in capsys.readouterr().out


def test_types_can_be_corrected(done, capsys):
    assert run(done, "--types", "type=mixed<papillary<solid", "--out", str(done / "t"),
               against="type") == 0  # fmt: skip
    assert "type: ordinal: mixed" in capsys.readouterr().out
    assert run(done, "--types", "type=nonsense", against="type") == 1
    assert "says no kind of a column" in capsys.readouterr().err


def write_reports(folder):
    """Necrosis where f1, less its site's mean, is high; inflammation is chance."""
    features = pd.read_csv(folder / "features.csv").groupby(
        pd.read_csv(folder / "features.csv")["slide"].str.split("_").str[0]
    )["f1"].mean()  # fmt: skip
    patients = [f"P{i}" for i in range(N)]
    value = np.array([features[f"s{i}"] - 2 * (i % 3) for i in range(N)])
    rng = np.random.default_rng(0)
    rows = [
        {"patient": p, "text": ("Necrosis is seen" if v > 0.3 else "No necrosis")
         + ("; inflammation." if rng.random() < 0.5 else ".")}
        for p, v in zip(patients, value, strict=True)
    ]  # fmt: skip
    write_csv(folder / "reports.csv", rows)


def test_reports_are_asked_for_fields_with_their_negation(done, capsys):
    write_reports(done)
    (done / "fields.toml").write_text('necrosis = ["necro*"]\ninflammation = "inflammation"\n')
    reports = ("--reports", str(done / "reports.csv"))
    assert run(done, *reports, "--fields", str(done / "fields.toml"), "--out", str(done / "r"),
               against="reports") == 0  # fmt: skip
    table = pd.read_csv(done / "r" / "relate.csv").set_index(["feature", "column"])
    assert table.loc[("f1", "report: necrosis"), "survives"] == "yes"
    assert table.loc[("f1", "report: necrosis"), "low"] > 0
    assert (table["survives"] == "yes").sum() <= 4
    assert "retrieval, image to report" in set(table["test"])
    page = (done / "r" / "report.html").read_text()
    assert "Images and reports" in page
    # without fields: the words that reports have
    assert run(done, *reports, "--words", "2", "--out", str(done / "w"), against="reports") == 0
    words = pd.read_csv(done / "w" / "relate.csv")
    assert "word: necrosis" in set(words["column"])


def test_a_column_of_texts_is_read_as_reports_if_a_person_says_so(tmp_path, capsys):
    folder = make(tmp_path / "study")
    write_reports(folder)
    texts = {row["patient"]: row["text"] for row in csv.DictReader((folder / "reports.csv").open())}

    with (folder / "slides.csv").open() as file:
        rows = list(csv.DictReader(file))
    spoken = [r | {"comment": f"{texts[r['patient']]} Case {r['patient']}."} for r in rows]
    write_csv(folder / "slides.csv", spoken)
    assert run(folder, against="comment") == 1
    assert "Say that its kind is text" in capsys.readouterr().err
    (folder / "fields.toml").write_text('necrosis = ["necro*"]\n')
    more = ("--types", "comment=text", "--fields", str(folder / "fields.toml"))
    assert run(folder, *more, "--no-model", against="comment") == 0
    table = pd.read_csv(folder / "out" / "relate.csv").set_index(["feature", "column"])
    assert table.loc[("f1", "report: necrosis"), "survives"] == "yes"
    assert "retrieval, image to report" in set(table["test"])


def test_reports_that_are_not_there_are_one_line(done, capsys):
    assert run(done, against="reports") == 1
    assert "There are no reports" in capsys.readouterr().err
    (done / "empty").mkdir(exist_ok=True)
    assert run(done, "--reports", str(done / "empty"), against="reports") == 1
    assert "holds no report" in capsys.readouterr().err


def test_a_column_of_folds_with_a_patient_in_two_is_refused(tmp_path, capsys):
    def folds(slides, _):
        for n, row in enumerate(slides):
            row["fold"] = str(n % 4)

    folder = make(tmp_path / "study", folds)
    assert run(folder, "--fold-column", "fold") == 1
    assert "The patient P1 is in two parts of fold: 1 and 2." in capsys.readouterr().err


def test_numbers_that_are_none_are_missing_and_not_the_end_of_a_feature(tmp_path):
    def spoil(slides, features):
        for value, row in zip(("inf", "NA", ""), features[:6:2], strict=True):
            row["f0"] = value

    folder = make(tmp_path / "study", spoil)
    assert run(folder, "--no-model", against="response,scanner") == 1  # one scanner: nothing there
    table = pd.read_csv(folder / "out" / "relate.csv").set_index("feature")
    assert table.loc["f0", "n"] == N - 1  # of two of three patients another slide is known
    assert table.loc["f1", "n"] == N
