"""Build hook: weights, configs, reports and the app go from the repository into the package, as
``agegender_core/shipped``.

Everything else about the package is in ``pyproject.toml``. An editable install copies nothing: the
repository itself is used.
"""

from __future__ import annotations

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
SHIPPED = (
    "LICENSE",
    "weights/*.safetensors",
    "weights/*.toml",
    "weights/*.md",
    "configs/**/*.toml",
    "reports/**/*.json",
    "reports/**/*.parquet",
    "reports/**/*.npz",
    "app.py",
    "serve.py",
    "gradio_app.py",
    "pages/**/*.py",
    "ui/**/*.py",
    "ui/**/*.svg",
    "ui/**/*.css",
    "ui/**/*.js",
    ".streamlit/config.toml",
)
"""What the package brings along beside its modules; ``agegender_core.settings.ROOT`` is the folder
where it lies once installed.
"""


def shipped() -> list[str]:
    """Paths, from the repository's top, of all files that ``SHIPPED`` names. Raises
    ``FileNotFoundError`` where a pattern finds none.
    """
    found = []
    for pattern in SHIPPED:
        paths = sorted(
            path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern) if path.is_file()
        )
        if not paths:
            raise FileNotFoundError(
                f"{ROOT} has no {pattern}: build from a whole copy of the repository"
            )
        found += paths
    return found


class BuildWithFiles(build_py):
    """Copies what is shipped, too, and lists it as source, so that a source archive contains it."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for name in shipped():
                target = self._target(name)
                self.mkpath(str(target.parent))
                self.copy_file(str(ROOT / name), str(target), preserve_mode=False)

    def get_source_files(self) -> list[str]:
        return [*super().get_source_files(), *shipped()]

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        outputs = super().get_outputs(include_bytecode)
        return (
            outputs
            if self.editable_mode
            else [*outputs, *(str(self._target(name)) for name in shipped())]
        )

    def _target(self, name: str) -> Path:
        return Path(self.build_lib) / "agegender_core" / "shipped" / name


if __name__ == "__main__":
    setup(cmdclass={"build_py": BuildWithFiles})
