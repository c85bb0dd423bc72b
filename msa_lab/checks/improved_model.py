"""Self-check of the improved model (TODO 15): what holds for every good design."""

import torch
from torch import nn

from msa_lab.checks.compare import near, padding_at_front, shape_of
from msa_lab.checks.failure import CheckFailed, fail, self_check
from msa_lab.data import STEPS, WIDTHS

MOST_PARAMETERS = 3 * 582_067  # three times those of the baseline


@self_check(15, '更好的模型')
def check_improved(ImprovedSentimentModel: type) -> None:
    """TODO 15: shapes, range, size, independence of the batch, and learning."""
    widths = {f'{name}_dim': width for name, width in WIDTHS.items()}
    narrow = {'vision_dim': 20, 'text_dim': 30, 'audio_dim': 10}
    for arguments, dims in (({}, widths), (narrow, narrow)):
        model = ImprovedSentimentModel(**arguments)
        if not isinstance(model, nn.Module):
            fail(15, f'`ImprovedSentimentModel(...)` 应是 nn.Module；得到的是{shape_of(model)}。')
        features = _utterances(dims.values())
        try:
            model(*features)
        except RuntimeError as error:
            if not arguments:
                raise
            message = '宽度要用参数 vision_dim、text_dim、audio_dim，不要写死 35、300、74。'
            raise CheckFailed(f'TODO 15：换一组特征宽度就出错：{message}') from error
        for mode in (model.train, model.eval):
            mode()
            _judge_score(model, features, mode.__name__)
    model = ImprovedSentimentModel()
    size = sum(p.numel() for p in model.parameters())
    if size > MOST_PARAMETERS:
        fail(15, f'参数不应超过基线的 3 倍（{MOST_PARAMETERS:,}）；现在有 {size:,} 个。')
    features = _utterances(widths.values())
    model.eval()
    _judge_independence(model, features)
    _judge_learning(model, features)


def _utterances(widths):
    """Four utterances of 50 steps, zero-padded at the front; the last two are equally long."""
    padding = padding_at_front(STEPS, (40, 20, 38, 38))
    features = [torch.randn(4, STEPS, width) * (~padding).unsqueeze(-1) for width in widths]
    features[0][0] = 0  # an utterance without a face
    return features


def _judge_score(model, features, mode):
    """A batch of scores should be (4, 1), finite and in (-3, 3)."""
    score = model(*features)
    if not isinstance(score, torch.Tensor) or score.shape != (4, 1):
        fail(15, f'{mode}() 模式下应返回形状 (B, 1)，这里是 (4, 1)；得到{shape_of(score)}。')
    if not torch.isfinite(score).all():
        faces = [torch.randn_like(features[0]) * features[1].any(-1, keepdim=True), *features[1:]]
        if torch.isfinite(model(*faces)).all():
            cause = '有一句没有人脸，视觉全是零：除以了 0？'
        else:
            cause = '与人脸无关：softmax 的一整行（或一整列）都是 −∞？看看遮罩有没有反、dim 对不对'
        fail(15, f'{mode}() 模式下分数里有 nan 或 inf（{cause}）。')
    largest = score.abs().max().item()
    if largest >= 3:
        fail(15, f'{mode}() 模式下分数应在 (-3, 3) 里；得到的最大绝对值是 {largest:.3f}。')


def _judge_independence(model, features):
    """In eval mode a score should depend on its own utterance and on nothing else."""
    before = [x.clone() for x in features]
    score = model(*features).detach()
    if any(not torch.equal(a, b) for a, b in zip(before, features, strict=True)):
        fail(15, '`forward` 改动了传进来的特征（原地操作？）：再用同一批数据，结果就不同了。')
    if not near(score, model(*features), 1e-5):
        fail(
            15,
            'eval() 模式下同样的输入两次结果不同：dropout 之类的随机操作要听 `self.training` 的。',
        )
    for rows, kind in (([2, 3], '两句一样长'), ([0], '只有一句'), ([1, 0], '换了次序和同伴')):
        part = model(*(x[rows] for x in features))
        if not isinstance(part, torch.Tensor) or not near(part, score[rows], 1e-3):
            fail(
                15,
                f'eval() 模式下，一句话的分数随**同一批里的其他句子**而变（{kind}的批次）：'
                '是不是用了整批的统计量，或者在批次那一维上做了运算？',
            )


def _judge_text(model, features):
    """The text should change the score.

    To be called after some training: a last layer whose weights begin at 0 ignores everything.
    """
    score = model(*features)
    text = features[1].clone()
    text[:, -10:] += 3 * torch.randn_like(text[:, -10:])
    if near(score, model(features[0], text, features[2]), 1e-6):
        fail(15, '改变文本，分数却不变：模型没有用到**文本**，而它是最有用的模态。')


class _Training:
    """Trains a model on four utterances with the same target, one step of Adam at a time."""

    def __init__(self, model, features):
        self.model, self.features = model, features
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        if not self.parameters:
            fail(15, '模型没有可以训练的参数。')
        self.optimizer = torch.optim.Adam(self.parameters, lr=3e-3)

    def scores(self):
        """The four scores, (4,)."""
        return self.model(*self.features).squeeze(-1)

    def error(self, target=2.0):
        """The mean squared error of the scores, a float."""
        return ((self.scores() - target) ** 2).mean().item()

    def step(self, criterion, target=2.0):
        """One step in training mode; returns the mean squared error before it."""
        self.model.train()
        scores, targets = self.scores(), torch.full((4,), target)
        loss = criterion(scores, targets)
        if not loss.requires_grad:
            fail(15, '梯度传不到任何参数：计算途中断开了（detach、numpy、no_grad？）。')
        gradients = torch.autograd.grad(loss, self.parameters, allow_unused=True)
        present = [g for g in gradients if g is not None]
        if not all(torch.isfinite(g).all() for g in present):
            fail(15, '梯度里有 nan 或 inf：检查除法、开方、log，以及全部被遮住的 softmax。')
        if target < 3 and not any(g.any() for g in present):  # beyond 3 they may saturate
            fail(15, '所有参数的梯度都是 0：分数不随任何参数而变。')
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        self.optimizer.step(lambda: loss)
        self.model.eval()
        return ((scores - targets) ** 2).mean().item()


def _judge_learning(model, features):
    """Gradients should arrive, a few steps lower the loss, and no target move a score past 3."""
    training = _Training(model, features)
    criterion = model.criterion() if hasattr(model, 'criterion') else nn.MSELoss()
    if isinstance(criterion, type) or not callable(criterion):
        fail(15, '`criterion()` 应返回造好的损失：nn.L1Loss() 要带括号。')
    # A lower loss in either mode will do: dropout blurs it in training mode, and in eval mode
    # BatchNorm's running statistics lag behind.
    first, first_mean = training.error(), None
    for _ in range(6):
        mean = sum(training.step(criterion) for _ in range(5)) / 5
        last, first_mean = training.error(), first_mean or mean
        if last < 0.97 * first or mean < 0.9 * first_mean:
            break
    else:
        fail(15, f'对着 4 句话训练了 30 步，loss 没有降下来：{first:.3f} → {last:.3f}。')
    _judge_independence(model, features)
    _judge_text(model, features)
    for group in training.optimizer.param_groups:
        group['lr'] = 0.05
    for _ in range(4):
        training.step(nn.MSELoss(), target=20.0)
    extreme = model(*features).abs().max().item()
    if extreme > 3 + 1e-5:
        fail(15, f'分数没有限制在 (-3, 3)：目标定得很高，训练几步，分数就到了 {extreme:.2f}。')
