"""Errors: what a model gets wrong, for whom, and why; two models side by side; labels that may be
wrong.
"""

from __future__ import annotations

import streamlit as st

from agegender_core.errors import AgeGenderError
from ui.common import theme
from ui.errors import data, detail, gallery, own_set, setup
from ui.errors import query_params as link
from ui.errors.views import VIEWS

theme.page(
    "Errors", "See what a model gets wrong, for whom, and why: image by image, group by group."
)
st.html(gallery.CSS)
link.read()
setup.address_problems()
sets = data.sets()
if not sets:
    setup.no_reports()
    own_set.show()
    st.stop()
try:
    scope, image_source = setup.pick(sets)
except AgeGenderError as error:
    setup.cannot_read(error)
    st.stop()
setup.summary(scope)
view = setup.pick_view()
try:
    VIEWS[view](scope, image_source)
    if link.get("sample"):
        detail.show(scope, image_source)
except AgeGenderError as error:
    setup.failed(error)
link.write(scope.filter)
