"""The four papers' claims about other people's methods, as published; none was measured here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agegender_core.evaluation.published_results import DATASET_TITLES, SYSTEMS
from agegender_core.output.markdown import markdown_head, markdown_row
from agegender_core.output.metric_formats import shown_claim
from agegender_core.publishing.comparison_tables import HEADLINES


@dataclass(frozen=True)
class RivalTable:
    """One column of a paper's comparison. ``system``: whose paper. ``set``, ``metric``: as in
    ``Claim``. ``source``: its table.

    ``rows``: method and value, years or a share in [0, 1], in the paper's order, its own method
    left out.
    """

    system: str
    set: str
    metric: str
    source: str
    rows: tuple[tuple[str, float], ...]


def _shares(text: str) -> tuple[tuple[str, float], ...]:
    return tuple((method, round(value / 100, 6)) for method, value in _years(text))


def _years(text: str) -> tuple[tuple[str, float], ...]:
    pairs = (part.rsplit(" ", 1) for part in text.split("; "))
    return tuple((method, float(value)) for method, value in pairs)


RIVAL_TABLES = (
    RivalTable(
        "gra_net",
        "fgnet",
        "mae",
        "Table 6",
        _years(
            "MSFCL-LR (2020) 2.79; MSFCL (2020) 2.90; LSDML (2017) 3.53; RAN (2017) 4.05; CS-LBMFL"
            " (2015) 4.36; CS-LBFL (2015) 4.43; OHRank, absolute cost (2011) 4.48; CA-SVR 4.67; PLO"
            " (2012) 4.82; MTWGP (2010) 4.83; PFA (2008) 4.97; LARR (2008) 5.07; MHR with cost"
            " sensitivities (2007) 4.87; SSE (2008) 5.21; RED-SVM (2010) 5.24; RUN2 (2007) 5.33; GP"
            " (2010) 5.39; RankBoost (2010) 5.67; LDL (2013) 5.77; RUN1 (2007) 5.78; SVR (2016)"
            " 5.91; AGES (2007) 6.77; SVM 7.25; WAS (2007) 8.06; KNN 8.24"
        ),
    ),
    RivalTable(
        "gra_net",
        "afad",
        "mae",
        "Table 7",
        _years(
            "OR-MOCNN (2016) 3.34; RAN (2017) 3.42; BIFS+OHRank (2011) 3.84; BIFS+LSVR (2009) 4.13;"
            " BIFS+OR-SVM (2010) 4.36; BIFS+CCA (2013) 4.40; CNN+LSVR (2015) 5.56"
        ),
    ),
    RivalTable(
        "gra_net",
        "utkface",
        "age_accuracy",
        "Table 8",
        _shares("Facenet 56.9; FFNet 64; MTCNN 70.1; RAN (2017) 85.4"),
    ),
    RivalTable(
        "gra_net",
        "utkface",
        "gender_accuracy",
        "Table 8",
        _shares("Facenet 91.2; FFNet 96.1; MTCNN 98.23; RAN (2017) 97.5"),
    ),
    RivalTable(
        "gra_net",
        "adience",
        "adience8_accuracy",
        "Table 9",
        _shares(
            "RAN (2017) 57.3; LBP 41.4; FPLBP 39.8; LBP+FBLBP 44.5; LBP+FBLBP+PCA 0.5 38.1;"
            " LBP+FBLBP+PCA 0.8 32.9; LBP+FBLBP+Dropout 0.5 44.5; LBP+FBLBP+Dropout 0.8 45.1; MSFCL"
            " (2020) 64.7; MSFCL-KL (2020) 65.3"
        ),
    ),
    RivalTable(
        "gra_net",
        "adience",
        "gender_accuracy",
        "Table 9",
        _shares("RAN (2017) 77.2; LBP 73.4; FPLBP 72.6; LBP+FBLBP+PCA 0.5 76.1"),
    ),
    RivalTable(
        "multitask_cnn",
        "adience",
        "adience8_accuracy",
        "Table II",
        _shares(
            "AdienceNet 50.7; Lightweight 46.0; CaffeNet 54.3; GoogleNet 58.5; VGG-16 62.8; CNN-ELM"
            " 52.3"
        ),
    ),
    RivalTable(
        "multitask_cnn",
        "adience",
        "gender_accuracy",
        "Table II",
        _shares(
            "AdienceNet 86.8; Lightweight 86.0; CaffeNet 90.6; GoogleNet 91.7; VGG-16 92.6; CNN-ELM"
            " 88.2"
        ),
    ),
    RivalTable(
        "residual_cnn",
        "fairface",
        "fairface9_accuracy",
        "Table 1",
        _shares("ResNet34 53.2; DenseNet61 53.5; AlexNet 44.5; MobileNet_v2 41.9"),
    ),
    RivalTable(
        "residual_cnn",
        "fairface",
        "gender_accuracy",
        "Table 1",
        _shares("ResNet34 90.9; DenseNet61 90.8; AlexNet 83.3; MobileNet_v2 80.3"),
    ),
    RivalTable(
        "residual_cnn",
        "fairface",
        "race_accuracy",
        "Table 1",
        _shares("ResNet34 63.5; DenseNet61 63.6; AlexNet 54.3; MobileNet_v2 47.5"),
    ),
)
"""The third paper compares itself with nobody. The multi-task CNN's Table III, sizes and times, was
measured here: see ``rivals``.
"""


def rival_rows() -> list[dict[str, Any]]:
    """A row for each method and measure: «paper», «dataset», «measure», «method», «claimed»
    (years or per cent), «where».
    """
    rows = []
    for table in RIVAL_TABLES:
        factor, unit = (1, ", years") if table.metric == "mae" else (100, ", %")
        for method, value in table.rows:
            rows.append(
                {
                    "paper": SYSTEMS[table.system].title,
                    "dataset": DATASET_TITLES[table.set],
                    "measure": HEADLINES[table.metric] + unit,
                    "method": method,
                    "claimed": round(factor * value, 2),
                    "where": table.source,
                }
            )
    return rows


def rival_claims_table() -> str:
    """Markdown: a row for each column of a paper's comparison."""
    lines = [
        *markdown_head(("paper, table", "dataset", "measure", "what it says of others")),
    ]
    for table in RIVAL_TABLES:
        values = "; ".join(
            f"{method} {shown_claim(value, table.metric).split(' ')[0]}"
            for method, value in table.rows
        )
        where = f"{SYSTEMS[table.system].title}, {table.source}"
        unit = "years" if table.metric == "mae" else "%"
        lines.append(
            markdown_row(
                (where, DATASET_TITLES[table.set], f"{HEADLINES[table.metric]}, {unit}", values)
            )
        )
    return "\n".join([*lines, "", NOTE])


NOTE = (
    "RAN: residual attention network, without gates. GRA_Net's Table 8 names neither the classes"
    " that its accuracy of age counts nor its split; FFNet: fine-tuned FaceNet. None of these"
    " methods was run here."
)
