"""What the published systems share: the scale of the scores and a loss of their own."""

import torch
from torch import nn
from torch.nn.functional import mse_loss


def to_score(output):
    """Real numbers to the scale of the labels, (-3, 3)."""
    return 6 * torch.sigmoid(output) - 3


class TrainingLoss(nn.Module):
    """MSE; while the model trains, `model.training_loss(mse, label)` in its place.

    The loss belongs to the model's last forward pass, as in `criterion(model(...), label)`. In
    eval mode it is the MSE alone, so that validation losses of all models can be compared.
    """

    def __init__(self, model):
        super().__init__()
        self.models = (model,)  # in a tuple: the model is no part of its own loss

    def forward(self, output, label):
        task, (model,) = mse_loss(output, label), self.models
        return model.training_loss(task, label) if model.training else task
