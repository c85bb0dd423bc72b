"""Self-checks of the lists of experiments (TODO 14.1 to 14.5)."""

import difflib
import inspect
from collections import Counter
from unittest import mock

import numpy as np
from torch import nn

from msa_lab.checks.compare import LOSSES, loss_of_errors, near, shape_of
from msa_lab.checks.failure import fail, self_check
from msa_lab.data import MODALITIES

# By name: the arguments of `AblationModel` that an experiment changes; the others keep these.
DEFAULTS = {'encoder': 'lstm', 'fusion': 'sum', 'layer_norm': True, 'modalities': MODALITIES}
ENCODERS = {
    'transformer': {'encoder': 'transformer', 'position': True},
    'transformer, no position': {'encoder': 'transformer', 'position': False},
    'averaged': {'fusion': 'average'},
    'transformer, averaged': {'encoder': 'transformer', 'position': True, 'fusion': 'average'},
}
NORMS = {'no LayerNorm': {'layer_norm': False}}
SUBSETS = {
    'text': {'modalities': ('text',)},
    'vision': {'modalities': ('vision',)},
    'audio': {'modalities': ('audio',)},
    'text + vision': {'modalities': ('text', 'vision')},
    'text + audio': {'modalities': ('text', 'audio')},
}
OTHER_LOSSES = {'MAE loss': {}, 'Huber loss': {}}
FUSIONS = {
    'self-attention': {'fusion': 'self_attention'},
    'cross-attention': {'fusion': 'cross_attention'},
}


@self_check('14.1', '编码器的实验')
def check_encoder_experiments(experiments: list) -> None:
    """TODO 14.1: Transformer and LSTM, each with both ways to read out."""
    _judge_list('14.1', experiments, ENCODERS)


@self_check('14.2', '归一化的实验')
def check_norm_experiments(experiments: list) -> None:
    """TODO 14.2: the baseline without LayerNorm."""
    _judge_list('14.2', experiments, NORMS)


@self_check('14.3', '模态的实验')
def check_modality_experiments(experiments: list) -> None:
    """TODO 14.3: every modality alone, and text with one other."""
    _judge_list('14.3', experiments, SUBSETS)


@self_check('14.4', '损失的实验')
def check_loss_experiments(experiments: list) -> None:
    """TODO 14.4: the baseline trained with two other losses."""
    _judge_list('14.4', experiments, OTHER_LOSSES)


@self_check('14.5', '融合的实验')
def check_fusion_experiments(experiments: list) -> None:
    """TODO 14.5: the two fusions by attention."""
    _judge_list('14.5', experiments, FUSIONS)


def _judge_list(number, experiments, expected):
    """The experiments of a list should have the names and the one change that is expected."""
    if not isinstance(experiments, (list, tuple)):
        fail(number, f'清单应是列表；得到的是{shape_of(experiments, False)}。')
    for experiment in experiments:
        if not all(hasattr(experiment, part) for part in ('name', 'build', 'criterion')):
            fail(
                number,
                f'清单里的每一项应是 `Experiment(...)`；有一项是{shape_of(experiment, False)}。',
            )
    _judge_names(number, [experiment.name for experiment in experiments], list(expected))
    by_name = {experiment.name: experiment for experiment in experiments}
    for name in expected:
        if isinstance(by_name[name].build, nn.Module) or not callable(by_name[name].build):
            fail(
                number,
                f'{name!r} 的 build 应是“能造出模型的东西”，不是造好的模型：'
                '否则各个种子用的是同一个模型，接着上一次训练。',
            )
    model_class = _configurable_class(number, experiments)
    first_with = {}  # settings and loss: the first experiment that has them
    for name, changes in expected.items():
        build, criterion = by_name[name].build, by_name[name].criterion
        _judge_loss(number, name, criterion)
        settings = _settings(number, build, model_class)
        if settings is None:
            continue  # the student's own model class: it was built, and that is all we know
        difference = _differences(settings, DEFAULTS | changes)
        loss = name if name.endswith('loss') else ''
        key = (*sorted((k, str(v)) for k, v in settings.items()), loss)
        twin = first_with.setdefault(key, name)
        if twin != name:
            fail(
                number,
                f'{twin!r} 和 {name!r} 造出的是**同样的**模型：{difference or settings}。',
            )
        if difference:
            fail(number, f'{name!r} 与它的名字不符：{difference}。其余的应和基线一样。')


def _judge_names(number, names, expected):
    """All expected names should be there, none twice."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        fail(number, f'名字不能重复：{"、".join(map(repr, twice))}。')
    missing = [name for name in expected if name not in names]
    if not missing:
        return
    extra = {name.lower(): name for name in names if name not in expected}
    close = difflib.get_close_matches(missing[0].lower(), extra, n=1, cutoff=0.75)
    hint = f'是不是写成了 {extra[close[0]]!r}？名字要一模一样。' if close else ''
    fail(number, f'清单里缺 {len(missing)} 个实验：{"、".join(map(repr, missing))}。{hint}')


def _judge_loss(number, name, criterion):
    """An experiment should have the loss of its name; judged by its value for a few errors."""
    expected = {'MAE loss': 'MAE', 'Huber loss': 'Huber'}.get(name, 'MSE')
    if criterion is None:
        value = LOSSES['MSE']
    elif inspect.isclass(criterion):
        fail(
            number,
            f'{name!r} 的损失应是建好的对象；得到的是类 {criterion.__name__}（少了一对括号）。',
        )
    else:
        value = loss_of_errors(criterion)
    if near(value, LOSSES[expected]):
        return
    actual = next((loss for loss, number in LOSSES.items() if near(value, number)), None)
    if actual:
        fail(number, f'{name!r} 的损失应是 {expected}；得到的是 {actual}。')
    hint = '（Huber 的 delta 应是 1）' if expected == 'Huber' else ''
    fail(number, f'{name!r} 的损失应是 {expected}{hint}；误差 0.5、2、3 得到 {float(value):.4f}。')


def _configurable_class(number, experiments):
    """The class whose arguments the experiments vary, found among what they build."""
    for experiment in experiments:
        build = getattr(experiment.build, 'func', experiment.build)
        code = getattr(build, '__code__', None)
        used = [getattr(build, '__globals__', {}).get(n) for n in code.co_names] if code else []
        for candidate in (build, *used):
            if inspect.isclass(candidate) and issubclass(candidate, nn.Module):
                arguments = inspect.signature(candidate.__init__).parameters
                if {*DEFAULTS, 'position'} <= set(arguments):
                    return candidate
    fail(number, '找不到 `AblationModel`：实验应由它加上参数造出来。')


def _settings(number, build, model_class):
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
        fail(number, f'build() 应造出一个模型；得到的是{shape_of(model)}。')
    if not calls:
        return None
    arguments = calls[-1]
    settings = {k: arguments[k] for k in DEFAULTS}
    chosen = settings['modalities']
    if isinstance(chosen, str):
        fail(
            number,
            f'modalities 应是名字的元组；得到的是字符串 {chosen!r}'
            '（只有一个名字时，后面也要有逗号）。',
        )
    settings['modalities'] = tuple(sorted(chosen, key=str))
    if settings['encoder'] == 'transformer':  # the LSTM has no position encoding
        settings['position'] = arguments['position']
    return settings


def _differences(settings, expected):
    """In words: which settings are not as expected; empty when all are."""
    differences = [
        f'{key} 应是 {expected[key]!r}，得到 {value!r}'
        for key, value in settings.items()
        if key in expected and not _agree(value, expected[key])
    ]
    return '；'.join(differences)


def _agree(value, expected):
    """Whether a setting is as expected; 0, 1 and NumPy's booleans stand for flags."""
    if isinstance(expected, tuple):
        return sorted(value, key=str) == sorted(expected)
    if isinstance(expected, bool):
        return isinstance(value, (int, np.bool_)) and value == expected
    return value == expected
