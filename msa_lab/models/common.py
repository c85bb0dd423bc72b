"""What the published systems share: the scale of their scores, their loss, their size.

Every system is called with `(vision, text, audio)`, float tensors (B, T, 35), (B, T, 300) and
(B, T, 74) with padding at the front, and returns the scores (B, 1) in (-3, 3). A system whose
paper adds terms to the training loss has a method `criterion()` that returns this loss.

The lab trains every system as it trains the baseline (`msa_utils.fit`): mean squared error, Adam
with a learning rate of 0.001 that falls to 0 along a cosine, batches of 16, 20 epochs, no weight
decay, no clipping of gradients; the weights of the epoch with the best validation correlation are
kept. What the authors of a system did otherwise is in its docstring, and their learning rate and
batch size (and their number of epochs, where it is fixed) are in its attribute `PAPER_TRAINING`, a
dict with the names of the arguments of `msa_utils.fit`.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss


def count_parameters(model: nn.Module) -> int:
    """Number of trainable parameters of a module."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def read_sequence(encoder: nn.Module, sequence: Tensor, padding: Tensor) -> Tensor:
    """What an encoder makes of every step: (B, T, D), bool (B, T) -> (B, T, H).

    `encoder` is an `nn.LSTM` with `batch_first=True`, which reads padding like any other step, or a
    module that is called with the sequence and the padding mask, as a Transformer encoder is.
    """
    if isinstance(encoder, nn.LSTM):
        return encoder(sequence)[0]
    return encoder(sequence, padding)


def to_score(output: Tensor) -> Tensor:
    """Map real numbers to the scale of the labels, (-3, 3), with a sigmoid; any shape."""
    return 6 * torch.sigmoid(output) - 3


class TrainingLoss(nn.Module):
    """The loss of a model that adds terms of its own to the mean squared error (MSE).

    `forward(output, label)` takes scores and labels (B,) and returns a scalar. In training mode it
    is `model.training_loss(mse, label)`, which may use what the model kept of its last forward
    pass: call the model first and the loss on its result, as in `criterion(model(...), label)`.
    In eval mode it is the MSE alone, so that the validation losses of all models can be compared.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.models = (model,)  # in a tuple, so that the model is not registered as a sub-module

    def forward(self, output: Tensor, label: Tensor) -> Tensor:
        mse = mse_loss(output, label)
        (model,) = self.models
        return model.training_loss(mse, label) if model.training else mse
