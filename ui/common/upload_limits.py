"""How much visitors may put into the server's memory: the numbers, and the sentence for who
uploads more. Every store of uploads, and every check before one, counts by these.
"""

from __future__ import annotations

from dataclasses import dataclass

from agegender_core.settings import Settings

MB = 2**20
MAX_FILES = 6000
"""Files of one visit: a folder of a dataset of one's own, with all that lies beside its images."""


@dataclass(frozen=True)
class UploadLimits:
    """Bytes: ``total`` of all uploads in memory, whichever front end took them; ``client`` of one
    client; ``session`` of one visit to the Streamlit pages, in ``files`` at most.
    """

    total: int
    client: int
    session: int
    files: int = MAX_FILES

    @classmethod
    def of(cls, settings: Settings) -> UploadLimits:
        """As the operator set them. No session may have more than a client may."""
        total = settings.uploads_mb * MB
        return cls(total, total // 3, min(settings.max_session_mb * MB, total // 3))

    @property
    def session_mb(self) -> int:
        """Megabytes of one visit."""
        return self.session // MB

    @property
    def refusal(self) -> str:
        """What a visitor reads who gave too much."""
        return (
            f"One visit may upload {self.session_mb} MB in {self.files:,} files at a time, and all"
            " visits together share a fixed amount. Remove some of the files, or upload them in"
            " parts."
        )
