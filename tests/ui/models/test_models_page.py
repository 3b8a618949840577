"""The Models page: measurements and claims apart, and plain words where there is nothing."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from agegender_core.benchmarks.corruptions import CORRUPTIONS
from agegender_core.evaluation.report_store import read_curves
from agegender_core.evaluation.report_types import DecadeDigit, Estimate, EvaluationReport
from agegender_core.inference.decoding import decoding_dict
from agegender_core.inference.model_zoo import ModelInfo
from agegender_core.output.metric_formats import METRIC_FORMATS
from tests.support import ROOT
from tests.support.pages import Backend
from ui.models import claims, tables

TRAINING = {
    "sets": ["utkface"],
    "split": "train",
    "pictures": 17252,
    "pictures_seen": 9,
    "minutes": 30.0,
    "device": "CPU",
    "recipe": "r",
}


def net(name: str, **changes: Any) -> ModelInfo:
    fixed: dict[str, Any] = {
        "title": name.title(),
        "summary": "A net.",
        "files": ("x",),
        "sha256": "y",
        "architecture": "multitask_cnn",
    }
    more = {
        "heads": {"age": 101},
        "paper": "Somebody 2019",
        "terms": "None.",
        "folder": Path(),
        "training": TRAINING,
        "parameters": 900,
    }
    return ModelInfo(name=name, **(fixed | more | changes))


def report(name: str, value: float, metric: str = "mae", **changes: Any) -> EvaluationReport:
    fixed: dict[str, Any] = {
        "weights": name,
        "weights_sha256": "y",
        "set": "utkface",
        "split": "test",
        "n": 3134,
        "no_face": 0,
        "how": "chips",
        "metrics": {metric: Estimate(value, value - 0.1, value + 0.1, 3134)},
        "slices": {},
    }
    return EvaluationReport(**(fixed | changes))


@pytest.fixture
def two(backend: Backend, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Backend:
    backend.installed = [net("alpha"), net("beta", architecture="gra_net")]
    monkeypatch.setattr(tables, "reports", lambda: [report("alpha", 5.0), report("beta", 6.0)])
    monkeypatch.setenv("AGEGENDER_REPORTS", str(tmp_path))
    return backend


FOLDED = ("comparison", "measured", "curves", "experiments", "cards-used", "cards-compared")
EXPERIMENTS = (
    "Near-duplicates",
    "Gates and mask kinds",
    "Over seeds",
    "Worse photos",
    "Decade and digit",
    "Do masks matter?",
    "Claims about others",
    "Speed against rivals",
    "Storage",
)
TABLES = {
    "comparison": "claimed on",
    "numbers": "bias, years",
    "near-duplicates": "with a near-duplicate in training",
    "masks": "learned gates, block 1 to 3",
    "storage": "stored",
}
"""Tables of the page and a column that only they have."""


@pytest.fixture
def open_models(open_app: Any) -> Any:
    """Opens the page with fold-outs open, all of them unless some are named."""

    def opened(*names: str) -> Any:
        app = open_app()
        for name in names or FOLDED:
            app.session_state[f"models-{name}"] = True
        return app.switch_page("pages/models.py").run()

    return opened


def experiment(app: Any, name: str) -> Any:
    """The page with this tab open."""
    app.session_state["models-experiment"] = name
    return app.run()


def frames(app: Any) -> dict[str, Any]:
    """Tables of the page that are there, as data frames."""
    return {
        name: frame
        for name, column in TABLES.items()
        for frame in shown_tables(app)
        if column in frame.columns
    }


def shown_tables(app: Any) -> list[Any]:
    """All tables as they read: static ones are Markdown."""
    static = [
        table.value.map(lambda cell: cell.replace("\\", "")).rename(
            columns=lambda name: name.replace("\\", "")
        )
        for table in app.table
    ]
    return [*(table.value for table in app.dataframe), *static]


def test_claims_and_measurements_have_columns_of_their_own(two: Backend, open_models: Any) -> None:
    app = open_models()
    assert not app.exception
    table = frames(app)["comparison"]
    (row,) = table[(table["model"] == "Beta") & (table["measure"] == "age, MAE, years")].to_dict(
        "records"
    )
    assert (row["claimed"], row["measured"], row["95 % interval"], row["n"], row["dataset"]) == (
        1.07,
        6.0,
        "5.90–6.10",
        3134,
        "UTKFace",
    )
    absent = table[table["dataset"] == "AFAD"].to_dict("records")
    assert [item["claimed"] for item in absent] == [3.1] and "images are not here" in absent[0][
        "model"
    ]
    numbers = frames(app)["numbers"]
    assert (
        numbers["MAE, years"].tolist() == ["5.00 (4.90–5.10)", "6.00 (5.90–6.10)"]
        and "1.07" not in numbers.to_string()
    )
    assert any("nearly every decade right" in item.value for item in app.markdown)


def test_a_number_is_rounded_once_and_has_its_own_n(
    two: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = {
        "mae": Estimate(4.75812, 4.58301, 4.94496, 3134),
        "adience8_accuracy": Estimate(0.76, 0.74, 0.78, 2192),
    }
    found = [report("beta", 0.0, metrics=metrics)]
    (pair,) = claims.pairs(two.installed, claims.rows(two.installed, found))
    compared = tables.comparison(two.installed, found)
    (row,) = compared[compared["measured"].notna() & (compared["measure"] == "age, MAE, years")][
        "95 % interval"
    ]
    assert row == "4.58–4.94" and f"({row}, n 3,134)" in claims.headline([pair])
    (numbers,) = tables.table(two.installed, found).to_dict("records")
    assert numbers["MAE, years"] == "4.76 (4.58–4.94)" and numbers["n"] == 3134
    assert numbers["8 groups, %"] == "76.0 (74.0–78.0), n 2,192"


def test_what_verdicts_point_to_is_on_the_page(two: Backend, open_models: Any) -> None:
    app = open_models()
    curves = {curve.experiment for curve in read_curves(ROOT / "reports").values()}
    here = {tab.label for tab in app.tabs} | {name for name in curves if name}
    pointed = {name for _, words in tables.verdicts() for name in re.findall("«(.+?)»", words)}
    assert pointed and pointed <= here
    assert not any("below" in words for _, words in tables.verdicts())


def test_the_table_can_be_narrowed_to_a_system(two: Backend, open_models: Any) -> None:
    app = open_models()
    assert frames(app)["comparison"]["system"].nunique() == 5
    app.button_group(key="systems").set_value(["GRA_Net"]).run()
    assert set(frames(app)["comparison"]["system"]) == {"GRA_Net"} and not app.exception


def test_experiments_show_what_was_run_and_say_what_was_not(
    two: Backend, open_models: Any, tmp_path: Path
) -> None:
    app = open_models()
    curves = "There are no learning curves yet: every model published from now on stores its own."
    assert [item.value for item in app.info if item.value == curves] == [curves]
    empty = [
        name
        for name in EXPERIMENTS
        if any(item.value == "Not run yet." for item in experiment(app, name).info)
    ]
    assert empty == [*EXPERIMENTS[:6], "Speed against rivals"]
    estimate = {"value": 5.5, "low": 5.3, "high": 5.7, "n": 3134}
    run = {
        "recipe": "r",
        "split": "random",
        "minutes": 6.0,
        "pictures": 5,
        "pictures_seen": 10,
        "mae": estimate,
        "mae_without_twin": estimate,
    }
    leakage = {"set": "utkface", "runs": [run | {"mae_with_twin": None}]}
    (tmp_path / "leakage.json").write_text(json.dumps(leakage))
    two.installed.append(
        net(
            "gra_net_ablation_channel",
            architecture="gra_net",
            options={"mask": "channel", "gated": True, "mask_norm": True},
            for_comparison=True,
        )
    )
    made = report("gra_net_ablation_channel", 7.0, gates={"attention1": 0.125})
    tables.reports = lambda: [made]  # the fixture's monkeypatch puts the real one back
    shown = frames(experiment(app, "Near-duplicates"))
    assert shown["near-duplicates"]["MAE, years"].tolist() == ["5.50 (5.30–5.70)"]
    masks = frames(experiment(app, "Gates and mask kinds"))["masks"]
    assert (
        masks["mask"].tolist() == ["channel"]
        and masks["MAE, years"].tolist() == ["7.00 (6.90–7.10)"]
        and "0.12" in masks.to_string()
    )


NOISE = "noise, deviation 16 of 255"


@pytest.fixture
def worse(two: Backend, tmp_path: Path) -> Backend:
    """What noise cost Alpha as it is and an earlier Beta."""
    rise = {"value": 5.82, "low": 5.4, "high": 6.2, "n": 1000}
    own = {"value": 4.5, "low": 4.3, "high": 4.7, "n": 1000}
    fall = {"value": -0.031, "low": -0.04, "high": -0.02, "n": 1000}
    share = {"value": 0.94, "low": 0.92, "high": 0.96, "n": 1000}
    costs = {"noise_16": {"mae": rise, "older": -6.3, "gender": fall}}
    row = {"mae": own, "gender_accuracy": share, "costs": costs}
    rows = [
        row
        | {"weights": info.name, "weights_sha256": sha}
        | {"decoding": decoding_dict(info.decoding)}
        for info, sha in zip(two.installed, (two.installed[0].sha256, "earlier"), strict=True)
    ]
    saved = {"set": "utkface", "split": "test", "n": 1000, "rows": rows}
    (tmp_path / "corruptions.json").write_text(json.dumps(saved))
    return two


def test_worse_photos_have_a_table_for_ages_and_one_for_genders(
    worse: Backend, open_models: Any
) -> None:
    app = experiment(open_models(), "Worse photos")
    assert "UTKFace, test, n 1,000" in "\n".join(item.value for item in app.markdown)
    found = [shown for shown in shown_tables(app) if "image" in shown.columns]
    ages, genders = (table.set_index("image") for table in found)
    assert list(ages.columns) == [worse.installed[0].title], "not of earlier weights"
    assert ages.loc[NOISE].item() == "+5.82 (+5.40 to +6.20); -6.30"
    assert genders.loc[NOISE].item() == "-3.1 (-4.0 to -2.0)"
    assert ages.loc["grey"].item() == "–" and genders.loc["as it is"].item().startswith("94.0")


def test_worse_photos_are_drawn_so_that_right_is_worse(worse: Backend, open_models: Any) -> None:
    app = experiment(open_models(), "Worse photos")
    titles = [*CORRUPTIONS]
    for measure, cost in (("mae", (5.82, 5.4, 6.2)), ("gender_accuracy", (3.1, 2.0, 4.0))):
        app.segmented_control(key="worse-photos-measure").set_value(measure).run()
        assert not app.exception
        (drawn,) = json.loads(app.get("plotly_chart")[-1].proto.spec)["data"]
        assert drawn["x"] == pytest.approx([cost[0]])
        (row,) = drawn["customdata"]
        assert row == pytest.approx(cost)
        place = len(titles) - titles.index("noise_16")
        assert abs(drawn["y"][0] - place) < 0.5, "in its own row"
    app.button_group(key="worse-photos-models").set_value([]).run()
    assert any(item.value == "Choose a model above." for item in app.info)


def test_learning_curves_are_drawn_where_they_were_kept(
    two: Backend, open_models: Any, tmp_path: Path
) -> None:
    rows = [
        {"epoch": epoch, "minutes": 5.0 * epoch, "loss": 3 / epoch, "utkface/mae": 10 / epoch}
        for epoch in (1.0, 2.0, 3.0)
    ]
    (tmp_path / "alpha").mkdir()
    curve = {
        "weights": "alpha",
        "weights_sha256": "y",
        "stages": [{"start": "from scratch", "pictures": 9, "rows": rows}],
    }
    (tmp_path / "alpha" / "curve.json").write_text(json.dumps(curve))
    app = open_models()
    assert not app.exception and app.selectbox(key="curve-network").options == ["Alpha"]
    captions = " ".join(item.value for item in app.caption).replace("\\", "")
    assert "No learning curve: Beta." in captions
    assert app.selectbox(key="curve-measure").options == ["Age: mean absolute error, years", "Loss"]
    drawn = [json.loads(item.proto.spec) for item in app.get("plotly_chart")]
    (line,) = (
        figure["data"][0]
        for figure in drawn
        if figure["data"] and figure["data"][0].get("name") == "UTKFace, validation images"
    )
    assert line["type"] == "scatter" and not any(
        "curves were kept" in item.value for item in app.info
    )
    app.selectbox(key="curve-measure").select("loss").run()
    assert not app.exception and any(
        "training images, with augmentation" in item.proto.spec for item in app.get("plotly_chart")
    )


def test_a_curve_of_other_weights_is_not_shown(
    two: Backend, open_models: Any, tmp_path: Path
) -> None:
    (tmp_path / "alpha").mkdir()
    rows = [{"epoch": 1.0, "minutes": 5.0, "loss": 3.0, "utkface/mae": 10.0}]
    stages = [{"start": "from scratch", "pictures": 9, "rows": rows}]
    curve = {"weights": "alpha", "weights_sha256": "older", "stages": stages}
    (tmp_path / "alpha" / "curve.json").write_text(json.dumps(curve))
    app = open_models("curves")
    assert not app.exception and "curve-network" not in {box.key for box in app.selectbox}


def test_an_experiments_curve_says_what_it_was_measured_on(
    two: Backend, open_models: Any, tmp_path: Path
) -> None:
    (tmp_path / "memorise").mkdir()
    row = {"epoch": 1.0, "minutes": 5.0, "loss": 3.0, "val_loss": 4.0, "train loss": 2.0}
    row |= {"utkface/mae": 9.0, "train utkface/mae": 8.0}
    curve = {
        "weights": "memorise",
        "experiment": "Memorisation experiment",
        "measured_on": {
            "split": "test",
            "resplit": "random",
            "pictures": 3134,
            "augmented": False,
        },
        "stages": [{"start": "from scratch", "pictures": 17252, "watched": 3000, "rows": [row]}],
    }
    (tmp_path / "memorise" / "curve.json").write_text(json.dumps(curve))
    app = open_models("curves")
    assert app.selectbox(key="curve-network").options == ["Memorisation experiment"]
    drawn = [line["name"] for item in app.get("plotly_chart")[-1:] for line in data_of(item)]
    assert drawn == ["UTKFace, test images", "UTKFace, training images"]
    words = " ".join(item.value for item in app.caption)
    assert "3,134 test images and 3,000 of the 17,252 training images" in words
    assert "near-duplicates on both sides. Trained without augmentation." in words
    assert "Validation images after each pass" not in words
    app.selectbox(key="curve-measure").select("loss").run()
    drawn = [line["name"] for item in app.get("plotly_chart")[-1:] for line in data_of(item)]
    assert drawn == [
        "test images",
        "training images, after the pass",
        "training images, while they are learned",
    ]


def data_of(item: Any) -> list[dict[str, Any]]:
    """Lines of a chart."""
    lines: list[dict[str, Any]] = json.loads(item.proto.spec)["data"]
    return lines


def test_comparisons_over_seeds_are_shown_with_their_difference(
    two: Backend, open_models: Any, tmp_path: Path
) -> None:
    runs = [
        {
            "variant": variant,
            "seed": seed,
            "commit": "c",
            "minutes": 9.0,
            "pictures": 100,
            "pictures_seen": 1200,
            "mae": {"value": 6 + less + seed / 10, "low": 5, "high": 9, "n": 3134},
            "gender_accuracy": None,
        }
        for variant, less in (("with", 0.0), ("without", 0.5))
        for seed in (0, 1, 2)
    ]
    report = {
        "name": "controls",
        "title": "Masks and gates",
        "recipe": "gra_net_dist",
        "set": "utkface",
        "split": "test",
        "settings": {},
        "baseline": "with",
        "variants": {"with": "mixed masks", "without": "no masks"},
        "runs": runs,
    }
    (tmp_path / "ablations").mkdir()
    (tmp_path / "ablations" / "controls.json").write_text(json.dumps(report))
    app = experiment(open_models("experiments"), "Over seeds")
    (table,) = (shown for shown in shown_tables(app) if "variant" in shown.columns)
    assert table["variant"].tolist() == ["mixed masks", "no masks"]
    assert table["seeds"].tolist() == ["3", "3"]
    assert table["age, less the first"].tolist() == ["–", "+0.50 (+0.50 to +0.50)"]
    words = " ".join(item.value for item in app.markdown).replace("\\", "")
    assert "Compared: mixed masks; no masks." in words and "(12 passes)" in words
    assert "n 3,134" in words


def test_decade_and_digit_are_shown_apart(
    two: Backend, open_models: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = DecadeDigit(
        decade_accuracy=Estimate(0.5, 0.4, 0.6, 9),
        digit_mae=Estimate(2.5, 2.4, 2.6, 9),
        perfect_decades=Estimate(2.25, 2.0, 2.5, 9),
        perfect_digits=Estimate(6.25, 6.0, 6.5, 9),
        digits_answered=(0.1,) * 10,
        digits_true=(0.1,) * 10,
    )
    found = [report("alpha", 5.0), report("beta", 7.0, decade_digit=parts)]
    monkeypatch.setattr(tables, "reports", lambda: found)
    app = experiment(open_models("experiments"), "Decade and digit")
    (table,) = (shown for shown in shown_tables(app) if "last digit off by" in shown.columns)
    (row,) = table.to_dict("records")
    assert row["model"] == "Beta" and row["decade right, %"] == "50.0 (40.0–60.0)"
    assert row["MAE with perfect decades"] == "2.25 (2.00–2.50)"
    assert row["MAE with perfect digits"] == "6.25 (6.00–6.50)"


def test_every_network_has_its_card(two: Backend, open_models: Any) -> None:
    app = open_models()
    cards = " ".join(item.proto.body for item in app.get("html"))
    assert all(name in cards for name in ("Alpha", "Beta", "Somebody 2019"))


@pytest.mark.parametrize("metric", tables.MEASURES)
def test_every_measure_can_be_drawn(two: Backend, metric: str) -> None:
    scale = 1 if METRIC_FORMATS[metric].unit == "years" else 10
    found = [report("alpha", 5.0 / scale, metric), report("beta", 6.0 / scale, metric)]
    figure = tables.chart(two.installed, found, metric)
    assert len(figure.data) == 1 and set(figure.data[0].y) == {"Alpha", "Beta"}
    assert "UTKFace" in figure.layout.annotations[0].text
    if metric == "mae":
        assert list(figure.data[0].x) == [6.0, 5.0] and figure.data[0].error_x.array[
            1
        ] == pytest.approx(0.1), "the best on top"


def test_networks_made_for_comparisons_are_left_out_of_the_chart_and_come_last(
    two: Backend, open_app: Any, open_models: Any
) -> None:
    made = net("gra_net_ablation_ran", architecture="gra_net", for_comparison=True)
    assert not any(info.for_comparison for info in two.installed)
    two.installed.append(made)
    app = open_models()
    assert [item.label for item in app.expander if "comparison," in item.label] == [
        "Trained only for comparison, not offered elsewhere: 1"
    ]
    figure = tables.chart(
        two.installed, [*tables.reports(), report("gra_net_ablation_ran", 1.0)], "mae"
    )
    assert set(figure.data[0].y) == {"Alpha", "Beta"}
    assert "gra_net_ablation_ran" not in open_app().run().selectbox(key="weights").options


def test_headings_say_which_way_is_better() -> None:
    assert tables.heading("mae") == "Age: mean absolute error, years (lower is better)"
    assert tables.heading("gender_accuracy") == "Gender: as labelled, % (higher is better)"
    assert tables.heading("interval_coverage") == "Age: inside the interval, %"
    assert tables.heading("bias").endswith("(positive: guessed too old)")


def test_the_best_stands_last_whichever_way_is_better() -> None:
    def order(metric: str, *values: float) -> list[float]:
        found = [report(str(value), value, metric) for value in values]
        found.sort(key=lambda one: tables._best_last(one, metric))
        return [one.metrics[metric].value for one in found]

    assert order("mae", 5.0, 7.0, 6.0) == [7.0, 6.0, 5.0]
    assert order("bias", -0.5, 2.0, -3.0) == [-3.0, 2.0, -0.5]
    assert order("gender_gap", 0.02, -0.3) == [-0.3, 0.02]
    assert order("cs5", 0.7, 0.6) == [0.6, 0.7]
    assert order("interval_coverage", 0.95, 0.79, 0.6) == [0.6, 0.95, 0.79]


def test_without_reports_the_page_says_so(
    backend: Backend, open_models: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.installed = [net("alpha")]
    monkeypatch.setattr(tables, "reports", lambda: [])
    app = open_models()
    assert not app.exception and "evaluate" in app.info[0].value
    assert "numbers" not in frames(app) and frames(app)["comparison"]["measured"].isna().all()


def test_without_weights_the_page_says_so(backend: Backend, open_models: Any) -> None:
    backend.installed = []
    app = open_models()
    assert not app.exception and (app.error or app.warning or app.info or app.markdown)


def claim_reports() -> list[EvaluationReport]:
    """A model that misses its paper's claim on age and one that beats its own on gender."""
    both = {
        "mae": Estimate(8.5, 8.4, 8.6, 3134),
        "gender_accuracy": Estimate(0.95, 0.94, 0.96, 3134),
    }
    return [report("beta", 6.0), report("gamma", 8.5, metrics=both)]


def claim_pairs() -> list[claims.Pair]:
    entries = [
        net("beta", architecture="gra_net", title="Beta & sons"),
        net("gamma", architecture="xception"),
    ]
    return claims.pairs(entries, claims.rows(entries, claim_reports()))


def test_a_claim_stays_beside_the_measurement_and_is_never_mixed_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGEGENDER_REPORTS", str(tmp_path))
    found = {(pair.model, pair.metric): pair for pair in claim_pairs()}
    assert set(found) == {("Beta & sons", "mae"), ("Gamma", "mae"), ("Gamma", "gender_accuracy")}, (
        "no claim without a measurement"
    )
    age = found["Beta & sons", "mae"]
    assert (age.claimed, age.measured, round(age.low, 2), round(age.high, 2), age.n) == (
        1.07,
        6.0,
        5.9,
        6.1,
        3134,
    )
    assert age.verdict == "Not reached: 4.9 years more error than claimed" and not age.reached
    assert found["Gamma", "mae"].verdict == "Reached: the claim lies inside our interval"
    assert (
        found["Gamma", "gender_accuracy"].verdict
        == "Better than claimed: 11.4 points above the claim"
    )
    assert claims.headline(list(found.values())).startswith(
        "2 of 3 claims are reached here. The widest gap in age: GRA_Net claims 1.07"
    )
    nearer = dataclasses.replace(age, model="Nearer", measured=3.0, low=2.9, high=3.1)
    refitted = dataclasses.replace(nearer, dataset=f"{age.dataset}, {claims.REFITTED}")
    said = claims.headline([age, nearer, dataclasses.replace(refitted, measured=3.5)])
    assert said == (
        "None of 1 claims is reached here (3 comparisons: some claims with several models; the"
        " nearest counts). The widest gap in age: GRA_Net claims 1.07 years on UTKFace; the"
        " nearest model here, Nearer, has 3.00 (2.90–3.10, n 3,134)."
    ), "a claim counts once"


def test_the_dumbbells_start_at_zero_and_tell_claim_from_measurement_by_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGEGENDER_REPORTS", str(tmp_path))
    part = [pair for pair in claim_pairs() if pair.in_years]
    figure = claims.chart(part)
    claimed = next(trace for trace in figure.data if trace.name == "claimed by the paper")
    measured = next(trace for trace in figure.data if (trace.name or "").startswith("measured"))
    assert (
        list(claimed.x) == [1.07, 8.5]
        and list(measured.x) == [6.0, 8.5]
        and list(claimed.y) == list(measured.y) == [2, 1]
    )
    assert claimed.marker.symbol.endswith("open") and not (measured.marker.symbol or "").endswith(
        "open"
    )
    assert measured.error_x.array[0] == pytest.approx(0.1)
    assert figure.layout.xaxis.range[0] == 0
    words = [item.text for item in figure.layout.annotations]
    assert (
        words[0]
        == "<b>Beta &amp; sons · UTKFace</b><br>Not reached: 4.9 years more error than claimed"
    ), "titles, no file names"


def test_the_page_opens_with_the_claims_and_makes_nothing_else(two: Backend, open_app: Any) -> None:
    app = open_app().switch_page("pages/models.py").run()
    assert not app.exception
    assert app.markdown[0].value.replace("\\", "").startswith("**None of 1 claims is reached here.")
    assert any(
        "AFAD: age, MAE 3.10 years" in item.value.replace("\\", "") for item in app.caption
    ), "claims without a measurement are listed apart"
    assert not any(item.proto.expanded for item in app.expander) and len(app.expander) == 6
    assert not app.dataframe and not app.selectbox and not app.get("download_button")


def test_a_fold_out_is_made_once_it_is_opened(two: Backend, open_models: Any) -> None:
    app = open_models("measured")
    assert not app.exception and list(frames(app)) == ["numbers"]
    app.session_state["models-measured"] = False
    assert not frames(app.run())
