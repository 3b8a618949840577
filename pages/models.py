"""Models: what each network measured here, beside what its paper claims."""

import streamlit as st

from agegender_core.errors import AgeGenderError
from ui import measured, messages, services, style

style.page("Models", "What each network measured here, on pictures it never saw, and what its paper claims.")
try:
    entries, reports = services.installed_weights(), measured.reports()
except AgeGenderError as error:
    messages.cannot_start(error)
    st.stop()
if not entries:
    messages.no_weights()
    st.stop()
if reports:
    with st.container(width=760):
        metric = st.selectbox("Measure", list(measured.METRICS), format_func=measured.METRICS.get, key="measure")
        st.plotly_chart(measured.chart(entries, reports, metric), width="stretch", config=measured.CONFIG, key="measured")
        st.caption("Points: measured here; whiskers: 95 % bootstrap interval. FG-NET is never trained on and goes through the detector.")
    st.subheader("All numbers", anchor=False)
    table = measured.table(entries, reports)
    st.dataframe(table, hide_index=True, width="stretch")
    st.download_button("Table as CSV", table.to_csv(index=False), "measured.csv", "text/csv", icon=":material/table:")
else:
    st.info("No measurements are here: run «python -m agegender_core evaluate» where the face sets are.")

claims = measured.claims(entries)
if len(claims):
    st.subheader("What the papers claim", anchor=False)
    st.caption("On their own data and splits, mostly not the ones above: read them as claims, not as numbers to compare with.")
    st.dataframe(claims, hide_index=True, width="stretch")

st.subheader("The networks", anchor=False)
for entry in entries:
    with st.container(border=True, key=f"card-{entry.name}"):
        st.markdown(f"**{messages.plain(entry.title)}** · `{entry.name}`")
        st.markdown(messages.plain(f"{entry.summary} {entry.caveats}"))
        for line in measured.facts(entry):
            st.caption(messages.plain(line))
