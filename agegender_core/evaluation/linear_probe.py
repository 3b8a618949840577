"""The papers' protocols with a frozen network: its features once for every image, then light models
refitted fold by fold.

Training a network for each of FG-NET's 82 people or each of Adience's five folds is too much for a
small machine. Instead, a ridge regression for age, a logistic regression for gender and a
multinomial one for age groups are fitted on frozen features: each on a fold's training part alone,
with features standardised and regularisation chosen there as well, and scored on the fold's test.
The network's own read-out, without any fitting, is reported beside it on the same images. What a
protocol reserves for tuning («val» beside a «test») is not used.

Features are the inputs of the last linear layer of every head, averaged over the crop and its
mirror image. A protocol is refused where the network was trained on images that it tests.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from agegender_core.datasets import FaceRecord, labelled_targets
from agegender_core.datasets.protocols import PROTOCOLS, Fold
from agegender_core.datasets.readers import LoadedDataset
from agegender_core.datasets.readers.base import FolderImages
from agegender_core.errors import ConfigError, DatasetError
from agegender_core.evaluation.metrics import bootstrap_mean, value_columns
from agegender_core.evaluation.protocol_images import (
    loaded_crops,
    read_dataset,
    refuse_seen,
    seen_in_training,
    shared_crops,
    test_part,
)
from agegender_core.evaluation.report_types import FoldedEstimate, LeftOut, ProtocolReport
from agegender_core.inference.decoding import Answers, DecodingSpec, group_probs, read_out
from agegender_core.inference.forward import mean_of_views, mirrored_views
from agegender_core.inference.model_zoo import ModelInfo, load_network
from agegender_core.labels import AGE_GROUP_SETS, GENDERS, MAX_AGE, group_names
from agegender_core.output.files import write_json
from agegender_core.output.json_records import to_json
from agegender_core.types import InputSpec, StageProgress
from agegender_core.vision.preprocessing import normalise, to_uint8

PROBE_METRICS = (
    "mae",
    "bias",
    "cs5",
    "adience8_accuracy",
    "adience8_one_off",
    "fairface9_accuracy",
    "fairface9_one_off",
    "gender_accuracy",
)
REFITTED = {
    "leave_one_person_out": "for each person left out",
    "five_folds": "for each official fold",
    "stratified_age_bins": "on the stratified training part",
    "official_train_val": "on the official training part",
    "our_splits": "on our training split",
}
TASKS = {
    "age": "ridge for age",
    "gender": "logistic regression for gender",
    "group": "multinomial logistic regression for age groups",
}
RIDGE_STRENGTHS = tuple(np.geomspace(1e0, 1e5, 11).tolist())
LOGISTIC_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""``C`` of scikit-learn: the inverse of the strength."""
INNER_FOLDS = 4

SHOWN = 5
"""How many excluded images are named on the screen; reports name all."""
OFFICIAL_COUNTS = {"fairface": {"train": 86_744, "val": 10_954}}


def run_protocol(
    info: ModelInfo,
    protocol: str,
    dataset_name: str,
    data: str | Path | None = None,
    reports: Path | None = None,
    progress: StageProgress | None = None,
) -> ProtocolReport:
    """Run ``protocol`` of ``PROTOCOLS`` on a dataset; write
    ``<weights>/protocols/<protocol>_<set>.json`` into ``reports`` unless None.

    ``data``: an official layout of the dataset on disk, or ``hub:owner/name``; None: the shared
    Parquet. Raises ``ConfigError`` for an unknown protocol and where tested images were trained on,
    ``DatasetError`` where the dataset is absent or does not suit the protocol, and
    ``WeightsError``.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"unknown protocol {protocol!r}; known: {', '.join(PROTOCOLS)}")
    network = load_network(info)
    records, loaded = read_dataset(dataset_name, data)
    folds = PROTOCOLS[protocol](records)
    seen = seen_in_training(info, dataset_name, records)
    refuse_seen(info, protocol, dataset_name, folds, seen)
    crops = (
        loaded_crops(loaded, dataset_name, info.input, progress)
        if loaded
        else shared_crops(records, info.input, progress)
    )
    parts = usable_parts(folds, crops.usable)
    _require_tests(parts, len(crops.left_out), protocol, dataset_name)
    features, logits = frozen_features(network, crops.pixels, info.input, info.flip, progress)
    labels = Labels.of([records[index] for index in np.flatnonzero(crops.usable)])
    refitted, strengths = refit(features, labels, parts, progress)
    metrics = score(labels, refitted, parts)
    own = score(
        labels, own_guesses(read_out(logits, info.decoding), info.decoding, labels.scheme), parts
    )
    fitted_on = np.unique(np.concatenate([fold.parts["train"] for fold in folds]))
    report = ProtocolReport(
        weights=info.name,
        weights_sha256=info.sha256,
        protocol=protocol,
        set=dataset_name,
        n=sum(len(part.test) for part in parts),
        folds=len(parts),
        method=_method_words(strengths, protocol),
        pictures=crops.how,
        features=features.shape[1],
        resampled="persons" if labels.people_known else "pictures",
        fitted_on_seen=int(seen[fitted_on].sum()),
        notes=tuple(_notes(protocol, dataset_name, folds, loaded)),
        left_out=tuple(LeftOut(skip.file, skip.reason) for skip in crops.left_out),
        metrics=metrics,
        own_readout={name: value for name, value in own.items() if name in metrics},
        strengths=strengths,
        by_fold=tuple(by_fold(labels, refitted, parts)),
    )
    if reports is not None:
        path = reports / info.name / "protocols" / f"{protocol}_{dataset_name}.json"
        write_json(path, to_json(report))
    return report


def _require_tests(parts: Sequence[Part], left_out: int, protocol: str, dataset_name: str) -> None:
    """Raise ``DatasetError`` where no fold has an image left to test."""
    if not parts:
        raise DatasetError(
            f"{dataset_name}: no test image of {protocol} could be used; {left_out:,} were left out"
        )


def _method_words(tasks: Iterable[str], protocol: str) -> str:
    """«frozen features, ridge for age refitted for each official fold»."""
    return (
        f"frozen features, {', '.join(TASKS[task] for task in tasks)} refitted {REFITTED[protocol]}"
    )


def protocol_text(report: ProtocolReport) -> str:
    """A few lines for the screen: shares in [0, 1], errors in years."""
    lines = [
        (
            f"{report.weights} on {report.set}, {report.protocol}: {report.folds:,} folds, n"
            f" {report.n:,}"
        ),
        report.method,
        report.pictures,
    ]
    for name, found in report.metrics.items():
        own = report.own_readout.get(name)
        spread = (
            "" if found.fold_sd is None else f", folds {found.fold_mean:.3f} ± {found.fold_sd:.3f}"
        )
        beside = (
            ""
            if own is None
            else f"; its own read-out {own.value:.3f} ({own.low:.3f} to {own.high:.3f})"
        )
        lines.append(
            f"{name} {found.value:.3f} ({found.low:.3f} to {found.high:.3f}){spread}{beside}"
        )
    lines += [f"note: {note}" for note in report.notes]
    if report.fitted_on_seen:
        lines.append(
            f"note: of the images fitted on, the network was trained on {report.fitted_on_seen:,}"
        )
    if missed := report.left_out:
        more = f" and {len(missed) - SHOWN:,} more" if len(missed) > SHOWN else ""
        named = ", ".join(f"{item.file} ({item.reason})" for item in missed[:SHOWN])
        lines.append(f"left out: {named}{more}")
    return "\n".join(lines)


def _notes(
    protocol: str, dataset_name: str, folds: Sequence[Fold], loaded: LoadedDataset | None
) -> list[str]:
    """What a reader must know to compare the numbers with published ones."""
    notes = []
    if protocol == "official_train_val" and dataset_name in OFFICIAL_COUNTS:
        counts = [
            (part, len(folds[0].parts[part]), official)
            for part, official in OFFICIAL_COUNTS[dataset_name].items()
        ]
        short = [
            f"{here:,} of {official:,} {part}"
            for part, here, official in counts
            if here != official
        ]
        notes += [f"only part of the official dataset is here: {', '.join(short)}"] if short else []
    if loaded and not isinstance(loaded.source, FolderImages):
        notes.append(
            f"that this is {dataset_name}, and so which of its images the weights have seen, is the"
            " claim of whoever ran it"
        )
    return notes


@contextmanager
def head_inputs(network: nn.Module) -> Iterator[list[Tensor]]:
    """Inside, every pass of ``network`` appends the inputs (N, F) of its heads' last linear layers
    to the list, each tensor once.

    A head is a member of a ``ModuleDict`` called «heads», wherever it is. Raises ``ConfigError``
    where there is none.
    """
    found: list[Tensor] = []
    dicts = [
        module
        for name, module in network.named_modules()
        if name.rpartition(".")[2] == "heads" and isinstance(module, nn.ModuleDict)
    ]
    heads = [head for heads in dicts for head in heads.values()]
    layers = [
        [layer for layer in head.modules() if isinstance(layer, nn.Linear)][-1:] for head in heads
    ]
    if not heads or not all(layers):
        raise ConfigError(
            f"{type(network).__name__} has no heads that end in a linear layer: there are no"
            " features to use"
        )

    def take(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if not any(inputs[0] is other for other in found):  # heads on one trunk share their input
            found.append(inputs[0])

    hooks = [layer.register_forward_pre_hook(take) for (layer,) in layers]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


@torch.inference_mode()
def frozen_features(
    network: nn.Module,
    crops: np.ndarray,
    spec: InputSpec,
    flip: bool,
    progress: StageProgress | None = None,
    batch: int = 64,
) -> tuple[np.ndarray, dict[str, Tensor]]:
    """(N, F) float64 features of (N, H, W, 3) uint8 crops, both mirrored views averaged, and logits
    by head, (N, K) each.

    ``flip``: average the logits as well, as the app does with these weights.
    """
    features: list[np.ndarray] = []
    logits: list[dict[str, Tensor]] = []
    with head_inputs(network) as inputs:
        for start in range(0, len(crops), batch):
            images = normalise(to_uint8(crops[start : start + batch]), spec)  # (B, 3, H, W)
            inputs.clear()
            both = network(mirrored_views(images, flip=True)).logits
            taken = torch.cat([found.flatten(1) for found in inputs], dim=1).double()  # (2B, F)
            features.append(mean_of_views(taken, flip=True).numpy())
            logits.append(
                {
                    name: mean_of_views(value, flip) if flip else value[: len(images)]
                    for name, value in both.items()
                }
            )
            if progress:
                progress("features", min(start + batch, len(crops)), len(crops))
    return np.concatenate(features), {
        name: torch.cat([part[name] for part in logits]) for name in logits[0]
    }


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of N images. ``age``: (N,) years, NaN where not exact. ``gender``, ``group``: (N,)
    index, -1 where unknown.

    ``scheme``: key of ``AGE_GROUP_SETS`` the dataset's own ranges belong to, None without ranges.
    ``person``: (N,) who it is; unknown people count as different.
    """

    age: np.ndarray
    gender: np.ndarray
    group: np.ndarray
    scheme: str | None
    person: np.ndarray
    people_known: bool

    @classmethod
    def of(cls, records: Sequence[FaceRecord]) -> Labels:
        """Arrays of ``records``."""
        ranges = [record.age_range for record in records]
        scheme = _scheme({pair for pair in ranges if pair})
        positions = (
            {}
            if scheme is None
            else {(group.lo, group.hi): index for index, group in enumerate(AGE_GROUP_SETS[scheme])}
        )
        return cls(
            age=np.array(
                [np.nan if record.age is None else record.age for record in records], float
            ),
            gender=labelled_targets(records).gender,
            group=np.array(
                [-1 if pair is None else positions.get(pair, -1) for pair in ranges], np.int64
            ),
            scheme=scheme,
            person=np.array(
                [
                    f"row {record.row}" if record.subject is None else f"person {record.subject}"
                    for record in records
                ]
            ),
            people_known=all(record.subject is not None for record in records),
        )


def _scheme(ranges: set[tuple[int, int]]) -> str | None:
    """Which age groups a dataset's ranges are."""
    fitting = [
        name
        for name, groups in AGE_GROUP_SETS.items()
        if ranges <= {(group.lo, group.hi) for group in groups}
    ]
    return fitting[0] if ranges and fitting else None


@dataclass(frozen=True, eq=False)
class Part:
    """A fold of the usable images: rows of the features to fit and to score on."""

    name: str
    train: np.ndarray
    test: np.ndarray


def usable_parts(folds: Sequence[Fold], usable: np.ndarray) -> list[Part]:
    """``folds`` of all records as rows of the ``usable`` ones, (N,) bool; folds with nothing left
    to test are left out.
    """
    positions = np.cumsum(usable) - 1
    parts = [
        Part(
            fold.name,
            *(positions[rows[usable[rows]]] for rows in (fold.parts["train"], test_part(fold))),
        )
        for fold in folds
    ]
    return [part for part in parts if len(part.test)]


@dataclass(frozen=True, eq=False)
class Guesses:
    """Estimates for N images. ``age``: (N,) years, NaN where there is none. ``gender``, ``group``:
    (N,) index, -1 where there is none.
    """

    age: np.ndarray
    gender: np.ndarray
    group: np.ndarray


def refit(
    features: np.ndarray,
    labels: Labels,
    parts: Sequence[Part],
    progress: StageProgress | None = None,
) -> tuple[Guesses, dict[str, dict[str, int]]]:
    """Guesses for all tested images, and by task how many folds chose which strength. Tasks without
    a label in the dataset are left out.

    Raises ``DatasetError`` where a fold has no label to learn a task from.
    """
    count = len(features)
    guesses = Guesses(np.full(count, np.nan), np.full(count, -1), np.full(count, -1))
    targets = {"age": labels.age, "gender": labels.gender, "group": labels.group}
    known = {
        task: ~np.isnan(values) if task == "age" else values >= 0
        for task, values in targets.items()
    }
    chosen: dict[str, Counter[str]] = {task: Counter() for task in TASKS if known[task].any()}
    for done, part in enumerate(parts, start=1):
        for task, counter in chosen.items():
            rows = part.train[known[task][part.train]]
            if not len(rows):
                raise DatasetError(
                    f"fold {part.name}: none of its {len(part.train):,} training images has a label"
                    f" for {task}"
                )
            model, strength = _fitted(
                task, features[rows], targets[task][rows], labels.person[rows]
            )
            answers = model.predict(features[part.test])
            getattr(guesses, task)[part.test] = (
                np.clip(answers, 0, MAX_AGE) if task == "age" else answers
            )
            counter[strength] += 1
        if progress:
            progress("folds", done, len(parts))
    return guesses, {task: dict(counter) for task, counter in chosen.items()}


def _fitted(
    task: str, features: np.ndarray, target: np.ndarray, person: np.ndarray
) -> tuple[Any, str]:
    """A model fitted on (n, F) features and (n,) targets, and its strength, chosen by folds inside
    them that keep persons together.
    """
    from sklearn.dummy import DummyClassifier
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    classes = task != "age"
    if classes and len(np.unique(target)) == 1:
        return DummyClassifier(strategy="most_frequent").fit(features, target), "one class only"
    grid, name = (LOGISTIC_STRENGTHS, "C") if classes else (RIDGE_STRENGTHS, "alpha")
    last = (
        LogisticRegression(C=grid[len(grid) // 2], max_iter=1000)
        if classes
        else Ridge(alpha=grid[len(grid) // 2])
    )
    pipeline = Pipeline([("standardise", StandardScaler()), ("fit", last)])
    inner = _inner_folds(target, person, classes)
    if not inner:
        return pipeline.fit(features, target), f"{name} {grid[len(grid) // 2]:g}, too few to choose"
    scoring = "accuracy" if classes else "neg_mean_absolute_error"
    search = GridSearchCV(pipeline, {f"fit__{name}": grid}, cv=inner, scoring=scoring).fit(
        features, target
    )
    return search.best_estimator_, f"{name} {search.best_params_[f'fit__{name}']:g}"


def _inner_folds(
    target: np.ndarray, person: np.ndarray, classes: bool
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Folds inside a training part, none where there is too little to divide."""
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, StratifiedKFold

    people = len(np.unique(person))
    most = int(np.unique(target, return_counts=True)[1].max()) if classes else len(target)
    count = min(INNER_FOLDS, people, most)
    if count < 2:
        return []
    settings = {"n_splits": count, "shuffle": True, "random_state": 0}
    kind = (
        GroupKFold
        if not classes
        else StratifiedKFold
        if people == len(person)
        else StratifiedGroupKFold
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer members than folds
        folds = list(kind(**settings).split(target, target, person))
    return [
        (train, test)
        for train, test in folds
        if len(test) and not (classes and len(np.unique(target[train])) == 1)
    ]


def own_guesses(answers: Answers, spec: DecodingSpec, scheme: str | None) -> Guesses:
    """The network's own answers, age groups by ``scheme`` where it can name them."""
    group = np.full(len(answers.years), -1)
    if scheme and answers.age_probs is not None:
        group = group_probs(answers.age_probs, AGE_GROUP_SETS[scheme]).argmax(axis=1)
    elif scheme and scheme == spec.groups and answers.group is not None:
        group = answers.group
    return Guesses(answers.years, answers.gender, group)


def score(labels: Labels, guesses: Guesses, parts: Sequence[Part]) -> dict[str, FoldedEstimate]:
    """By metric: the estimate over all tested images, with mean and standard deviation of the
    folds. The interval resamples persons where all are known, else images.
    """
    values = _values(labels, guesses)
    tested = np.concatenate([part.test for part in parts])
    found: dict[str, FoldedEstimate] = {}
    for name in PROBE_METRICS:
        column = values[name].to_numpy(float)
        estimate = bootstrap_mean(
            column[tested], who=labels.person[tested] if labels.people_known else None
        )
        if estimate is not None:
            means = np.array(
                [
                    np.nanmean(column[part.test])
                    for part in parts
                    if not np.isnan(column[part.test]).all()
                ]
            )
            whole = estimate.rounded()
            found[name] = FoldedEstimate(
                value=whole.value,
                low=whole.low,
                high=whole.high,
                n=whole.n,
                fold_mean=round(float(means.mean()), 5),
                fold_sd=round(float(means.std(ddof=1)), 5) if len(means) > 1 else None,
            )
    return found


def by_fold(labels: Labels, guesses: Guesses, parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Name, images fitted on and tested, and metrics of every fold."""
    values = _values(labels, guesses)
    rows: list[dict[str, Any]] = []
    for part in parts:
        means = values.iloc[part.test].mean().dropna().round(5)
        rows.append(
            {
                "fold": part.name,
                "train": len(part.train),
                "n": len(part.test),
                **{str(name): value for name, value in means.items()},
            }
        )
    return rows


def _values(labels: Labels, guesses: Guesses) -> pd.DataFrame:
    """One column a metric, one row an image, NaN where a label or an answer is missing."""
    names: dict[str, list[str | None] | None] = {
        f"{scheme}_pred": None for scheme in AGE_GROUP_SETS
    }
    groups = None if labels.scheme is None else group_names(AGE_GROUP_SETS[labels.scheme])
    if groups:
        names[f"{labels.scheme}_pred"] = _words(guesses.group, groups)
    table = pd.DataFrame(
        {
            "age_true": labels.age,
            "age_range_true": _words(labels.group, groups) if groups else None,
            "gender_true": _words(labels.gender, GENDERS),
            "race_true": None,
            "age_pred": guesses.age,
            "age_low": np.nan,
            "age_high": np.nan,
            "gender_pred": _words(guesses.gender, GENDERS),
            "race_pred": None,
            **names,
        },
        index=range(len(labels.age)),
    )
    return value_columns(table)[list(PROBE_METRICS)]


def _words(indices: np.ndarray, names: Sequence[str]) -> list[str | None]:
    return [None if index < 0 else names[index] for index in indices]
