"""What the page leads with: whether this model needs to know where to look, in one sentence from
its attention report, and the switch that shows it on the face at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from statistics import mean
from typing import TYPE_CHECKING, Any

import streamlit as st

from agegender_core.datasets.registry import TERMS, TEST_SPLITS
from agegender_core.evaluation.report_store import read_ablations, read_attentions
from agegender_core.evaluation.report_types import AttentionReport
from agegender_core.inference.model_zoo import is_current
from agegender_core.settings import reports_dir
from ui.attention import query_params as link
from ui.attention.layers import blocks
from ui.attention.mask_changes import all_changed, changes_of, set_all
from ui.attention.session import Subject
from ui.attention.state import FLATTEN
from ui.common.messages import plain

if TYPE_CHECKING:
    from agegender_core.inference.model_zoo import ModelInfo

WITHOUT = "no_masks"
"""The variant of a comparison whose masks are held at 1."""
LITTLE = 0.25
"""Years: an error that certainly changes by less than this stays the same for all anybody cares."""


@dataclass(frozen=True)
class FlatteningCost:
    """What flattening every mask does to the mean absolute error in years, with its 95 % interval,
    over ``n`` faces of ``where``.
    ``current``: whether it was measured with the weights that are installed.
    """

    years: float
    low: float
    high: float
    n: int
    where: str
    current: bool = True

    def sentence(self, whose: str = "this model's") -> str:
        """The finding, with its number and how it is known; Markdown."""
        lead = f"Flatten every mask and {whose} error"
        if self.low > 0:
            matters = (
                "where it looks matters"
                if self.years >= LITTLE
                else "where it looks matters, but little"
            )
            words = f"{lead} grows by {self.years:.2f} years: {matters}."
        elif self.high < 0:
            words = f"{lead} shrinks by {-self.years:.2f} years: where it looks harms its accuracy."
        elif self.low >= -LITTLE and self.high <= LITTLE:
            words = (
                f"{lead} stays the same ({signed(self.years)} years): where it looks does not"
                " matter to its accuracy."
            )
        else:
            words = (
                f"{lead} changes by {signed(self.years)} years: too uncertain to say whether where"
                " it looks matters."
            )
        return f"**{words}**"

    def evidence(self) -> str:
        """Faces, dataset and interval, behind the sentence."""
        words = (
            f"{self.n:,} faces of {self.where}, 95 % interval {signed(self.low)} to"
            f" {signed(self.high)} years."
        )
        return words if self.current else f"{words} Measured with an earlier version of this model."


def signed(years: float, digits: int = 2) -> str:
    """«+1.20», «−0.02», «0.00»."""
    words = f"{years:+.{digits}f}".replace("-", "−")
    return words[1:] if not words.strip("+−0.") else words


def flattening_cost(report: AttentionReport, current: bool = True) -> FlatteningCost | None:
    """The effect of flattening all masks in an attention report, which is of today's weights or is
    not; None where the report has none or its faces have no exact ages.
    """
    flat = report.flat_masks
    if flat is None or flat.mae is None:
        return None
    found = flat.mae
    where = f"{TERMS[report.set].title}, {report.split}"
    return FlatteningCost(found.value, found.low, found.high, found.n, where, current)


def measured(info: ModelInfo) -> FlatteningCost | None:
    """The effect for a model, on the first dataset that has one; one of today's weights first."""
    order = list(TEST_SPLITS)
    found = [
        report
        for report in read_attentions(reports_dir())
        if report.weights == info.name and report.set in order
    ]
    effects = [
        flattening_cost(report, is_current(report, info))
        for report in sorted(found, key=lambda report: order.index(report.set))
    ]
    known = [effect for effect in effects if effect is not None]
    return next((effect for effect in known if effect.current), known[0] if known else None)


def trained_without(name: str) -> str:
    """What the network ``name`` learns with its masks and without, in runs of equal length over the
    same seeds; empty where that was not compared.
    """
    for report in read_ablations(reports_dir()):
        errors = {
            key: {
                run.seed: run.mae.value
                for run in report.runs
                if run.variant == key and run.mae is not None
            }
            for key in (report.baseline, WITHOUT)
        }
        seeds = set(errors[report.baseline]) & set(errors[WITHOUT])
        if report.recipe != name or len(seeds) < 2:
            continue
        count = max(run.mae.n for run in report.runs if run.mae is not None)
        own, without = (mean(each[seed] for seed in seeds) for each in errors.values())
        if abs(without - own) < LITTLE:
            lesson = "they come to rely on their masks, but learn as well without"
        else:
            lesson = f"they learn {'better' if without > own else 'worse'} with masks"
        return (
            f"Trained from scratch in {len(seeds)} pairs of short runs on"
            f" {TERMS[report.set].title}, networks of this kind are off by {own:.2f} years with"
            f" masks and by {without:.2f} with every mask held at 1 ({report.split} split, n"
            f" {count:,}): {lesson}."
        )
    return ""


def show(
    subject: Subject, answer_words: Callable[[Any], str], masked: Sequence[ModelInfo] = ()
) -> None:
    """The sentence, its evidence, and the switch with what it does to this face. ``answer_words``:
    an answer's age in words; ``masked``: the models with masks, which one without points to.
    """
    names = blocks(subject)
    if not names:
        st.markdown(
            "**This model has no attention masks.** Cover the face to see what its answer depends"
            " on; the maps under «Where it looks» are saliency, computed from outside."
        )
        _point_to(next((info for info in masked if not info.for_comparison), None))
        return
    effect = measured(subject.info)
    if effect is None:
        st.markdown(
            "**Not measured yet: whether where this model looks matters to its accuracy.** Flatten"
            " its masks to try it on this face."
        )
    else:
        st.markdown(f"{effect.sentence()} {plain(effect.evidence())}")
    if words := trained_without(subject.info.name):
        st.caption(words)
    FLATTEN.set(all_changed(names, "mean"))
    with st.container(horizontal=True, vertical_alignment="center", key="attention-finding"):
        st.toggle(
            "Flatten every mask",
            key=FLATTEN.key,
            on_change=_flatten,
            args=(names,),
            help=(
                "Each mask becomes the same everywhere: the model still weighs its channels, but no"
                " place over another."
            ),
        )
        if all_changed(names, "mean"):
            before, now = (
                answer_words((subject.prediction.age, None)),
                answer_words(subject.answered(changes_of(names))),
            )
            words = f"This face: {now} with every mask flattened, {before} with its own masks."
            st.html(f'<p class="ag-said" role="status">{escape(words)}</p>')


def _point_to(info: ModelInfo | None) -> None:
    """The finding about a model with masks, and the way to it with the same face."""
    if info is None:
        return
    effect = measured(info)
    with st.container(horizontal=True, vertical_alignment="center", key="attention-other"):
        if effect is not None:
            st.markdown(f"{plain(info.title)} has masks. {effect.sentence('its')}")
        st.button(
            f"See this face with {plain(info.title)}",
            icon=":material/layers:",
            key="attention-with-masks",
            on_click=link.put,
            args=("weights", info.name),
        )


def _flatten(names: list[str]) -> None:
    set_all(names, "mean" if FLATTEN.get() else "own")
