"""Errors: what a network gets wrong, for whom, and why; two networks side by side; labels that may be wrong."""

from __future__ import annotations

import streamlit as st

from agegender_core.errors import AgeGenderError
from ui import errors_data, errors_detail, errors_gallery, errors_own, errors_start, style
from ui import errors_link as link
from ui.errors_views import VIEWS

style.page("Errors", "Find out what a network gets wrong, for whom, and why: picture by picture, group by group.")
st.html(errors_gallery.CSS)
link.read()
errors_start.address_problems()
sets = errors_data.sets()
if not sets:
    errors_start.no_reports()
    errors_own.show()
    st.stop()
try:
    scope, pictures = errors_start.pick(sets)
except AgeGenderError as error:
    errors_start.cannot_read(error)
    st.stop()
errors_start.summary(scope)
view = errors_start.pick_view()
try:
    VIEWS[view](scope, pictures)
    if link.get("sample"):
        errors_detail.show(scope, pictures)
except AgeGenderError as error:
    errors_start.failed(error)
link.write(scope.filter)
