"""Models: what each network measured here, beside what its paper claims."""

import streamlit as st

from agegender_core.errors import AgeGenderError
from ui import measured, messages, network_card, style
from ui.ready import ready

style.page("Models", "What each network measured here, on pictures it never saw, and what its paper claims.")
_, entries = ready(everything=True)
try:
    reports = measured.reports()
except AgeGenderError as error:
    messages.cannot_start(error)
    st.stop()
if reports:
    with st.container(width=760):
        metric = st.selectbox("Measure", list(measured.METRICS), format_func=measured.METRICS.get, key="measure")
        st.plotly_chart(measured.chart(entries, reports, metric), width="stretch", config=measured.CONFIG, key="measured")
        st.caption("Points: measured here; whiskers: 95 % bootstrap interval. FG-NET is never trained on and goes through the detector.")
else:
    st.info("No measurements are here: run «python -m agegender_core evaluate» where the face sets are.")

st.subheader("Claimed beside measured", anchor=False)
st.caption(
    "A claim and a measurement in one row are about the same set, never about the same pictures: the papers divided theirs in their own "
    "ways. Empty under «claimed»: the paper says nothing. Ages in years are mean absolute errors; shares are in per cent."
)
comparison = measured.comparison(entries, reports)
systems = st.pills("Systems", comparison["system"].unique(), selection_mode="multi", key="systems")
shown = comparison[comparison["system"].isin(systems)] if systems else comparison
st.dataframe(
    shown,
    hide_index=True,
    width="stretch",
    key="comparison",
    placeholder="–",
    column_config={
        "system": st.column_config.TextColumn(width=150),
        "set": st.column_config.TextColumn(width=160),
        "measure": st.column_config.TextColumn(width=130),
        "weights": st.column_config.TextColumn(width=230),
        "claimed": st.column_config.NumberColumn(format="%.4g", help="By the paper, on its own pictures"),
        "measured": st.column_config.NumberColumn(format="%.4g", help="Here, by us"),
        "parameters": st.column_config.NumberColumn(format="localized"),
        "ms a face": st.column_config.NumberColumn(format="%.1f", help="The network alone, as the app runs it, on two cores"),
    },
)
st.download_button("Table as CSV", shown.to_csv(index=False), "comparison.csv", "text/csv", icon=":material/table:", key="comparison-csv")
with st.expander("Why the claims are not reached here, or not comparable", icon=":material/help:"):
    for title, words in measured.verdicts():
        st.markdown(f"**{messages.plain(title)}.** {messages.plain(words)}")

experiments = {
    "Near-duplicates": measured.leakage(),
    "Gates and masks": measured.ablation(entries, reports),
    "Do masks matter?": measured.faithful(),
}
rivals, machine = measured.rivals()
experiments |= {"Speed against rivals": rivals, "Storage": measured.storage(entries)}
notes = {
    "Near-duplicates": "UTKFace divided in different ways, the same recipe and budget: near-duplicates that fall on both sides of a split "
    "let a network recognise what it has seen. A near-twin: grey thumbnails that correlate above 0.96.",
    "Gates and masks": "GRA_Net with the three mask kinds of its equations 4 to 6, without gates, and with the mask branch as the annex "
    "has it (ours normalises it: otherwise its masks soon stand at 0 or 1 and no longer depend on the face). A quarter of the paper's "
    "width, the same data and minutes for all. A gate of 0 lets the mask decide, a gate of 1 passes it by. Flat masks: every channel's "
    "mask replaced by its mean over the face, so that it no longer says where.",
    "Do masks matter?": measured.FAITHFUL,
    "Speed against rivals": f"Table III of the multi-task CNN's paper, run again. {machine}",
    "Storage": "Fewer bits a value keep the repository small. The cost is the loss on the validation split against the network as trained: "
    "positive numbers are losses.",
}
st.subheader("Experiments", anchor=False)
for tab, (name, table) in zip(st.tabs(list(experiments)), experiments.items(), strict=True):
    with tab:
        st.caption(messages.plain(notes[name]))
        if len(table):
            st.dataframe(table, hide_index=True, width="stretch", key=f"experiment-{name}", placeholder="–")
        else:
            st.info("Not run yet.")

if reports:
    st.subheader("All numbers", anchor=False)
    table = measured.table(entries, reports)
    st.dataframe(table, hide_index=True, width="stretch", key="numbers")
    st.download_button("Table as CSV", table.to_csv(index=False), "measured.csv", "text/csv", icon=":material/table:", key="numbers-csv")

st.subheader("The networks", anchor=False)
for entry in (entry for entry in entries if not entry.for_comparison):
    with st.container(border=True, key=f"card-{entry.name}"):
        st.html(network_card.card(entry))
if compared := [entry for entry in entries if entry.for_comparison]:
    with st.expander(f"Made for comparisons, not for use: {len(compared)}", icon=":material/science:"):
        for entry in compared:
            with st.container(border=True, key=f"card-{entry.name}"):
                st.html(network_card.card(entry))
