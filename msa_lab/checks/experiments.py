"""Self-check of the list of experiments (TODO 14)."""

import difflib
import inspect
from collections import Counter
from unittest import mock

import numpy as np
from torch import nn

from msa_lab.checks.compare import LOSSES, loss_of_errors, near, shape_of
from msa_lab.checks.failure import fail, self_check
from msa_lab.data import MODALITIES

EXPERIMENTS = (
    *('baseline', 'constant', 'transformer', 'transformer, no position', 'no LayerNorm'),
    *('text', 'vision', 'audio', 'text + vision', 'text + audio', 'MAE loss', 'Huber loss'),
    *('self-attention', 'cross-attention'),
)


@self_check(14, '实验清单')
def check_experiments(experiments: list) -> None:
    """TODO 14: the fourteen experiments, each with its one change."""
    if not isinstance(experiments, (list, tuple)):
        fail(14, f'`experiments` 应是列表；得到的是{shape_of(experiments, False)}。')
    for experiment in experiments:
        if not all(hasattr(experiment, part) for part in ('name', 'build', 'criterion')):
            fail(
                14, f'清单里的每一项应是 `Experiment(...)`；有一项是{shape_of(experiment, False)}。'
            )
    _judge_names([experiment.name for experiment in experiments])
    by_name = {experiment.name: experiment for experiment in experiments}
    model_class = _configurable_class(experiments)
    first_with = {}  # settings and loss: the first experiment that has them
    for name in EXPERIMENTS:
        build, criterion = by_name[name].build, by_name[name].criterion
        if isinstance(build, nn.Module) or not callable(build):
            fail(
                14,
                f'{name!r} 的 build 应是“能造出模型的东西”，不是造好的模型：'
                '否则各个种子用的是同一个模型，接着上一次训练。',
            )
        _judge_loss(name, criterion)
        if name == 'constant':
            continue
        settings = _settings(build, model_class)
        if settings is None:
            continue  # the student's own model class: it was built, and that is all we know
        difference = _differences(settings, _expected(name, settings))
        loss = name if name.endswith('loss') else ''
        key = (*sorted((k, str(v)) for k, v in settings.items()), loss)
        twin = first_with.setdefault(key, name)
        if twin != name:
            fail(14, f'{twin!r} 和 {name!r} 造出的是**同样的**模型：{difference or settings}。')
        if difference:
            fail(14, f'{name!r} 与它的名字不符：{difference}。其余的应和基线一样。')


def _judge_names(names):
    """All fourteen names should be there, none twice."""
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
    message = f'清单里缺 {len(missing)} 个实验：{"、".join(map(repr, missing))}'
    if names and {'baseline', 'constant'} <= set(missing):
        message += '（用 experiments += [...] 接在后面，不要重新赋值）'
    fail(14, f'{message}。{hint}')


def _judge_loss(name, criterion):
    """An experiment should have the loss of its name; judged by its value for a few errors."""
    expected = {'MAE loss': 'MAE', 'Huber loss': 'Huber'}.get(name, 'MSE')
    if criterion is None:
        value = LOSSES['MSE']
    elif inspect.isclass(criterion):
        fail(
            14, f'{name!r} 的损失应是建好的对象；得到的是类 {criterion.__name__}（少了一对括号）。'
        )
    else:
        value = loss_of_errors(criterion)
    if near(value, LOSSES[expected]):
        return
    actual = next((loss for loss, number in LOSSES.items() if near(value, number)), None)
    if actual:
        fail(14, f'{name!r} 的损失应是 {expected}；得到的是 {actual}。')
    hint = '（Huber 的 delta 应是 1）' if expected == 'Huber' else ''
    fail(14, f'{name!r} 的损失应是 {expected}{hint}；误差 0.5、2、3 得到 {float(value):.4f}。')


def _configurable_class(experiments):
    """The class whose arguments the experiments vary, found among what they build."""
    for experiment in experiments:
        build = getattr(experiment.build, 'func', experiment.build)
        code = getattr(build, '__code__', None)
        used = [getattr(build, '__globals__', {}).get(n) for n in code.co_names] if code else []
        for candidate in (build, *used):
            if inspect.isclass(candidate) and issubclass(candidate, nn.Module):
                arguments = inspect.signature(candidate.__init__).parameters
                if {'encoder', 'fusion', 'layer_norm', 'position', 'modalities'} <= set(arguments):
                    return candidate
    fail(14, '找不到 `AblationModel`：实验应由它加上参数造出来。')


def _settings(build, model_class):
    """The arguments that reach the configurable class when `build()` runs; None if none do.

    Its `__init__` is replaced meanwhile, so that mistakes in its parts do not matter here.
    """
    signature, calls = inspect.signature(model_class.__init__), []

    def recorder(self, *args, **kwargs):
        nn.Module.__init__(self)
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        calls.append(bound.arguments)

    with mock.patch.object(model_class, '__init__', recorder):
        model = build()
    if not isinstance(model, nn.Module):
        fail(14, f'build() 应造出一个模型；得到的是{shape_of(model)}。')
    if not calls:
        return None
    arguments = calls[-1]
    settings = {k: arguments[k] for k in ('encoder', 'fusion', 'layer_norm', 'modalities')}
    chosen = settings['modalities']
    if isinstance(chosen, str):
        fail(
            14,
            f'modalities 应是名字的元组；得到的是字符串 {chosen!r}'
            '（只有一个名字时，后面也要有逗号）。',
        )
    settings['modalities'] = tuple(sorted(chosen, key=str))
    if settings['encoder'] == 'transformer':  # the LSTM has no position encoding
        settings['position'] = arguments['position']
    return settings


def _expected(name, settings):
    """The settings that an experiment should have by its name."""
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
    differences = [
        f'{key} 应是 {expected[key]!r}，得到 {value!r}'
        for key, value in settings.items()
        if key in expected and value != expected[key] and not _same_flag(value, expected[key])
    ]
    return '；'.join(differences)


def _same_flag(value, expected):
    """Whether a value stands for the expected flag: 0, 1 and NumPy's booleans do."""
    return isinstance(expected, bool) and isinstance(value, (int, np.bool_)) and value == expected
