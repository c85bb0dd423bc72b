"""Self-checks of the thinking questions: TensorBoard (TODO 9), the experiments (14), the better
model (15). Those of the ablations' parts stand in `check_parts`."""

import difflib
import inspect
from collections import Counter
from unittest import mock

import numpy as np
import torch
from torch import nn

from msa_lab.check_tools import (
    METRICS,
    MODALITIES,
    WIDTHS,
    fail,
    near,
    self_check,
    shape_of,
)
from msa_lab.logs import read_scalars


@self_check(9, 'TensorBoard 日志')
def check_logging(RunWriter):
    """TODO 9: both losses under the tag `loss`, in train/ and in valid/, at the right epochs."""
    losses = {'train': [1.75, 1.5, 1.25], 'valid': [1.875, 1.625, 1.375]}
    epochs = [1, 2, 3]
    with RunWriter('logs') as writer:
        for epoch, train, valid in zip(epochs, *losses.values(), strict=True):
            metrics = {name: 0.01 * i + 0.1 * epoch for i, name in enumerate(METRICS)}
            record = {'epoch': epoch, 'lr': 1e-3 / epoch, 'train_loss': train, 'valid_loss': valid}
            writer.log_epoch(record | metrics)
    scalars = read_scalars('logs')
    for part, values in losses.items():
        steps, came = scalars.get((part, 'loss'), ([], []))
        if (steps, came) != (epochs, values):
            fail(9, _name_logging(part, losses, scalars))


def _name_logging(part, losses, scalars):
    """In words: where a loss went in place of the tag `loss` of its own directory."""
    other, values = 'valid' if part == 'train' else 'train', losses[part]
    asked = f'{part}_loss 应写进 `{part}/` 目录，标签 `loss`，step 是轮数（1、2、3）'
    written = {key: set(points[1]) for key, points in scalars.items()}
    found = [key for key, came in written.items() if set(values) & came]
    if not found:
        return f'{asked}；日志里找不到它的值。'
    folder, tag = found[0]
    if (other, 'loss') in found and written.get((part, 'loss'), set()) - set(values):
        return f'{asked}；现在两个损失写**反**了：{part}_loss 在 `{other}/` 里。'
    if folder == other:
        return f'{asked}；它却和 {other}_loss 写进了同一个目录 `{other}/`（标签 {tag}）。'
    if folder != part:
        return f'{asked}；它却在目录 `{folder}/` 里（标签 {tag}）。'
    if tag != 'loss':
        return (
            f'{asked}；标签却是 `{tag}`。TensorBoard 把**同名**的标签画进同一张图，'
            '名字不同，两条曲线就不在一起。'
        )
    steps, came = scalars[folder, tag]
    if set(losses[other]) & set(came):
        return f'{asked}；{other}_loss 却也写进了 `{part}/`：两个损失在同一个目录、同一个标签里。'
    if came != values:
        return f'{asked}；那里却写了 {len(came)} 个值：{came}。'
    if len(set(steps)) == 1:
        return f'{asked}；step 却总是 {steps[0]}（没有传？），几轮的点叠在一起。'
    return f'{asked}；step 却是 {steps}。'


EXPERIMENTS = (
    *('baseline', 'constant', 'transformer', 'transformer, no position', 'no LayerNorm'),
    *('text', 'vision', 'audio', 'text + vision', 'text + audio', 'MAE loss', 'Huber loss'),
    *('self-attention', 'cross-attention'),
)
LOSSES = {  # of the errors 0.5, -2 and 3
    'MSE': 13.25 / 3,
    'MAE': 5.5 / 3,
    'Huber': 4.125 / 3,
}


@self_check(14, '实验清单')
def check_experiments(experiments):
    """TODO 14: the fourteen experiments, each with its one change."""
    if not isinstance(experiments, (list, tuple)):
        fail(14, f'`experiments` 应是列表；得到的是{shape_of(experiments, False)}。')
    for experiment in experiments:
        if not all(hasattr(experiment, part) for part in ('name', 'build', 'criterion')):
            fail(
                14, f'清单里的每一项应是 `Experiment(...)`；有一项是{shape_of(experiment, False)}。'
            )
    _judge_names([experiment.name for experiment in experiments])
    named = {experiment.name: experiment for experiment in experiments}
    family = _family(experiments)
    seen = {}
    for name in EXPERIMENTS:
        build, criterion = named[name].build, named[name].criterion
        if isinstance(build, nn.Module) or not callable(build):
            fail(
                14, f'{name!r} 的 build 应是“能造出模型的东西”，不是造好的模型：'
                '否则各个种子用的是同一个模型，接着上一次训练。'
            )  # fmt: skip
        _judge_loss(name, criterion)
        if name == 'constant':
            continue
        settings = _settings(build, family)
        if settings is None:
            continue  # a model of one's own: it was built, and its name says what it is
        wrong = _differences(settings, _expected(name, settings))
        loss = name if name.endswith('loss') else ''
        twin = seen.setdefault((*sorted((k, str(v)) for k, v in settings.items()), loss), name)
        if twin != name:
            fail(14, f'{twin!r} 和 {name!r} 造出的是**同样的**模型：{wrong or settings}。')
        if wrong:
            fail(14, f'{name!r} 与它的名字不符：{wrong}。其余的应和基线一样。')


def _judge_names(names):
    """All fourteen names are there, none twice."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        fail(14, f'名字不能重复：{"、".join(map(repr, twice))}。')
    missing = [name for name in EXPERIMENTS if name not in names]
    if not missing:
        return
    extra = {name.lower(): name for name in names if name not in EXPERIMENTS}
    close = difflib.get_close_matches(missing[0].lower(), extra, n=1, cutoff=0.75)
    hint = f'是不是写成了 {extra[close[0]]!r}？名字要一模一样。' if close else ''
    if len(missing) == len(EXPERIMENTS) - 2:
        hint = 'TODO 14 还没有完成。'
    fail(14, f'清单里缺 {len(missing)} 个实验：{"、".join(map(repr, missing))}。{hint}')


def _judge_loss(name, criterion):
    """The loss of an experiment, by what it makes of a few numbers."""
    expected = {'MAE loss': 'MAE', 'Huber loss': 'Huber'}.get(name, 'MSE')
    if criterion is None:
        value = LOSSES['MSE']
    elif inspect.isclass(criterion):
        fail(
            14, f'{name!r} 的损失应是建好的对象；得到的是类 {criterion.__name__}（少了一对括号）。'
        )
    else:
        value = criterion(torch.tensor([0.5, -1.0, 2.0]), torch.tensor([1.0, 1.0, -1.0]))
    if near(value, LOSSES[expected]):
        return
    came = next((loss for loss, number in LOSSES.items() if near(value, number)), None)
    if came:
        fail(14, f'{name!r} 的损失应是 {expected}；得到的是 {came}。')
    hint = '（Huber 的 delta 应是 1）' if expected == 'Huber' else ''
    fail(14, f'{name!r} 的损失应是 {expected}{hint}；误差 0.5、2、3 得到 {float(value):.4f}。')


def _family(experiments):
    """The configurable class that the experiments vary, found among what they build."""
    for experiment in experiments:
        build = getattr(experiment.build, 'func', experiment.build)
        code = getattr(build, '__code__', None)
        named = [getattr(build, '__globals__', {}).get(n) for n in code.co_names] if code else []
        for candidate in (build, *named):
            if inspect.isclass(candidate) and issubclass(candidate, nn.Module):
                arguments = inspect.signature(candidate.__init__).parameters
                if {'encoder', 'fusion', 'layer_norm', 'position', 'modalities'} <= set(arguments):
                    return candidate
    fail(14, '找不到 `AblationModel`：实验应由它加上参数造出来。')


def _settings(build, family):
    """The arguments that reach the configurable class when `build()` runs; None if none do.

    Its `__init__` is replaced meanwhile, so that mistakes in its parts do not matter here.
    """
    signature, caught = inspect.signature(family.__init__), []

    def recorder(self, *args, **kwargs):
        nn.Module.__init__(self)
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        caught.append(bound.arguments)

    with mock.patch.object(family, '__init__', recorder):
        model = build()
    if not isinstance(model, nn.Module):
        fail(14, f'build() 应造出一个模型；得到的是{shape_of(model)}。')
    if not caught:
        return None
    arguments = caught[-1]
    settings = {k: arguments[k] for k in ('encoder', 'fusion', 'layer_norm', 'modalities')}
    chosen = settings['modalities']
    if isinstance(chosen, str):
        fail(
            14,
            f'modalities 应是名字的元组；得到的是字符串 {chosen!r}'
            '（只有一个名字时，后面也要有逗号）。',
        )
    settings['modalities'] = tuple(sorted(chosen, key=str))
    if settings['encoder'] == 'transformer':  # it means nothing to the LSTM
        settings['position'] = arguments['position']
    return settings


def _expected(name, settings):
    """What an experiment's name says about its settings."""
    words = name.split(' + ')
    expected = {
        'encoder': 'transformer' if name.startswith('transformer') else 'lstm',
        'fusion': name.replace('-', '_') if name.endswith('-attention') else 'sum',
        'layer_norm': 'LayerNorm' not in name,
        'modalities': tuple(sorted(words if set(words) <= set(MODALITIES) else MODALITIES)),
    }
    if 'position' in settings:
        expected['position'] = 'position' not in name
    return expected


def _differences(settings, expected):
    """In words: which settings are not as expected; empty when all are."""
    wrong = [
        f'{key} 应是 {expected[key]!r}，得到 {value!r}'
        for key, value in settings.items()
        if key in expected and value != expected[key] and not _same_flag(value, expected[key])
    ]
    return '；'.join(wrong)


def _same_flag(value, expected):
    """0 and 1 (also NumPy's) do for False and True."""
    return isinstance(expected, bool) and isinstance(value, (int, np.bool_)) and value == expected


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
    text = features[1].clone()
    text[:, -10:] += 3 * torch.randn_like(text[:, -10:])
    if near(score, model(features[0], text, features[2]), 1e-6):
        fail(15, '改变文本，分数却不变：模型没有用到**文本**，而它是最有用的模态。')


def _judge_look(model, features):
    """`look_inside` gives the same score and, for every utterance, weights over the steps."""
    if not hasattr(model, 'look_inside'):
        fail(15, '模型没有 `look_inside` 方法：第 9 节要用它看每个词的权重。')
    looked = model.look_inside(*features)
    if not isinstance(looked, (tuple, list)) or len(looked) != 2:
        fail(15, f'`look_inside` 应返回两样东西：分数、权重；得到的是{shape_of(looked)}。')
    score, weights = looked
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
    for group in optimizer.param_groups:
        group['lr'] = 0.05
    for _ in range(4):
        learn(nn.MSELoss(), 20.0)
    extreme = model(*features).abs().max().item()
    if extreme > 3 + 1e-5:
        fail(15, f'分数没有限制在 (-3, 3)：目标定得很高，训练几步，分数就到了 {extreme:.2f}。')
