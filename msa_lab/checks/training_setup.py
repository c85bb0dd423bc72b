"""Self-check of `make_loader`, `fit` and `main` (TODO 10): what is trained, on what, how.

`main` runs with doubles of the data set, the model, `train_model` and `evaluate` that record their
arguments. So nothing is trained, and mistakes in those tasks cost nothing here.
"""

import inspect
import math
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from msa_lab.checks.compare import LOSSES, loss_of_errors, near, shape_of
from msa_lab.checks.failure import CheckFailed, fail, self_check
from msa_lab.checks.isolation import replaced_globals
from msa_lab.checks.training_doubles import (
    SIZES,
    DatasetDouble,
    ModelDouble,
    OtherModelDouble,
    Recorder,
    WriterDouble,
    labels_of,
    splits_of,
)

PARTS = {'train': '训练集', 'valid': '验证集', 'test': '测试集'}
TODO = 10


@self_check(10, '数据、优化器与训练')
def check_main(main: Callable) -> None:
    """TODO 10: the loaders, the optimizer, the loss and the call of `train_model`."""
    accepted = _accepted_arguments(main)
    recorder, result = _run_main(main, accepted, epochs=3, checkpoint='chosen.pth')
    training = recorder.trainings[0]
    _judge_model(training['model'])
    _judge_loaders(training)
    _judge_criterion(training['criterion'])
    _judge_optimizer(training, 1e-3)
    _judge_call(training, 'chosen.pth' if 'checkpoint' in accepted else 'best_model.pth')
    if isinstance(result, Exception):  # its likely causes have been looked for above
        raise result
    _judge_result(recorder, result)
    _judge_arguments(main, accepted)


def _accepted_arguments(main):
    """The names of the arguments that may be given to `main`.

    Where `main` has `**options` for `fit`, and `fit` has them for `train_model`, these are also
    the arguments of those functions.
    """
    functions = [main]
    if 'fit' in getattr(main, '__globals__', {}):
        functions.append(main.__globals__['fit'])
    names = set()
    for function in functions:
        parameters = inspect.signature(function).parameters.values()
        names |= {p.name for p in parameters if p.kind is not p.VAR_KEYWORD}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return names
    return names | {'progress', 'quiet'}


def _checked(function, name):
    """`make_loader` or `fit`, with a check of what would make the given code crash later."""

    def double(*args, **kwargs):
        for value in (*args, *kwargs.values()):
            if name == 'fit' and inspect.isclass(value) and issubclass(value, ModelDouble):
                _judge_model(value)
        result = function(*args, **kwargs)
        if name == 'make_loader' and result is None:
            fail(TODO, 'make_loader 返回了 None（忘了 return？）。')
        return result

    return double


def _run_main(main, accepted, **settings):
    """Call `main` with doubles in its globals; returns the recorder and what `main` returned.

    Of the settings it gets those that it accepts. An exception that `main` raises after the
    training takes the place of its result.
    """
    recorder = Recorder()
    path = Path('data.pkl').resolve()
    path.touch()
    DatasetDouble.paths = ()
    namespace = getattr(main, '__globals__', {})
    names = ('fit', 'make_loader', 'evaluate_test_split', 'validate_model')
    involved = [main, *(namespace[name] for name in names if name in namespace)]
    names = [name for name in ('make_loader', 'fit') if name in namespace]
    doubles = dict(
        MOSIDataset=DatasetDouble,
        MultimodalSentimentAnalysisModel=ModelDouble,
        RunWriter=WriterDouble,
        feature_dims=lambda path: {},
        DeviceLoader=lambda loader, device: loader,
        train_model=recorder.train_model,
        evaluate=recorder.evaluate,
        **{name: _checked(namespace[name], name) for name in names},
    )
    with replaced_globals(involved, **doubles):
        try:
            result = main(str(path), **{k: v for k, v in settings.items() if k in accepted})
        except Exception as error:
            if not recorder.trainings:
                _judge_build(error)
                raise
            result = error
    if len(recorder.trainings) != 1:
        fail(TODO, f'`main` 应调用 `train_model` 一次；调用了 {len(recorder.trainings)} 次。')
    if any(Path(p).resolve() != path for p in DatasetDouble.paths):
        read = ', '.join(sorted(set(DatasetDouble.paths)))
        fail(TODO, f'数据集应读传给 `main` 的文件；实际读了 {read}。')
    return recorder, result


def _judge_build(error):
    """Fail when an error before the training says that `build` was called though it is None."""
    line = traceback.extract_tb(error.__traceback__)[-1].line or ''
    if isinstance(error, TypeError) and 'NoneType' in str(error) and 'build' in line:
        raise CheckFailed(f'TODO {TODO}：build 可以不给：build 是 None 时用基线。') from error


def _judge_model(model):
    """What is trained should be a baseline, not its class and no other model."""
    if not isinstance(model, ModelDouble):
        kind = '类（少了一对括号）' if inspect.isclass(model) else f' {type(model).__name__}'
        fail(TODO, f'训练的应是一个 `MultimodalSentimentAnalysisModel()`；得到的是{kind}。')


def _judge_loaders(training):
    """The loaders should give their whole split in batches of 16, only training shuffled."""
    loaders = {name: training[f'{name}_loader'] for name in ('train', 'valid')}
    batches = {}
    for name, loader in loaders.items():
        try:
            batches[name] = labels_of(loader)
        except TypeError:
            fail(TODO, f'`{name}_loader` 应是 DataLoader；收到的是{shape_of(loader, False)}。')
    _judge_splits(splits_of(batches['train']), splits_of(batches['valid']))
    for name, loader in loaders.items():
        part, order = PARTS[name], [label for batch in batches[name] for label in batch]
        if len(order) != SIZES[name] or len(set(order)) != SIZES[name]:
            hint = '不要设 `drop_last`：最后一批不满也要用' if len(order) % 16 == 0 else '每句一次'
            fail(TODO, f'{part}的 {SIZES[name]} 句都应出现；得到 {len(set(order))} 句。{hint}。')
        size = max(map(len, batches[name]))
        if size != 16:
            fail(TODO, f'{part}的批大小应是 16；得到 {size}。')
        if name == 'valid' and order != sorted(order):
            fail(TODO, '验证集被打乱了：只有训练集要打乱，验证和测试按原来的顺序。')
        if name == 'train' and order == sorted(order):
            fail(TODO, '训练集没有打乱：每一轮都按同样的顺序喂给模型。')
        if name == 'train' and labels_of(loader) == batches[name]:
            fail(TODO, '训练集每一轮的顺序都一样：应由 DataLoader 每轮重新打乱。')


def _judge_splits(train, valid):
    """`train` should be trained on, and `valid` choose the best epoch."""
    if train == ['valid'] and valid == ['train']:
        fail(TODO, '训练和验证的 loader **传反了**：在验证集上训练，用训练集挑选。')
    if 'test' in train:
        fail(TODO, '训练数据里有**测试集**：测试集只能在最后用一次。')
    if 'test' in valid:
        fail(TODO, '**测试集**被当成了验证集：最好的一轮就成了用测试集挑出来的，测试分数会偏乐观。')
    if train == ['train', 'valid']:
        fail(TODO, '训练数据里混进了**验证集**：在见过的句子上挑选，分不出过拟合。')
    if train == valid:
        fail(
            TODO,
            f'{PARTS[train[0]]}用了两次：训练和验证要用不同的划分（train 和 valid）。'
            '（make_loader 有没有把 split 传给 MOSIDataset？）',
        )
    if train != ['train'] or valid != ['valid']:
        actual = f'训练用 {"、".join(train)}，验证用 {"、".join(valid)}'
        fail(TODO, f'应在 train 上训练、在 valid 上验证；现在{actual}。')


def _judge_criterion(criterion):
    """The loss should be the mean squared error; judged by its value for a few errors."""
    if inspect.isclass(criterion):
        fail(TODO, f'损失函数应是建好的对象；得到的是类 {criterion.__name__}（少了一对括号）。')
    if not callable(criterion):
        fail(TODO, f'损失函数应能像函数一样调用；得到的是{shape_of(criterion, False)}。')
    with torch.no_grad():
        value = loss_of_errors(criterion)
    if near(value, LOSSES['MSE']):
        return
    for wrong, name in (
        (LOSSES['MAE'], '平均绝对误差（MAE）'),
        (LOSSES['Huber'], 'Huber 损失'),
        (3 * LOSSES['MSE'], '平方误差的**和**，没有求平均'),
        (math.sqrt(LOSSES['MSE']), '均方误差的平方根'),
    ):
        if near(value, wrong):
            fail(TODO, f'损失函数应是均方误差（MSE）；现在是{name}。')
    fail(
        TODO,
        f'损失函数应是均方误差（MSE）：误差 0.5、2、3 应得 {LOSSES["MSE"]:.4f}；得到 {value}。',
    )


def _judge_optimizer(training, lr):
    """The optimizer should be Adam over this model's parameters with learning rate `lr`."""
    optimizer, model = training['optimizer'], training['model']
    if type(optimizer) is not torch.optim.Adam:
        fail(TODO, f'优化器应是 Adam；得到的是 {type(optimizer).__name__}。')
    groups = optimizer.param_groups
    held = [id(p) for group in groups for p in group['params']]
    expected = [id(p) for p in model.parameters()] if isinstance(model, nn.Module) else []
    if not set(held) & set(expected):
        fail(TODO, '优化器管的是**另一个**模型的参数：传给 `train_model` 的模型永远不会更新。')
    if set(held) != set(expected):
        fail(TODO, f'优化器应管模型的全部 {len(expected)} 组参数；现在管着 {len(held)} 组。')
    if any(not math.isclose(value, lr) for value in training['lr']):
        fixed = '。学习率是参数 `lr`，不要写死' if lr != 1e-3 else ''
        fail(TODO, f'Adam 的学习率应是 {lr:g}；得到 {training["lr"][0]:g}{fixed}。')
    if any(group['weight_decay'] for group in groups):
        fail(TODO, f'Adam 的其余设置用默认值；得到 weight_decay={groups[0]["weight_decay"]}。')


def _judge_scheduler(training, epochs):
    """The learning rate should fall by half a cosine over all steps of all epochs."""
    scheduler, optimizer = training['scheduler'], training['optimizer']
    if not hasattr(scheduler, 'step'):
        fail(
            TODO,
            f'没有学习率调度器：`train_model` 收到的 scheduler 是{shape_of(scheduler, False)}。',
        )
    total = epochs * len(training['train_loader'])
    for step in range(1, total + 1):
        scheduler.step()
        expected = 1e-3 / 2 * (1 + math.cos(math.pi * step / total))
        actual = optimizer.param_groups[0]['lr']
        if not math.isclose(actual, expected, rel_tol=1e-3, abs_tol=1e-9):
            t_max = getattr(scheduler, 'T_max', None)
            hint = f'；T_max 应是总步数 {total}（轮数 × 批数），得到 {t_max}' if t_max else ''
            fail(TODO, f'第 {step} 步之后学习率应是 {expected:.2e}；得到 {actual:.2e}{hint}。')


def _judge_call(training, checkpoint):
    """`train_model` should get epochs and checkpoint, and print as by default."""
    if training['epochs'] != 3:
        fail(
            TODO,
            f'轮数没有传下去：`main(..., epochs=3)` 应训练 3 轮；得到 {training["epochs"]!r}。',
        )
    if Path(training['checkpoint']).resolve() != Path(checkpoint).resolve():
        fail(
            TODO,
            f'`checkpoint` 没有传下去：最好的权重应存到 {checkpoint!r}；'
            f'得到 {str(training["checkpoint"])!r}。',
        )
    _judge_flags(training, progress=False, quiet=False)
    _judge_scheduler(training, 3)


def _judge_flags(training, **flags):
    """`train_model` should get these flags, which travel in the options of `main` and `fit`."""
    for name, value in flags.items():
        if bool(training[name]) != value:
            fail(
                TODO,
                f'`{name}` 没有传下去：fit 的 {name}={value}（在 `**options` 里）应原样传给 '
                f'`train_model`；它收到的是 {training[name]!r}。',
            )


def _judge_result(recorder, result):
    """The best weights should be read back and tested, and three results returned."""
    tests = [e for e in recorder.evaluations if e[0] and 'test' in splits_of(e[1])]
    if not tests:
        tested = [PARTS[s] for e in recorder.evaluations for s in splits_of(e[1])]
        actual = f'；现在用的是{"、".join(tested)}' if tested else ''
        fail(TODO, f'训练之后应在**测试集**上评估一次{actual}。')
    _, batches, scale, _ = tests[-1]
    order = [label for batch in batches for label in batch]
    if splits_of(batches) != ['test'] or len(order) != SIZES['test']:
        fail(TODO, f'测试应用测试集的全部 {SIZES["test"]} 句，不含别的；得到 {len(order)} 句。')
    if order != sorted(order):
        fail(TODO, '测试集被打乱了：只有训练集要打乱，验证和测试按原来的顺序。')
    if not math.isclose(scale, 2.0):
        fail(TODO, '测试之前没有读回最好一轮的权重：用的还是最后一轮的。')
    if not isinstance(result, tuple) or len(result) != 3:
        fail(TODO, f'`main` 应返回三样东西：模型、history、测试指标；得到的是{shape_of(result)}。')
    if result[1] is not recorder.history and result[1] != recorder.history:
        fail(TODO, f'history 应是 `train_model` 返回的那个；得到的是{shape_of(result[1])}。')
    if result[2] != recorder.metrics:
        fail(TODO, '第三个返回值应是测试集上的六个指标。')


def _judge_arguments(main, accepted):
    """The arguments of a second run, other than the defaults, should arrive."""
    settings = dict(epochs=2, batch_size=5, lr=0.02, log_dir='logs', build=OtherModelDouble)
    flags = {name: True for name in ('progress', 'quiet') if name in accepted}
    recorder, result = _run_main(main, accepted, **settings, **flags)
    training = recorder.trainings[0]
    for name, part in (('train_loader', '训练'), ('valid_loader', '验证')):
        size = max(map(len, labels_of(training[name])))
        if 'batch_size' in accepted and size != 5:
            fail(TODO, f'批大小写死了：batch_size=5 时{part}的一批应有 5 句；得到 {size} 句。')
    if 'lr' in accepted:
        _judge_optimizer(training, 0.02)
    if 'log_dir' in accepted and not isinstance(training['writer'], WriterDouble):
        fail(TODO, '`writer` 没有传给 `train_model`：第 6 节就没有日志可看了。')
    _judge_flags(training, **flags)
    if 'build' in accepted and not isinstance(training['model'], OtherModelDouble):
        fail(TODO, '`main` 的参数 `build` 没有用上：给了它，就用它来建模型。')
    if isinstance(result, Exception):
        raise result
