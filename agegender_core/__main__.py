"""Entry of the command line: ``agegender``, and ``python -m agegender_core``."""

import sys
from pathlib import Path

from agegender_core.cli.application import app
from agegender_core.openmp import sleep_soon


def main() -> None:
    """Run the command line under the name it was called by."""
    sleep_soon()
    app(
        prog_name="python -m agegender_core"
        if Path(sys.argv[0]).name == "__main__.py"
        else "agegender"
    )


if __name__ == "__main__":
    main()
