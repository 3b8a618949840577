"""Networks, one architecture a file."""

from agegender_core.models import (  # noqa: F401  (they register themselves)
    efficientnet_lite,
    ensemble,
    gra_net,
    multitask_cnn,
    residual_cnn,
    two_branch_cnn,
    xception,
)
from agegender_core.models.registry import (
    Architecture,
    architectures,
    count_parameters,
    create_model,
)

__all__ = ["Architecture", "architectures", "count_parameters", "create_model"]
