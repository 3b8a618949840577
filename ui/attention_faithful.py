"""«Is it faithful?»: deletion and insertion curves of the masks, of saliency and of maps that know nothing, for one face."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from ui import attention_link as link
from ui.attention_figures import FLAT, curves
from ui.attention_layers import SALIENCY, blocks, title
from ui.attention_link import TARGETS, key
from ui.attention_subject import MOST, Subject
from ui.charts import CONFIG
from ui.messages import plain

RANDOM = 5
"""Maps that know nothing, for each resolution: one alone may be lucky."""
MARGIN = 0.01
"""Areas closer than this count as equal."""
BETTER, EQUAL, WORSE = "better than random", "no better than random", "worse than random"
FLATNESS = "It is flat: which place comes first is little more than rounding."
KINDS = ("deletion", "insertion")
Row = dict[str, Any]


@st.fragment
def show(subject: Subject) -> None:
    """A button, then curves, areas and a verdict for each map."""
    st.markdown(
        "Take the pixels away that a map calls most important, and the answer should fall apart soon (**deletion**, low is good). "
        "Put them back first, and it should return soon (**insertion**, high is good). A map that does no better than a random one "
        "does not show what the answer hangs on, however convincing it looks."
    )
    target = st.segmented_control(
        "Curves for", list(TARGETS), required=True, format_func=TARGETS.get, key=key("target"), persist_state="session"
    )
    store: dict[Any, dict[str, Row]] = st.session_state.setdefault("attention-curves", {})
    wish = (*subject.key, target)
    if wish not in store:
        wanted, slot = maps_wanted(subject), st.empty()
        if st.session_state.pop("attention-curves-wish", None) != wish:
            with slot.container():
                st.caption(f"{len(wanted)} maps and {RANDOM} random ones for each resolution, once for each face. It takes a while.")
                words = {"icon": ":material/query_stats:", "key": "attention-curves-button"}
                st.button("Work it out for this face", **words, on_click=_wish, args=(wish,))
            link.write()
            return
        with slot.container():
            store[wish] = work_out(subject, wanted, target)
        slot.empty()
        for old in list(store)[: -MOST["curves"]]:
            del store[old]
    _result(store[wish])
    link.write()


def _wish(wish: tuple[str, ...]) -> None:
    st.session_state["attention-curves-wish"] = wish


def maps_wanted(subject: Subject) -> list[str]:
    """Names of the maps to be judged: masks of all blocks, then saliency."""
    return [*blocks(subject), *SALIENCY]


def work_out(subject: Subject, wanted: list[str], target: str) -> dict[str, Row]:
    """A row of curves and areas a map, and what follows on each curve as «verdicts»; «random» holds the means of all random maps."""
    from agegender_core.evaluation.faithfulness import compare, random_map

    progress = st.progress(0.0, "Reading the maps …")
    maps = {name: subject.saliency(name, target) if name in SALIENCY else subject.maps().block(name).mean() for name in wanted}
    sides = sorted({values.shape[-1] for values in maps.values()}, reverse=True)
    guesses = {(side, index): random_map(side, index, side) for side in sides for index in range(RANDOM)}
    asked: dict[Any, np.ndarray] = maps | guesses
    rows: dict[Any, Row] = {}
    for number, (name, values) in enumerate(asked.items()):
        words = f"Random map of {name[0]} × {name[0]} cells" if isinstance(name, tuple) else title(name)
        progress.progress(number / len(asked), f"{words}: map {number + 1} of {len(asked)}")
        rows |= {name: compare(subject.predictor.network, subject.card, subject.prediction.crop, {"map": values}, target)["map"]}
    progress.empty()
    found = {name: rows[name] for name in wanted}
    for name in wanted:
        peers = [rows[maps[name].shape[-1], index] for index in range(RANDOM)]
        found[name]["flat"] = name not in SALIENCY and float(np.ptp(maps[name])) < FLAT
        found[name]["verdicts"] = [verdict(found[name], peers, kind) for kind in KINDS]
    known = [rows[name] for name in guesses]
    return found | {"random": {kind: np.mean([row[kind] for row in known], axis=0) for kind in known[0]}}


def verdict(row: Row, peers: list[Row], kind: str) -> str:
    """Better or worse only where the area lies beyond those of all ``peers``, random maps of the same cells, by ``MARGIN``."""
    gains = [
        (peer["deletion_area"] - row["deletion_area"]) if kind == "deletion" else (row["insertion_area"] - peer["insertion_area"])
        for peer in peers
    ]
    return BETTER if min(gains) > MARGIN else WORSE if max(gains) < -MARGIN else EQUAL


def say(name: str, verdicts: list[str], where: str, more: str = "") -> None:
    """One plain sentence on a map, and ``more``: good only where both curves say so."""
    what = f"{title(name)} (saliency)" if name in SALIENCY else f"The mask of {title(name)[0].lower()}{title(name)[1:]}"
    agreed = verdicts[0] == verdicts[1]
    words = f"does {verdicts[0]}" if agreed else f"does {verdicts[0]} at deletion, {verdicts[1]} at insertion,"
    icon = "check_circle" if agreed and verdicts[0] == BETTER else "do_not_disturb_on"
    st.markdown(f":material/{icon}: {plain(f'{what} {words} {where}. {more}')}")


def curves_side_by_side(found: Mapping[str, Mapping[str, np.ndarray]], name: str) -> None:
    """Deletion and insertion. ``name``: of the charts' keys."""
    called = {one: title(one).replace("Random ", "Random, ") for one in found}
    for column, kind in zip(st.columns(2, gap="medium"), KINDS, strict=True):
        with column:
            st.markdown(f"**{kind.capitalize()}**: {'lower is better' if kind == 'deletion' else 'higher is better'}")
            st.plotly_chart(curves(found, kind, called), width="stretch", config=CONFIG, key=f"{name}-{kind}", alt=f"{kind} curves")


def _result(found: Mapping[str, Row]) -> None:
    masks = [name for name in found if name not in (*SALIENCY, "random")]
    for name in masks or list(SALIENCY):
        say(name, found[name]["verdicts"], "on this face", FLATNESS if found[name]["flat"] else "")
    curves_side_by_side(found, "attention-curves-of")
    rows = [
        {
            "map": f"Random (mean of {RANDOM} at each resolution)"
            if name == "random"
            else title(name) + (", its mask" if name in masks else " (saliency)"),
            "deletion, area": row["deletion_area"],
            "deletion": "the map to beat" if name == "random" else row["verdicts"][0],
            "insertion, area": row["insertion_area"],
            "insertion": "the map to beat" if name == "random" else row["verdicts"][1],
        }
        for name, row in found.items()
    ]
    st.dataframe(
        pd.DataFrame(rows), hide_index=True, width="stretch", key="attention-areas",
        column_config={f"{kind}, area": st.column_config.NumberColumn(format="%.3f") for kind in KINDS},
    )  # fmt: skip
    st.caption(
        f"Areas under the curves. Better means: beyond all {RANDOM} random maps of the same cells, by more than {MARGIN:g}. One face "
        "proves little; averages over a test set, where there are any, are on the next tab."
    )
