"""Self-check of the better model (TODO 15): what any good design keeps."""

import torch
from torch import nn

from msa_lab.checks.tools import (
    CheckFailed,
    fail,
    near,
    self_check,
    shape_of,
)
from msa_lab.data.format import WIDTHS

# Three times the baseline's 582,067 parameters.
MOST_PARAMETERS = 3 * 582_067


@self_check(15, '更好的模型')
def check_improved(ImprovedSentimentModel):
    """TODO 15: what any good design keeps: shapes, range, size, learning, weights to look at."""
    widths = {f'{name}_dim': width for name, width in WIDTHS.items()}
    narrow = {'vision_dim': 20, 'text_dim': 30, 'audio_dim': 10}
    for given, used in (({}, widths), (narrow, narrow)):
        model = ImprovedSentimentModel(**given)
        if not isinstance(model, nn.Module):
            fail(15, f'`ImprovedSentimentModel(...)` 应是 nn.Module；得到的是{shape_of(model)}。')
        features = _utterances(used.values())
        try:
            _look(model, features)
        except RuntimeError as error:
            if not given:
                raise
            said = '换一组特征宽度就出错：宽度要用参数 vision_dim、text_dim、audio_dim，不要写死'
            raise CheckFailed(f'TODO 15：{said} 35、300、74。') from error
        for mode in (model.train, model.eval):
            mode()
            _judge_score(model(*features), mode.__name__)
    model = ImprovedSentimentModel()
    size = sum(p.numel() for p in model.parameters())
    if size > MOST_PARAMETERS:
        fail(15, f'参数不应超过基线的 3 倍（{MOST_PARAMETERS:,}）；现在有 {size:,} 个。')
    features = _utterances(widths.values())
    model.eval()
    _judge_steadiness(model, features)
    _judge_look(model, features)
    _judge_learning(model, features)


def _utterances(widths):
    """Four utterances of 50 steps, zero-padded at the front; the last two are equally long."""
    padding = torch.arange(50) < torch.tensor([40, 20, 38, 38]).unsqueeze(1)
    features = [torch.randn(4, 50, width) * (~padding).unsqueeze(-1) for width in widths]
    features[0][0] = 0  # an utterance without a face
    return features


def _padding(features):
    """Where nothing stands in any modality, (B, T)."""
    return ~torch.stack([x.any(-1) for x in features]).any(0)


def _judge_score(score, mode):
    """Shape and range of one batch of scores."""
    if not isinstance(score, torch.Tensor) or score.shape != (4, 1):
        fail(15, f'{mode}() 模式下应返回形状 (B, 1)，这里是 (4, 1)；得到{shape_of(score)}。')
    if not torch.isfinite(score).all():
        fail(15, f'{mode}() 模式下分数里有 nan 或 inf（有一句没有人脸，全是零：除以了 0？）。')
    largest = score.abs().max().item()
    if largest >= 3:
        fail(15, f'{mode}() 模式下分数应在 (-3, 3) 里；得到的最大绝对值是 {largest:.3f}。')


def _judge_steadiness(model, features):
    """In eval mode a score is a function of its own utterance and of nothing else."""
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
        company = model(*(x[rows] for x in features))
        if not isinstance(company, torch.Tensor) or not near(company, score[rows], 1e-3):
            fail(
                15,
                f'eval() 模式下，一句话的分数随**同一批里的其他句子**而变（{kind}的批次）：'
                '是不是用了整批的统计量，或者在批次那一维上做了运算？',
            )


def _judge_text(model, features):
    """What is said counts, once the model has learnt a little: a last layer may begin at 0."""
    score = model(*features)
    text = features[1].clone()
    text[:, -10:] += 3 * torch.randn_like(text[:, -10:])
    if near(score, model(features[0], text, features[2]), 1e-6):
        fail(15, '改变文本，分数却不变：模型没有用到**文本**，而它是最有用的模态。')


def _look(model, features):
    """What `look_inside` gives, a pair; `forward` may be made of it."""
    if not hasattr(model, 'look_inside'):
        fail(15, '模型没有 `look_inside` 方法：第 9 节要用它看每个词的权重。')
    looked = model.look_inside(*features)
    if not isinstance(looked, (tuple, list)) or len(looked) != 2:
        count = f' {len(looked)} 样' if isinstance(looked, (tuple, list)) else shape_of(looked)
        fail(15, f'look_inside 要返回两样：分数和权重。得到的是{count}。')
    return looked


def _judge_look(model, features):
    """`look_inside` gives the same score and, for every utterance, weights over the steps."""
    score, weights = _look(model, features)
    if not isinstance(score, torch.Tensor) or not near(score, model(*features)):
        fail(15, '`look_inside` 给出的分数应和 `forward` 的一样。')
    if not isinstance(weights, torch.Tensor) or weights.shape != (4, 50):
        fail(15, f'权重应是每句每步一个，形状 (B, T)，这里是 (4, 50)；得到{shape_of(weights)}。')
    if not torch.isfinite(weights).all() or (weights < 0).any():
        fail(15, f'权重不应为负，也不应是 nan；最小的是 {weights.min():.4f}（没有 softmax？）。')
    totals = weights.sum(1)
    if not near(totals, torch.ones(4), 1e-3):
        across = near(weights.sum(0), torch.ones(50), 1e-3)
        hint = '：softmax 沿着批次做了，应沿着步' if across else ''
        fail(15, f'每句的权重之和应是 1；得到 {totals.detach().numpy().round(3).tolist()}{hint}。')
    largest = weights[_padding(features)].max().item()
    if largest > 1e-3:
        fail(15, f'填充步上有权重（最大 {largest:.2g}）：softmax 之前先把填充遮住。')


def _judge_learning(model, features):
    """Gradients arrive, a few steps lower the loss, and no target pulls a score past 3."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        fail(15, '模型没有可以训练的参数。')
    optimizer = torch.optim.Adam(parameters, lr=3e-3)
    criterion = model.criterion() if hasattr(model, 'criterion') else nn.MSELoss()

    def distance(target=2.0):
        """How far the scores are from a target; also what is learnt from, in training mode."""
        target = torch.full((4,), target)
        score = model(*features).squeeze(-1)
        return ((score - target) ** 2).mean().item(), score, target

    def learn(criterion, goal=2.0):
        model.train()
        far, score, target = distance(goal)
        value = criterion(score, target)
        if not value.requires_grad:
            fail(15, '梯度传不到任何参数：计算途中断开了（detach、numpy、no_grad？）。')
        gradients = torch.autograd.grad(value, parameters, allow_unused=True)
        arrived = [g for g in gradients if g is not None]
        if not all(torch.isfinite(g).all() for g in arrived):
            fail(15, '梯度里有 nan 或 inf：检查除法、开方、log，以及全部被遮住的 softmax。')
        if goal == 2.0 and not any(g.any() for g in arrived):  # at 20 they may saturate
            fail(15, '所有参数的梯度都是 0：分数不随任何参数而变。')
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step(lambda: value)
        model.eval()
        return far

    # Either mode may show it: dropout blurs the one, BatchNorm's running statistics lag in the
    # other.
    first, first_seen = distance()[0], None
    for _ in range(6):
        seen = sum(learn(criterion) for _ in range(5)) / 5
        last, first_seen = distance()[0], first_seen or seen
        if last < 0.97 * first or seen < 0.9 * first_seen:
            break
    else:
        fail(15, f'对着 4 句话训练了 30 步，loss 没有降下来：{first:.3f} → {last:.3f}。')
    _judge_steadiness(model, features)
    _judge_text(model, features)
    for group in optimizer.param_groups:
        group['lr'] = 0.05
    for _ in range(4):
        learn(nn.MSELoss(), 20.0)
    extreme = model(*features).abs().max().item()
    if extreme > 3 + 1e-5:
        fail(15, f'分数没有限制在 (-3, 3)：目标定得很高，训练几步，分数就到了 {extreme:.2f}。')
