"""Adversarial masking and perturbation (AMP): Ge et al., WWW 2023."""

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

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


class JointEncoder(nn.Module):
    """AMP's encoder of all modalities and its head: (B, T, dim), bool (B, T) -> (B, 1) in (-3, 3).

    A Transformer layer reads the joined sequence; the mean over its true steps gives the score.
    """

    def __init__(self, dim: int, num_heads: int, dropout: float):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(dim, num_heads, 2 * dim, dropout, batch_first=True)
        self.fc = nn.Linear(dim, 1)

    def forward(self, sequence: Tensor, padding: Tensor) -> Tensor:
        encoded = self.layer(sequence, src_key_padding_mask=padding)
        return to_score(self.fc(masked_mean(encoded, padding)))  # (B, 1)


class AMP(nn.Module):
    """Adversarial masking and perturbation: Ge et al., WWW 2023, doi 10.1145/3543507.3583258.

    From the paper: a Transformer encoder per modality and one over all of them; adversarial
    temporal masking (a scorer hides the steps that matter most and is trained through a reversed
    gradient to raise the loss, while the model learns to do with the other steps); adversarial
    perturbation of the parameters.

    Deviations: the paper's task is multi-label emotion on CMU-MOSEI. Here it is regression, so the
    MSE takes the place of the classification loss, and the MSE between two scores that of the KL
    divergence. Every encoder is one layer of 64 units. The scorer chooses among the steps of all
    modalities at once, so that it can find the informative modality itself; the reversed gradient
    reaches the scorer alone. The perturbation is 1% as long as the parameters it is added to.

    `forward`: (B, T, 35), (B, T, 300), (B, T, 74) -> (B, 1) in (-3, 3), T at most 500; widths are
    keywords. In training mode it keeps its encoded steps in `parts`, for the loss that
    `criterion()` returns.
    """

    MASKED = 0.4  # the share of the true steps that the scorer hides
    REVERSAL = 0.1  # the scale of the reversed gradient
    RADIUS = 0.01  # length of the perturbation, relative to that of the parameters

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
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, dim)) for width in widths
        )
        self.position = nn.Parameter(0.02 * torch.randn(500, dim))  # row 0: the last step
        self.modality = nn.Parameter(0.02 * torch.randn(3, dim))
        self.encoders = nn.ModuleList(
            nn.TransformerEncoderLayer(dim, num_heads, 2 * dim, dropout, batch_first=True)
            for _ in widths
        )
        self.scorer = nn.Linear(dim, 1)
        self.joint = JointEncoder(dim, num_heads, dropout)

    def forward(self, vision: Tensor, text: Tensor, audio: Tensor) -> Tensor:
        *features, padding = cut_shared_padding(vision, text, audio)
        position = self.position[: padding.shape[1]].flip(0)
        sequences = []
        for x, project, tag, encoder in zip(
            features, self.inputs, self.modality, self.encoders, strict=True
        ):
            x = project(x) + position + tag  # (B, T, 64)
            sequences.append(encoder(x, src_key_padding_mask=padding))
        joined, padding = torch.cat(sequences, dim=1), padding.repeat(1, 3)  # (B, 3 T, 64)
        output = self.joint(joined, padding)
        if self.training:
            self.parts = joined, padding, output
        return output

    def hidden_steps(self, joined: Tensor, padding: Tensor) -> Tensor:
        """How much of every step the scorer hides: (B, 3 T, 64), bool (B, 3 T) -> (B, 3 T).

        Values lie in [0, 1] and sum to `MASKED` times the number of true steps of the utterance.
        """
        scores = self.scorer(joined.detach()).squeeze(-1)
        hidden = soft_top_k(scores, padding, self.MASKED * (~padding).sum(1))
        return ReverseGradient.apply(hidden, self.REVERSAL)

    def perturbed_output(self, joined: Tensor, padding: Tensor, loss: Tensor) -> Tensor:
        """The scores (B, 1) of the joint encoder with parameters moved along the loss's gradient.

        The move raises the loss; the parameters of the module themselves do not change.
        """
        parameters = dict(self.joint.named_parameters())
        gradients = torch.autograd.grad(loss, list(parameters.values()), retain_graph=True)
        size = torch.cat([p.detach().flatten() for p in parameters.values()]).norm()
        step = self.RADIUS * size / torch.cat([g.flatten() for g in gradients]).norm()
        moved = {
            name: parameter + step * gradient
            for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True)
        }
        return torch.func.functional_call(self.joint, moved, (joined, padding))

    def criterion(self) -> TrainingLoss:
        """MSE, and in training mode the masked and the perturbed pass with it."""
        return TrainingLoss(self)

    def training_loss(self, task_loss: Tensor, label: Tensor) -> Tensor:
        """The loss of the last forward pass, a scalar; `task_loss` is its MSE.

        Added are the MSE of the pass with hidden steps and the MSE between the scores with and
        without the perturbation.
        """
        joined, padding, output = self.parts
        visible = joined * (1 - self.hidden_steps(joined, padding)).unsqueeze(-1)
        masked_loss = mse_loss(self.joint(visible, padding).squeeze(-1), label)
        perturbed = self.perturbed_output(joined, padding, task_loss)
        return task_loss + masked_loss + mse_loss(perturbed, output.detach())
