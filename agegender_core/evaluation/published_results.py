"""The papers' claims as published, and our verdict on them. Never mixed with what was measured
here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class System:
    """A published system. ``key``: short name. ``architectures``: names in the registry that are
    built after it. ``paper``: for people.

    ``verdict``: why its claims are out of reach or not comparable, in a sentence or two, as far as
    we know; no measured numbers in it. It stands on the Models page and in ``docs/results.md``:
    what it points to in «» is named so in both.
    """

    key: str
    title: str
    architectures: tuple[str, ...]
    paper: str
    verdict: str


@dataclass(frozen=True)
class Claim:
    """One number of a paper. ``system``: key of ``SYSTEMS``. ``set``: key of the dataset.
    ``protocol``: how the paper says it split the dataset.

    ``metric``: as in ``metrics.json``; ``value``: years or a share in [0, 1]. ``source``: table or
    section. The paper's number of parameters is in the architecture's registration.
    """

    system: str
    set: str
    protocol: str
    metric: str
    value: float
    source: str

    @property
    def key(self) -> str:
        """«set protocol/metric», as in the manifest."""
        return f"{self.set} {self.protocol}/{self.metric}"


SYSTEMS: dict[str, System] = {
    system.key: system
    for system in (
        System(
            "gra_net",
            "GRA_Net",
            ("gra_net", "gra_net_trio"),
            "Garain, Ray, Singh, Ahmadian, Senu, Sarkar, GRA_Net, IEEE Access 2021",
            "The paper names neither its split nor its number of test images. 1.07 years is less"
            " than UTKFace's labels are worth (ages estimated by a program and checked by people),"
            " and as one wrong decade costs about ten years, it would need nearly every decade"
            " right. Near-duplicates on both sides of a random split help only as far as a network"
            " memorises: see «Near-duplicates». By the paper's account of its Figures 12 to 16,"
            " errors in training and validation fall as epochs go on (UTKFace's with many"
            " fluctuations), and those in training never level off, as where images are learned by"
            " heart; but it also writes that its training error never gets lower than its"
            " validation error, and a network that learns by heart shows the opposite wherever"
            " validation images are held out (see «Memorisation experiment»). Tried here, on"
            " budgets of minutes to hours: its three networks, one network with an age"
            " distribution, and, at a quarter of the width with one seed each, no gates, three mask"
            " kinds and a mask branch that saturates (see «Gates and mask kinds»). Trained again"
            " over several seeds, with masks, with every mask held at 1 and without gates, networks"
            " differ by no more than the seeds do (see «Over seeds»): at that width and length no"
            " gain was seen. What it is worth at full width and after long training was not"
            " measured.",
        ),
        System(
            "multitask_cnn",
            "Multi-task CNN",
            ("multitask_cnn",),
            "Vu, Phung, Wang, Wang, Age and Gender Recognition Using Multi-task CNN, 2019",
            "Claimed on Adience, whose images are not here: other faces, other labels (eight"
            " groups), five folds. Accuracy on the same eight groups of other sets is not the same"
            " task.",
        ),
        System(
            "two_branch_cnn",
            "Two-branch CNN, model A",
            ("two_branch_cnn",),
            "Age Estimation & Gender Classification With Convolutional Neural Networks, student"
            " report of group A, 2022",
            "Claimed on 250 test images of 5,000, drawn at random: the interval of such a number is"
            " a year wide and more (our own run of that protocol: see «Near-duplicates»), its own"
            " validation said 5.65, and the training images' near-duplicates may be among them.",
        ),
        System(
            "xception",
            "Xception, model B",
            ("xception",),
            "The same report, on Chollet, Xception, CVPR 2017",
            "The paper starts from ImageNet weights; ours start from scratch where those cannot be"
            " had, and the card says which it was.",
        ),
        System(
            "residual_cnn",
            "Residual CNN",
            ("residual_cnn",),
            "Khasanova and Sin, Residual Blocks-Based CNN for Age, Gender, and Race Classification",
            "Claimed on FairFace, 100 epochs of its 86,744 training images; 38,396 of them are"
            " here, and a part of the official validation set is our test. The budget in the card"
            " is a small part of 100 epochs.",
        ),
        System(
            "efficientnet_lite",
            "EfficientNet-Lite, pre-trained",
            ("efficientnet_lite0", "efficientnet_lite2"),
            "Tan and Le, EfficientNet, ICML 2019; its Lite0 and Lite2 as timm defines them",
            "Not in any of the four papers, and without a claim about faces: it is here to show"
            " what starting from ImageNet weights does.",
        ),
        System(
            "ensemble",
            "Ensemble",
            ("ensemble",),
            "Lakshminarayanan, Pritzel and Blundell, Deep Ensembles, NeurIPS 2017",
            "Not in any of the four papers, and without a claim about faces: networks of this"
            " table that answer together, the mean of their probabilities.",
        ),
    )
}

CLAIMS: tuple[Claim, ...] = (
    Claim("gra_net", "utkface", "split not stated", "mae", 1.07, "Table 4"),
    Claim("gra_net", "utkface", "split not stated", "gender_accuracy", 0.992, "Table 5"),
    Claim("gra_net", "utkface", "split and classes not stated", "age_accuracy", 0.937, "Table 8"),
    Claim("gra_net", "fgnet", "split not stated", "mae", 3.23, "Tables 4 and 6"),
    Claim("gra_net", "afad", "split not stated", "mae", 3.10, "Tables 4 and 7"),
    Claim("gra_net", "wiki", "split not stated", "mae", 5.45, "Table 4"),
    Claim("gra_net", "adience", "split not stated", "mae", 10.57, "Table 4, middles of the groups"),
    Claim("gra_net", "adience", "split not stated", "adience8_accuracy", 0.651, "Table 9"),
    Claim("gra_net", "adience", "split not stated", "gender_accuracy", 0.814, "Tables 5 and 9"),
    Claim("multitask_cnn", "adience", "five folds", "adience8_accuracy", 0.668, "Table II"),
    Claim("multitask_cnn", "adience", "five folds", "gender_accuracy", 0.871, "Table II"),
    Claim("two_branch_cnn", "utkface", "250 of 5,000", "mae", 4.60, "Figure 6"),
    Claim("two_branch_cnn", "utkface", "250 of 5,000", "gender_accuracy", 0.9219, "Figure 6"),
    Claim("xception", "utkface", "250 of 5,000", "mae", 8.50, "Figure 11"),
    Claim("xception", "utkface", "250 of 5,000", "gender_accuracy", 0.8359, "Figure 11"),
    Claim(
        "residual_cnn", "fairface", "official validation", "fairface9_accuracy", 0.563, "Table 1"
    ),
    Claim("residual_cnn", "fairface", "official validation", "gender_accuracy", 0.946, "Table 1"),
    Claim("residual_cnn", "fairface", "official validation", "race_accuracy", 0.584, "Table 1"),
)

DATASET_TITLES = {
    "utkface": "UTKFace",
    "all_age_faces": "All-Age-Faces",
    "fairface": "FairFace",
    "fgnet": "FG-NET",
    "afad": "AFAD",
    "wiki": "Wikipedia (IMDB-WIKI)",
    "adience": "Adience",
}
"""Datasets a claim or a measurement may be about, in the order of the tables."""

OURS = "Multi-task CNN (ours)"
"""The multi-task CNN's row of its paper's Table III."""

NOT_HERE = {"afad", "wiki", "adience"}
"""Datasets whose images are not here: their readers and protocols are tested on drawn copies of
the layout.
"""

COMPARISONS: dict[str, dict[str, float]] = {
    "FG-NET, MAE in years": {"with gates": 3.23, "residual attention network": 4.05},
    "AFAD, MAE in years": {"with gates": 3.10, "residual attention network": 3.42},
    "UTKFace, gender, %": {"with gates": 99.2, "residual attention network": 97.5},
}
"""GRA_Net against the residual attention network without gates, as claimed in its Tables 6 to 8.
It claims nothing about kinds of masks.
"""


def system_of(architecture: str) -> System | None:
    """The published system an architecture is built after."""
    return next(
        (system for system in SYSTEMS.values() if architecture in system.architectures), None
    )


def claims_of(architecture: str) -> tuple[Claim, ...]:
    """What the paper of an architecture claims."""
    system = system_of(architecture)
    return tuple(claim for claim in CLAIMS if system is not None and claim.system == system.key)
