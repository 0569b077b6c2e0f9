"""Gradient estimators: how the gradient of the expected loss reaches the encoder through a sample."""

from abc import ABC, abstractmethod

from torch import nn

from latentbench.models.objective import Loss, Step
from latentbench.part import Assembly, Options, Part


class Estimator(Part, nn.Module, ABC):
    """Base of all gradient estimators.

    An estimator is a module: it may own trained, checkpointed state (the baseline of REINFORCE), draw several samples an image
    (`step.sample(n)`), and score them (`step.log_q`, `step.log_p`). A run builds one, inside a seeded fork of torch's global state.
    Its parameters are optimised with the model's, and do not count for the limit on the gradient's norm. `inapplicable` says with
    a reason where it does not apply.
    """

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__()

    @abstractmethod
    def loss(self, step: Step) -> Loss:
        """The surrogate, averaged over images, whose gradient trains all parameters, and the reported `reconstruction` and `kl` [B].

        Called by the training loop at every step.
        """
