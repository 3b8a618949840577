"""Entry of ``python -m agegender_core``."""

from agegender_core.cli import app

app(prog_name="python -m agegender_core")
