"""Adversarial masking and perturbation (AMP): Ge et al., WWW 2023."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import mse_loss, normalize

from msa_lab.models.common import TrainingLoss, to_score
from msa_lab.models.padding import cut_shared_padding, masked_mean


class ReverseGradient(torch.autograd.Function):
    """Gradient reversal (Ganin & Lempitsky, ICML 2015): `ReverseGradient.apply(x, scale)`.

    The forward pass returns `x` unchanged; the backward pass multiplies the gradient by `-scale`.
    So the layers in front of it learn to raise the loss that the layers behind it lower.
    """

    @staticmethod
    def forward(ctx, x: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.scale * gradient, None


def soft_top_k(
    scores: Tensor, padding: Tensor, k: Tensor, temperature: float = 0.1, iterations: int = 25
) -> Tensor:
    """A differentiable choice of the k steps with the highest scores, (B, T) in [0, 1].

    `scores` is (B, T), of which the smallest and the largest of each row are scaled to 0 and 1;
    `padding`, bool (B, T), is True where a step must not be chosen, and the result is 0 there; `k`
    is (B,), may be fractional, and is what each row of the result sums to. A lower temperature
    brings the values closer to 0 and 1.

    The choice is an optimal transport of the steps to 'left' and 'chosen', solved by Sinkhorn's
    iteration on logarithms, as in Xie et al., NeurIPS 2020.
    """
    low = scores.masked_fill(padding, float('inf')).amin(1, keepdim=True)
    high = scores.masked_fill(padding, float('-inf')).amax(1, keepdim=True)
    scaled = (scores - low) / (high - low).clamp_min(1e-6)  # 0 to 1 over the true steps
    kernel = torch.stack([-(scaled**2), -((scaled - 1) ** 2)], dim=-1) / temperature
    kernel = kernel.masked_fill(padding.unsqueeze(-1), -1e9)  # (B, T, 2): left, chosen
    count = (~padding).sum(1)
    mass = torch.stack([count - k, k.to(scores.dtype)], dim=1).clamp_min(1e-9).log()
    column = torch.zeros_like(mass)  # (B, 2)
    for _ in range(iterations):  # every step gives 1; 'left' takes n - k and 'chosen' k
        row = -torch.logsumexp(kernel + column.unsqueeze(1), dim=2)
        row = row.masked_fill(padding, -1e9)
        column = mass - torch.logsumexp(kernel + row.unsqueeze(2), dim=1)
    plan = (kernel + row.unsqueeze(2) + column.unsqueeze(1)).exp()
    return plan[..., 1] * ~padding


class AMP(nn.Module):
    """Adversarial masking and perturbation: Ge et al., WWW 2023, doi 10.1145/3543507.3583258.

    From the paper: a Transformer encoder per modality and one that reads all of them joined.
    Adversarial temporal masking: in every modality a scorer hides the steps of the input that
    matter most, and a second pass encodes what is left. The scorers learn through a reversed
    gradient to raise the loss of that pass, while the model learns to do without those steps.
    Adversarial perturbation: the parameters of the joint encoder are moved uphill along their
    gradient, and the score must stay as it was.

    The figures called the authors' are those of their code, https://github.com/ShipingGe/MMER; the
    text of the paper was not at hand. As there, 0.4 of the steps are hidden (24 of 60), the
    gradient is reversed with the scale 0.1 in the scorers and through them in the encoders, the
    masked term has the weight 0.1 and the consistency term 1, and every parameter tensor moves by
    a length of 1 along the gradient of the task and the masked term.

    Deviations of the model:

    - The authors classify emotions on CMU-MOSEI. Here one score is predicted, so the mean squared
      error (MSE) takes the place of their asymmetric classification loss, and the MSE of two scores
      that of the Kullback-Leibler divergence of two outputs. Their classification loss is also
      multiplied by 1000, so that beside it their consistency term is smaller than here.
    - Every encoder is one layer of 64 units, 4 heads and 128 inner units, not three layers of 512
      units, 8 heads and 1024 inner units with a further LayerNorm at the end.
    - The mean over the true steps and one Linear layer give the score, in (-3, 3). The authors have
      a Transformer decoder with a learned query for each emotion.
    - Weights start as PyTorch draws them; the authors draw all matrices by Xavier's uniform rule.
    - Learned vectors for position and modality are added to the steps. The authors' model for
      CMU-MOSEI has neither; their model for four modalities has both in its joint encoder.
    - The authors treat padding as any other step. Here no encoder reads it, and 0.4 of the true
      steps of each modality are hidden.
    - The scores of an utterance are scaled to reach from 0 to 1, and 25 iterations of Sinkhorn are
      differentiated one by one; the authors do not scale them, do 100 iterations and have a formula
      for their gradient. They hide the lowest scores, which is only a matter of sign.
    - The perturbed pass uses the encodings of the first pass; the authors encode once more, with
      new dropout.

    Deviations of training (the lab's is in `msa_lab.models.common`): the authors use AdamW with a
    weight decay of 0.01, 10 epochs in which the learning rate rises from 5e-6 towards 5e-5, batches
    of 128, gradients clipped to a norm of 1, and keep the weights of the best validation accuracy.
    Their features have the same widths as here, and 60 steps.

    `forward`: (B, T, 35), (B, T, 300), (B, T, 74) -> (B, 1) in (-3, 3), T at most 500; widths are
    keywords. In training mode it keeps its steps and encodings in `parts`, for the loss that
    `criterion()` returns.
    """

    MASKED = 0.4  # the share of the true steps that a scorer hides
    REVERSAL = 0.1  # the scale of the reversed gradient
    MASKED_WEIGHT = 0.1  # of the loss of the pass with hidden steps
    RADIUS = 1.0  # the length of the perturbation of each parameter tensor
    PERTURBED_WEIGHT = 1.0  # of the distance between the scores with and without perturbation
    # The defaults of the authors' `train_mmer.py`, for 16326 training utterances of CMU-MOSEI.
    PAPER_TRAINING: ClassVar = dict(lr=5e-5, batch_size=128, epochs=10)

    def __init__(
        self,
        vision_dim: int = 35,
        text_dim: int = 300,
        audio_dim: int = 74,
        dim: int = 64,
        num_heads: int = 4,
        dropout: float = 0.1,
    ):
        super().__init__()
        widths = (vision_dim, text_dim, audio_dim)
        self.inputs = nn.ModuleList(
            nn.Sequential(nn.Linear(width, dim), nn.LayerNorm(dim), nn.Dropout(dropout))
            for width in widths
        )
        self.position = nn.Parameter(0.02 * torch.randn(500, dim))  # row 0: the last step
        self.modality = nn.Parameter(0.02 * torch.randn(3, dim))
        *encoders, self.joint = (
            nn.TransformerEncoderLayer(dim, num_heads, 2 * dim, dropout, batch_first=True)
            for _ in range(4)
        )
        self.encoders = nn.ModuleList(encoders)
        self.scorers = nn.ModuleList(nn.Sequential(nn.Linear(dim, 1), nn.Sigmoid()) for _ in widths)
        self.fc = nn.Linear(dim, 1)

    def forward(self, vision: Tensor, text: Tensor, audio: Tensor) -> Tensor:
        *features, padding = cut_shared_padding(vision, text, audio)
        steps = [project(x) for project, x in zip(self.inputs, features, strict=True)]
        encoded = self.encode(steps, padding)
        output = self.score(encoded, padding)
        if self.training:
            self.parts = steps, encoded, padding, output
        return output

    def encode(self, steps: list[Tensor], padding: Tensor) -> list[Tensor]:
        """The Transformer encoders of the modalities: three (B, T, 64) -> three (B, T, 64)."""
        position = self.position[: padding.shape[1]].flip(0)
        return [
            encoder(x + position + tag, src_key_padding_mask=padding)
            for encoder, x, tag in zip(self.encoders, steps, self.modality, strict=True)
        ]

    def score(
        self, encoded: list[Tensor], padding: Tensor, parameters: dict[str, Tensor] | None = None
    ) -> Tensor:
        """The scores (B, 1) of three encoded modalities (B, T, 64).

        `parameters` are used in place of the joint encoder's own.
        """
        joined, padding = torch.cat(encoded, dim=1), padding.repeat(1, 3)  # (B, 3 T, 64)
        mask = {'src_key_padding_mask': padding}
        joint = functional_call(self.joint, parameters or {}, joined, mask)
        return to_score(self.fc(masked_mean(joint, padding)))

    def hidden_steps(self, encoded: list[Tensor], padding: Tensor) -> list[Tensor]:
        """How much of every step is hidden: three (B, T, 64), bool (B, T) -> three (B, T).

        Values lie in [0, 1] and sum, in each modality, to `MASKED` times the number of true steps.
        """
        k = self.MASKED * (~padding).sum(1)
        scores = (scorer(x).squeeze(-1) for scorer, x in zip(self.scorers, encoded, strict=True))
        return [soft_top_k(ReverseGradient.apply(x, self.REVERSAL), padding, k) for x in scores]

    def masked_output(self, steps: list[Tensor], hidden: list[Tensor], padding: Tensor) -> Tensor:
        """The scores (B, 1) of a second pass, over the steps (B, T, 64) that are not hidden (B, T).

        A hidden step is 0 before the encoders, which read all steps again.
        """
        visible = [x * (1 - h).unsqueeze(-1) for x, h in zip(steps, hidden, strict=True)]
        return self.score(self.encode(visible, padding), padding)

    def perturbed_output(self, encoded: list[Tensor], padding: Tensor, loss: Tensor) -> Tensor:
        """The scores (B, 1) of the joint encoder with parameters moved along the loss's gradient.

        Every parameter tensor moves by `RADIUS` in the direction of its own gradient, which raises
        the loss. The parameters of the module themselves do not change.
        """
        parameters = dict(self.joint.named_parameters())
        gradients = torch.autograd.grad(loss, list(parameters.values()), retain_graph=True)
        moved = {
            name: parameter + self.RADIUS * normalize(gradient.flatten(), dim=0).view_as(gradient)
            for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True)
        }
        return self.score(encoded, padding, moved)

    def criterion(self) -> TrainingLoss:
        """MSE, and in training mode the masked and the perturbed pass with it."""
        return TrainingLoss(self)

    def training_loss(self, task_loss: Tensor, label: Tensor) -> Tensor:
        """The loss of the last forward pass, a scalar; `task_loss` is its MSE.

        Added are the MSE of the pass with hidden steps and the MSE between the scores with and
        without the perturbation, with their weights.
        """
        steps, encoded, padding, output = self.parts
        masked = self.masked_output(steps, self.hidden_steps(encoded, padding), padding)
        loss = task_loss + self.MASKED_WEIGHT * mse_loss(masked.squeeze(-1), label)
        perturbed = self.perturbed_output(encoded, padding, loss)
        return loss + self.PERTURBED_WEIGHT * mse_loss(perturbed, output.detach())
