"""Models: what each paper claims against what was measured here, and everything behind it folded
away.
"""

import streamlit as st

from agegender_core.errors import AgeGenderError
from ui.common import messages, theme
from ui.common.fold_out import fold_out
from ui.common.guards import ready
from ui.models import sections, tables

theme.page(
    "Models", "What each paper claims against what we measured, on images the models never saw."
)
_, models = ready(everything=True)
try:
    found = tables.reports()
except AgeGenderError as error:
    messages.cannot_start(error)
    st.stop()
if not found:
    st.info("No measurements are here: run «agegender evaluate» where the face datasets are.")
sections.show_claims(models, found)
if found:
    fold_out(
        "Measured on every dataset",
        "models-measured",
        ":material/query_stats:",
        sections.show_measured,
        models,
        found,
    )
fold_out("Learning curves", "models-curves", ":material/show_chart:", sections.show_curves, models)
fold_out(
    "Experiments: near-duplicates, gates and masks, seeds, speed, storage",
    "models-experiments",
    ":material/science:",
    sections.show_experiments,
    models,
    found,
)
used = [info for info in models if not info.for_comparison]
compared = [info for info in models if info.for_comparison]
for title, name, part in (
    (f"The models: {len(used)} cards", "used", used),
    (f"Trained only for comparison, not offered elsewhere: {len(compared)}", "compared", compared),
):
    if part:
        fold_out(title, f"models-cards-{name}", ":material/badge:", sections.show_cards, part)
