"""Self-checks of two questions: TensorBoard (TODO 9) and the experiments (TODO 14)."""

import difflib
import inspect
from collections import Counter
from unittest import mock

import numpy as np
import torch
from torch import nn

from msa_lab.checks.tools import (
    fail,
    near,
    self_check,
    shape_of,
)
from msa_lab.data.format import METRICS, MODALITIES
from msa_lab.files.tensorboard_logs import read_scalars


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
    said = f'清单里缺 {len(missing)} 个实验：{"、".join(map(repr, missing))}'
    if names and {'baseline', 'constant'} <= set(missing):
        said += '（用 experiments += [...] 接在后面，不要重新赋值）'
    fail(14, f'{said}。{hint}')


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
