#!/bin/sh
# While the image is built: are the weights what they should be, and does a face get an answer, without anything being fetched?
set -eu
python -m agegender_core weights verify
python - <<'END'
from agegender_core import analyze
from agegender_core.datasets.sample_image import sample_portrait

(face,) = analyze(sample_portrait())
print(f"the sample portrait: {face.age.years:.0f} years, {face.gender.label}")
END
