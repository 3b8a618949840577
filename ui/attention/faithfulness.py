"""«Is it faithful?»: deletion and insertion curves of the masks, of saliency and of maps that know
nothing, for one face.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st

from agegender_core.evaluation.report_types import CENTRE, DEVIATION, EFFECT, is_control
from ui.attention import query_params as link
from ui.attention import state
from ui.attention.figures import FLAT, curves
from ui.attention.jobs import Job, duration_words
from ui.attention.layers import SALIENCY, blocks, title
from ui.attention.query_params import TARGETS, key
from ui.attention.session import MOST, Subject
from ui.common import gated
from ui.common.charts import CONFIG
from ui.common.messages import plain

if TYPE_CHECKING:
    from PIL import Image

    from agegender_core.inference.model_zoo import ModelInfo

RANDOM = 5
"""Random maps for each resolution: one alone may be lucky."""
MARGIN = 0.01
"""Areas closer than this count as equal."""
BETTER, EQUAL, WORSE = "better than random", "no better than random", "worse than random"
FLATNESS = "It is flat: which place comes first is little more than rounding."
PARTS = {
    "mean": "The mean mask",
    "deviation": "The mask's deviation",
    "effect": "The mask's effect",
}
"""Maps of a block's mask in sentences, by their names in titles."""
CONTROLS = (
    "Two kinds of maps are controls that know less: nearness to the crop's centre, and a block's"
    " trunk, the size of the features before its mask, which its effect is made of too."
)
DRAWN = "Of each block the effect is drawn; the table has its other maps, too."
KINDS = ("deletion", "insertion")
COSTS, COST = {"grad_cam": 4, "occlusion": 64}, 32
"""Crops answered for a saliency map, and for the two curves of any map: what progress is counted
in.
"""
POLL = 1.0
"""Seconds between two checks of a running test."""
_SECONDS: dict[str, float] = {}
"""How long the last test took in this process, by model."""
Row = dict[str, Any]


def show(subject: Subject) -> None:
    """A button, then progress, then curves, areas and a verdict for each map."""
    st.fragment(_test, run_every=POLL if state.TEST.is_set() else None)(
        subject, state.TEST.is_set()
    )


def _test(subject: Subject, polling: bool) -> None:
    """``polling``: whether the timer runs, which only a run of the whole page can change."""
    st.markdown(
        "Remove the pixels a map ranks highest: the answer should fall apart quickly (**deletion**,"
        " low is good). Put them back first: it should return quickly (**insertion**, high is"
        " good). A map that does no better than a random one does not show what the answer depends"
        " on, however convincing it looks."
    )
    target = st.segmented_control(
        "Curves for",
        list(TARGETS),
        required=True,
        format_func=TARGETS.get,
        key=key("target"),
        persist_state="session",
    )
    store: dict[Any, dict[str, Row]] = state.CURVES.stored()
    wish = (*subject.key, target)
    _collect(store)
    if polling != (state.TEST.is_set()):
        st.rerun()
    if wish in store:
        _result(store[wish])
    elif state.TEST.get()[0] == wish:
        _progress(state.TEST.get()[1])
    else:
        _offer(subject, wish, target)
    link.write()


def _offer(subject: Subject, wish: tuple[str, ...], target: str) -> None:
    """The button, with how long it took last time."""
    if error := state.TEST_ERROR.pop():
        st.error(plain(error), icon=":material/error:")
    wanted = maps_wanted(subject)
    st.button(
        f"Run the test on this face ({duration_words(_SECONDS.get(subject.info.name))})",
        icon=":material/query_stats:",
        key="attention-curves-button",
        on_click=_start,
        args=(subject, wish, target),
    )
    st.caption(
        f"{len(wanted)} maps and their controls against {RANDOM} random ones of each resolution."
        " The result stays for this visit."
    )


def _start(subject: Subject, wish: tuple[str, ...], target: str) -> None:
    """Begin in the background; a test that runs for another face is cancelled."""
    _cancel()
    masks: dict[str, np.ndarray] = {}
    for name in blocks(subject):
        masks |= subject.maps().block(name).judged()
    network, info, crop = subject.predictor.network, subject.info, subject.prediction.crop
    caller = gated.client()

    def work(report: Callable[[int, int], None]) -> dict[str, Row]:
        with gated.steps(caller) as between:

            def step(done: int, total: int) -> None:
                between()
                report(done, total)

            return run_test(network, info, crop, masks, target, step)

    job = Job(work)
    state.TEST.set((wish, job))


def _cancel() -> None:
    _, job = state.TEST.pop()
    if job is not None:
        job.cancel()


def _progress(job: Job) -> None:
    """How far it is, how long it will take, and the way to stop it."""
    left = job.seconds_left()
    if job.started is None:
        words = "Waiting for another visitor's test to end …"
    elif left is None:
        words = "Computing the maps …"
    else:
        words = f"{100 * job.done / job.total:.0f} % done, {duration_words(left)} left"
    st.progress(job.done / job.total if job.total else 0.0, words)
    st.button("Cancel", icon=":material/close:", key="attention-curves-cancel", on_click=_cancel)


def _collect(store: dict[Any, dict[str, Row]]) -> None:
    """Store what a finished job found."""
    wish, job = state.TEST.get()
    if job is None or job.running:
        return
    state.TEST.clear()
    if job.result is not None:
        store[wish] = job.result
        for old in list(store)[: -MOST["curves"]]:
            del store[old]
    elif job.error:
        state.TEST_ERROR.set(job.error)


def maps_wanted(subject: Subject) -> list[str]:
    """Names of the maps to be judged: three of each block's mask, then saliency."""
    own = [name + part for name in blocks(subject) for part in ("", DEVIATION, EFFECT)]
    return [*own, *SALIENCY]


def run_test(
    network: Any,
    info: ModelInfo,
    crop: Image.Image,
    masks: Mapping[str, np.ndarray],
    target: Any,
    report: Callable[[int, int], None],
) -> dict[str, Row]:
    """A row of curves and areas for each of ``masks`` (h, w), each saliency map and the map of the
    crop's centre, and what follows on each curve as «verdicts»; «random» has the means of all
    random maps. ``report``: called before each map with the crops answered so far and in the end;
    what it raises ends the test. Touches nothing of the session: it runs in a thread.
    """
    from agegender_core.explain.faithfulness import centre_map, compare, random_map
    from agegender_core.explain.saliency import normalised, saliency_map

    start, maps, done = monotonic(), dict(masks), 0
    # Until the resolutions are known.
    total = sum(COSTS.values()) + COST * (
        len(masks) + len(SALIENCY) + 1 + RANDOM * (len(masks) // 4 + 2)
    )
    for name in SALIENCY:
        report(done, total)
        maps[name] = normalised(saliency_map(network, info, crop, name, target))
        done += COSTS[name]
    maps[CENTRE] = centre_map(max(values.shape[-1] for values in maps.values()))
    sides = sorted({values.shape[-1] for values in maps.values()}, reverse=True)
    guesses = {
        (side, index): random_map(side, index, side) for side in sides for index in range(RANDOM)
    }
    all_maps: dict[Any, np.ndarray] = maps | guesses
    rows: dict[Any, Row] = {}
    total = done + COST * len(all_maps)
    for name, values in all_maps.items():
        report(done, total)
        done += COST
        rows[name] = compare(network, info, crop, {"map": values}, target)["map"]
    found = {name: rows[name] for name in maps}
    for name in maps:
        peers = [rows[maps[name].shape[-1], index] for index in range(RANDOM)]
        spread = maps[name].max() if name.endswith(EFFECT) else np.ptp(maps[name])
        found[name]["flat"] = name in masks and float(spread) < FLAT
        found[name]["verdicts"] = [verdict(found[name], peers, kind) for kind in KINDS]
    _SECONDS[info.name] = monotonic() - start
    known = [rows[name] for name in guesses]
    return found | {
        "random": {kind: np.mean([row[kind] for row in known], axis=0) for kind in known[0]}
    }


def verdict(row: Row, peers: list[Row], kind: str) -> str:
    """Better or worse only where the area lies beyond those of all ``peers``, random maps of the
    same cells, by ``MARGIN``.
    """
    gains = [
        (
            (peer["deletion_area"] - row["deletion_area"])
            if kind == "deletion"
            else (row["insertion_area"] - peer["insertion_area"])
        )
        for peer in peers
    ]
    return BETTER if min(gains) > MARGIN else WORSE if max(gains) < -MARGIN else EQUAL


def render_verdict(name: str, verdicts: list[str], where: str, more: str = "") -> None:
    """One plain sentence on a map, and ``more``: good only where both curves are."""
    what = _subject(name)
    agreed = verdicts[0] == verdicts[1]
    words = (
        f"does {verdicts[0]}"
        if agreed
        else f"does {verdicts[0]} at deletion, {verdicts[1]} at insertion,"
    )
    icon = "check_circle" if agreed and verdicts[0] == BETTER else "do_not_disturb_on"
    st.markdown(f":material/{icon}: {plain(f'{what} {words} {where}. {more}')}")


def _subject(name: str) -> str:
    """«The mask's effect in block 1», «The mean mask in block 1 of the decade network»."""
    words, _, part = map_title(name).partition(": ")
    if part not in PARTS:
        return words
    network, _, block = words.rpartition(", ")
    of = f" of the {network.lower()} network" if network else ""
    return f"{PARTS[part]} in {block.lower()}{of}"


def judged(name: str) -> bool:
    """Whether the map is one of a block's mask, which people may take for where the model looks."""
    return not (name in SALIENCY or is_control(name) or name.startswith("random"))


def map_title(name: str) -> str:
    """A map's name in tables and legends: «Block 1: mean», «Block 1: effect»,
    «Occlusion (saliency)», «Random, 8 × 8».
    """
    if name.startswith("random"):
        return name.replace("random ", "random, ").replace("x", " × ").capitalize()
    if name in SALIENCY:
        return f"{title(name)} (saliency)"
    if name == CENTRE or ":" in title(name):
        return title(name)
    return f"{title(name)}: mean"


def curves_side_by_side(found: Mapping[str, Mapping[str, np.ndarray]], name: str) -> None:
    """Deletion and insertion. ``name``: of the charts' keys."""
    called = {one: map_title(one) for one in found}
    if any(one.endswith(EFFECT) for one in found):
        st.caption(DRAWN)
    for column, kind in zip(st.columns(2, gap="medium"), KINDS, strict=True):
        with column:
            st.markdown(
                f"**{kind.capitalize()}**:"
                f" {'lower is better' if kind == 'deletion' else 'higher is better'}"
            )
            st.plotly_chart(
                curves(found, kind, called),
                width="stretch",
                config=CONFIG,
                key=f"{name}-{kind}",
                alt=f"{kind} curves",
            )


def _result(found: Mapping[str, Row]) -> None:
    masks = [name for name in found if judged(name)]
    for name in masks or list(SALIENCY):
        render_verdict(
            name, found[name]["verdicts"], "on this face", FLATNESS if found[name]["flat"] else ""
        )
    curves_side_by_side(found, "attention-curves-of")
    rows = [
        {
            "map": (
                f"Random (mean of {RANDOM} at each resolution)"
                if name == "random"
                else map_title(name)
            ),
            "deletion, area": row["deletion_area"],
            "deletion": "the map to beat" if name == "random" else row["verdicts"][0],
            "insertion, area": row["insertion_area"],
            "insertion": "the map to beat" if name == "random" else row["verdicts"][1],
        }
        for name, row in found.items()
    ]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        width="stretch",
        key="attention-areas",
        column_config={
            f"{kind}, area": st.column_config.NumberColumn(format="%.3f") for kind in KINDS
        },
    )
    st.caption(
        f"Areas under the curves. Better means: beyond all {RANDOM} random maps of the same cells,"
        f" by more than {MARGIN:g}. {CONTROLS} One face proves little; averages over a test set,"
        " where there are any, are on the next tab."
    )
