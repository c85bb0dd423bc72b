"""Adversarial masking and perturbation (AMP): Ge et al., WWW 2023."""

import torch
from torch import nn
from torch.nn.functional import mse_loss

from msa_lab.models.common import TrainingLoss, to_score
from msa_lab.models.padding import cut_shared_padding, masked_mean


class ReverseGradient(torch.autograd.Function):
    """The identity, whose gradient is turned round and scaled (Ganin & Lempitsky, ICML 2015)."""

    @staticmethod
    def forward(ctx, x, scale):
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return -ctx.scale * gradient, None


def soft_top_k(scores, allowed, k, temperature=0.1, iterations=25):
    """A differentiable mask of the k highest scores: (B, T), bool (B, T), (B,) -> (B, T).

    Values in [0, 1] that sum to k, 0 where not `allowed`; k may be fractional. Optimal transport
    of the steps to 'chosen' and 'left', solved by Sinkhorn's iteration in the log domain, as in
    Xie et al., NeurIPS 2020. A lower temperature gives a harder mask.
    """
    low = scores.masked_fill(~allowed, float('inf')).amin(1, keepdim=True)
    high = scores.masked_fill(~allowed, float('-inf')).amax(1, keepdim=True)
    scaled = (scores - low) / (high - low).clamp_min(1e-6)  # 0 to 1 over the allowed steps
    kernel = torch.stack([-(scaled**2), -((scaled - 1) ** 2)], dim=-1) / temperature
    kernel = kernel.masked_fill(~allowed.unsqueeze(-1), -1e9)  # (B, T, 2): left, chosen
    count = allowed.sum(1)
    mass = torch.stack([count - k, k.to(scores.dtype)], dim=1).clamp_min(1e-9).log()
    column = torch.zeros_like(mass)  # (B, 2)
    for _ in range(iterations):  # every step gives 1; 'left' takes n - k and 'chosen' k
        row = -torch.logsumexp(kernel + column.unsqueeze(1), dim=2)
        row = row.masked_fill(~allowed, -1e9)
        column = mass - torch.logsumexp(kernel + row.unsqueeze(2), dim=1)
    plan = (kernel + row.unsqueeze(2) + column.unsqueeze(1)).exp()
    return plan[..., 1] * allowed


class JointEncoder(nn.Module):
    """A Transformer layer over the joined sequences, their mean, and the score."""

    def __init__(self, dim, num_heads, dropout):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(dim, num_heads, 2 * dim, dropout, batch_first=True)
        self.fc = nn.Linear(dim, 1)

    def forward(self, sequence, padding):
        encoded = self.layer(sequence, src_key_padding_mask=padding)
        return to_score(self.fc(masked_mean(encoded, padding)))  # (B, 1)


class AMP(nn.Module):
    """Adversarial masking and perturbation: Ge et al., WWW 2023, doi 10.1145/3543507.3583258.

    From the paper: a Transformer encoder per modality and one over all; adversarial temporal
    masking (a scorer, trained to hurt through a reversed gradient, hides the steps that matter
    most, and the model must do with the others); adversarial perturbation of the parameters.
    Deviations: it was published for multi-label emotion on CMU-MOSEI. Here the task is regression,
    so MSE takes the place of its classification loss, and MSE between scores that of the KL
    divergence. One layer of 64 units per encoder. The scorer chooses among the steps of all
    modalities at once, so that it finds the informative one itself; only the scorer feels the
    reversed gradient. The perturbation is 1% as long as the parameters it is added to.
    """

    MASKED, REVERSAL, RADIUS = 0.4, 0.1, 0.01

    def __init__(self, vision_dim=35, text_dim=300, audio_dim=74, dim=64, num_heads=4, dropout=0.1):
        super().__init__()
        widths = (vision_dim, text_dim, audio_dim)
        self.inputs = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, dim)) for width in widths
        )
        self.position = nn.Parameter(0.02 * torch.randn(500, dim))  # counted from the end
        self.modality = nn.Parameter(0.02 * torch.randn(3, dim))
        self.encoders = nn.ModuleList(
            nn.TransformerEncoderLayer(dim, num_heads, 2 * dim, dropout, batch_first=True)
            for _ in widths
        )
        self.scorer = nn.Linear(dim, 1)
        self.joint = JointEncoder(dim, num_heads, dropout)

    def forward(self, vision, text, audio):
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

    def hidden_steps(self, joined, padding):
        """How much of every step the adversary hides, (B, 3 T) in [0, 1]: 0.4 of the true ones."""
        scores = self.scorer(joined.detach()).squeeze(-1)
        mask = soft_top_k(scores, ~padding, self.MASKED * (~padding).sum(1))
        return ReverseGradient.apply(mask, self.REVERSAL)

    def perturbed_output(self, joined, padding, loss):
        """The score with the joint encoder's parameters moved uphill; they themselves stay."""
        parameters = dict(self.joint.named_parameters())
        gradients = torch.autograd.grad(loss, list(parameters.values()), retain_graph=True)
        size = torch.cat([p.detach().flatten() for p in parameters.values()]).norm()
        step = self.RADIUS * size / torch.cat([g.flatten() for g in gradients]).norm()
        moved = {
            name: parameter + step * gradient
            for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True)
        }
        return torch.func.functional_call(self.joint, moved, (joined, padding))

    def criterion(self):
        """MSE and, while it trains, that of the masked pass and the consistency."""
        return TrainingLoss(self)

    def training_loss(self, task, label):
        """Task, task with the hidden steps, and what the perturbation changes."""
        joined, padding, output = self.parts
        rest = joined * (1 - self.hidden_steps(joined, padding)).unsqueeze(-1)
        masked = mse_loss(self.joint(rest, padding).squeeze(-1), label)
        consistency = mse_loss(self.perturbed_output(joined, padding, task), output.detach())
        return task + masked + consistency
