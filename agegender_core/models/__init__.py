"""Networks, one architecture a file."""

from agegender_core.models import multitask_cnn  # noqa: F401  (registers itself)
from agegender_core.models.registry import Architecture, architectures, count_parameters, create_model

__all__ = ["Architecture", "architectures", "count_parameters", "create_model"]
