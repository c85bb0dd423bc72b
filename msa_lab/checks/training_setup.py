"""Self-checks of `make_loader`, `fit` and `main` (TODO 10.1 to 10.3): what is trained, and how.

Each runs with doubles of what the others give: of the data set, the model, `train_model`, `fit`. So
nothing is trained, and a mistake in one task costs nothing in another.
"""

import inspect
import math
import traceback
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

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
LOADER, FIT, MAIN = '10.1', '10.2', '10.3'


@self_check(LOADER, 'DataLoader')
def check_loader(make_loader: Callable) -> None:
    """TODO 10.1: the loader of every split, of which only that of training is shuffled."""
    path = _data_file()
    with replaced_globals([make_loader], MOSIDataset=DatasetDouble):
        for split, part in PARTS.items():
            loader = make_loader(str(path), split)
            if loader is None:
                fail(LOADER, 'make_loader 返回了 None（忘了 return？）。')
            if isinstance(loader, Dataset):
                fail(LOADER, 'make_loader 返回的是数据集，还没有套上 DataLoader。')
            _judge_loader(LOADER, loader, split)
            found = splits_of(labels_of(loader))
            if found != [split]:
                actual = '、'.join(PARTS[name] for name in found) or '别的数据（全局变量？）'
                hint = '（有没有把 split 传给 MOSIDataset？）' if found == ['train'] else ''
                fail(
                    LOADER, f'make_loader(..., {split!r}) 应给出{part}；现在给的是{actual}{hint}。'
                )
        size = max(map(len, labels_of(make_loader(str(path), 'valid', 5))))
        if size != 5:
            fail(LOADER, f'批大小写死了：batch_size=5 时一批应有 5 句；得到 {size} 句。')
    _judge_path(LOADER, path)


@self_check(FIT, '优化器与训练')
def check_fit(fit: Callable) -> None:
    """TODO 10.2: the loaders, the optimizer, and the call of `train_model`."""
    accepted = _accepted_arguments(fit)
    recorder, result = _run_fit(fit, accepted, epochs=3, checkpoint='chosen.pth')
    training = recorder.trainings[0]
    _judge_loaders(training)
    _judge_optimizer(training, 1e-3)
    _judge_call(training, 'chosen.pth')
    if training['writer'] is not None:
        fail(FIT, '没有 log_dir 时 `writer` 应是 None：传给 train_model 的是 writer，不是 log。')
    if result is not recorder.history and result != recorder.history:
        fail(FIT, f'`fit` 应返回 `train_model` 的结果；得到的是{shape_of(result)}。')
    settings = dict(epochs=2, batch_size=5, lr=0.02, log_dir='logs', checkpoint='other.pth')
    flags = {name: True for name in ('progress', 'quiet') if name in accepted}
    training = _run_fit(fit, accepted, **settings, **flags)[0].trainings[0]
    for name in ('train', 'valid'):
        size = max(map(len, labels_of(training[f'{name}_loader'])))
        if size != 5:
            fail(
                FIT, f'批大小写死了：batch_size=5 时{PARTS[name]}的一批应有 5 句；得到 {size} 句。'
            )
    _judge_optimizer(training, 0.02)
    if not isinstance(training['writer'], WriterDouble):
        fail(FIT, '`writer` 没有传给 `train_model`：第 6 节就没有日志可看了。')
    _judge_flags(training, **flags)


@self_check(MAIN, '模型与损失')
def check_main(main: Callable) -> None:
    """TODO 10.3: which model is trained, and with which loss."""
    path, recorder = _data_file(), Recorder()
    doubles = dict(
        MultimodalSentimentAnalysisModel=ModelDouble,
        feature_dims=lambda path: {'text_dim': 300},
        fit=recorder.fit,
        evaluate_test_split=lambda *args, **kwargs: (recorder.metrics, None),
    )
    with replaced_globals([main], **doubles):
        try:
            result = main(str(path), epochs=3)
        except Exception as error:
            _judge_build(error)
            raise
        model, criterion = recorder.fits[0]
        _judge_model(model)
        if model.arguments != {'text_dim': 300}:
            fail(MAIN, '造模型时没有传 `**dims`（带两个星号）：换一份维数不同的文件就会出错。')
        _judge_criterion(criterion)
        if not isinstance(result, tuple) or len(result) != 3:
            fail(MAIN, f'`main` 应返回三样：模型、history、测试指标；得到的是{shape_of(result)}。')
        main(str(path), epochs=2, build=OtherModelDouble)
        if not isinstance(recorder.fits[1][0], OtherModelDouble):
            hint = '给了它，就用它来建模型；先选类，再加括号造：(build or ...)(**dims)'
            fail(MAIN, f'`main` 的参数 `build` 没有用上：{hint}。')


def _data_file():
    """An empty file that stands for the data; nothing reads it."""
    path = Path('data.pkl').resolve()
    path.touch()
    DatasetDouble.paths = ()
    return path


def _judge_path(number, path):
    """The data sets should have read the file that was given."""
    if any(Path(p).resolve() != path for p in DatasetDouble.paths):
        read = ', '.join(sorted(set(DatasetDouble.paths)))
        fail(number, f'数据集应读传进来的 data_path；实际读了 {read}。')


def _accepted_arguments(fit):
    """The names of the arguments that may be given to `fit`.

    Where it has `**options` for `train_model`, these are also two arguments of that function.
    """
    parameters = inspect.signature(fit).parameters.values()
    names = {p.name for p in parameters if p.kind is not p.VAR_KEYWORD}
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        names |= {'progress', 'quiet'}
    return names


def _right_loader(data_path, split, batch_size=16):
    """A double of `make_loader`."""
    dataset = DatasetDouble(data_path, split)
    return DataLoader(dataset, batch_size, shuffle=split == 'train')


@contextmanager
def _faster(model, *loaders):
    """A double of `faster` that leaves everything as it is."""
    yield loaders


def _run_fit(fit, accepted, **settings):
    """Call `fit` with doubles in its globals; returns the recorder and what `fit` returned."""
    path, recorder = _data_file(), Recorder()
    doubles = dict(
        MOSIDataset=DatasetDouble,
        make_loader=_right_loader,
        RunWriter=WriterDouble,
        faster=_faster,
        train_model=recorder.train_model,
    )
    settings = {name: value for name, value in settings.items() if name in accepted}
    with replaced_globals([fit], **doubles):
        result = fit(ModelDouble(), str(path), nn.MSELoss(), **settings)
    if len(recorder.trainings) != 1:
        fail(FIT, f'`fit` 应调用 `train_model` 一次；调用了 {len(recorder.trainings)} 次。')
    _judge_path(FIT, path)
    return recorder, result


def _judge_build(error):
    """Fail when an error before the training says that `build` was called though it is None."""
    line = traceback.extract_tb(error.__traceback__)[-1].line or ''
    if isinstance(error, TypeError) and 'NoneType' in str(error) and 'build' in line:
        raise CheckFailed(f'TODO {MAIN}：build 可以不给：build 是 None 时用基线。') from error


def _judge_model(model):
    """What is trained should be a baseline, not its class and no other model."""
    if not isinstance(model, ModelDouble):
        kind = '类（少了一对括号）' if inspect.isclass(model) else f' {type(model).__name__}'
        fail(MAIN, f'训练的应是一个 `MultimodalSentimentAnalysisModel()`；得到的是{kind}。')


def _judge_loaders(training):
    """The loaders should give their whole split in batches of 16, only training shuffled."""
    loaders = {name: training[f'{name}_loader'] for name in ('train', 'valid')}
    for name, loader in loaders.items():
        if not hasattr(loader, '__iter__'):
            fail(FIT, f'`{name}_loader` 应是 DataLoader；收到的是{shape_of(loader, False)}。')
    _judge_splits(*(splits_of(labels_of(loaders[name])) for name in ('train', 'valid')))
    for name, loader in loaders.items():
        _judge_loader(FIT, loader, name)


def _judge_loader(number, loader, name):
    """One loader should give each utterance once, in batches of 16, only training shuffled."""
    try:
        batches = labels_of(loader)
    except TypeError:
        fail(number, f'应返回 DataLoader；得到的是{shape_of(loader, False)}。')
    part, order = PARTS[name], [label for batch in batches for label in batch]
    if splits_of(batches) == [name] and not len(order) == len(set(order)) == SIZES[name]:
        hint = '不要设 `drop_last`：最后一批不满也要用' if len(order) % 16 == 0 else '每句一次'
        fail(number, f'{part}的 {SIZES[name]} 句都应出现；得到 {len(set(order))} 句。{hint}。')
    size = max(map(len, batches))
    if size != 16:
        fail(number, f'{part}的批大小应是 16；得到 {size}。')
    if name != 'train' and order != sorted(order):
        fail(number, f'{part}被打乱了：只有训练集要打乱，验证和测试按原来的顺序。')
    if name == 'train' and order == sorted(order):
        fail(number, '训练集没有打乱：每一轮都按同样的顺序喂给模型。')
    if name == 'train' and labels_of(loader) == batches:
        fail(number, '训练集每一轮的顺序都一样：应由 DataLoader 每轮重新打乱。')


def _judge_splits(train, valid):
    """`train` should be trained on, and `valid` choose the best epoch."""
    if train == ['valid'] and valid == ['train']:
        fail(FIT, '训练和验证的 loader **传反了**：在验证集上训练，用训练集挑选。')
    if 'test' in train:
        fail(FIT, '训练数据里有**测试集**：测试集只能在最后用一次。')
    if 'test' in valid:
        fail(FIT, '**测试集**被当成了验证集：最好的一轮就成了用测试集挑出来的，测试分数会偏乐观。')
    if train == ['train', 'valid']:
        fail(FIT, '训练数据里混进了**验证集**：在见过的句子上挑选，分不出过拟合。')
    if train == valid:
        fail(
            FIT,
            f'{PARTS[train[0]]}用了两次：训练和验证要用不同的划分（train 和 valid）。',
        )
    if train != ['train'] or valid != ['valid']:
        actual = f'训练用 {"、".join(train)}，验证用 {"、".join(valid)}'
        fail(FIT, f'应在 train 上训练、在 valid 上验证；现在{actual}。')


def _judge_criterion(criterion):
    """The loss should be the mean squared error; judged by its value for a few errors."""
    if inspect.isclass(criterion):
        fail(MAIN, f'损失函数应是建好的对象；得到的是类 {criterion.__name__}（少了一对括号）。')
    if not callable(criterion):
        fail(MAIN, f'损失函数应能像函数一样调用；得到的是{shape_of(criterion, False)}。')
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
            fail(MAIN, f'损失函数应是均方误差（MSE）；现在是{name}。')
    fail(
        MAIN,
        f'损失函数应是均方误差（MSE）：误差 0.5、2、3 应得 {LOSSES["MSE"]:.4f}；得到 {value}。',
    )


def _judge_optimizer(training, lr):
    """The optimizer should be Adam over this model's parameters with learning rate `lr`."""
    optimizer, model = training['optimizer'], training['model']
    if type(optimizer) is not torch.optim.Adam:
        fail(FIT, f'优化器应是 Adam；得到的是 {type(optimizer).__name__}。')
    groups = optimizer.param_groups
    held = [id(p) for group in groups for p in group['params']]
    expected = [id(p) for p in model.parameters()] if isinstance(model, nn.Module) else []
    if not set(held) & set(expected):
        fail(FIT, '优化器管的是**另一个**模型的参数：传给 `train_model` 的模型永远不会更新。')
    if set(held) != set(expected):
        fail(FIT, f'优化器应管模型的全部 {len(expected)} 组参数；现在管着 {len(held)} 组。')
    if any(not math.isclose(value, lr) for value in training['lr']):
        fixed = '。学习率是参数 `lr`，不要写死' if lr != 1e-3 else ''
        fail(FIT, f'Adam 的学习率应是 {lr:g}；得到 {training["lr"][0]:g}{fixed}。')
    if any(group['weight_decay'] for group in groups):
        fail(FIT, f'Adam 的其余设置用默认值；得到 weight_decay={groups[0]["weight_decay"]}。')


def _judge_scheduler(training, epochs):
    """The learning rate should fall by half a cosine over all steps of all epochs."""
    scheduler, optimizer = training['scheduler'], training['optimizer']
    if not hasattr(scheduler, 'step'):
        fail(
            FIT,
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
            fail(FIT, f'第 {step} 步之后学习率应是 {expected:.2e}；得到 {actual:.2e}{hint}。')


def _judge_call(training, checkpoint):
    """`train_model` should get epochs and checkpoint, and print as by default."""
    if training['epochs'] != 3:
        fail(
            FIT,
            f'轮数没有传下去：`fit(..., epochs=3)` 应训练 3 轮；得到 {training["epochs"]!r}。',
        )
    if Path(training['checkpoint']).resolve() != Path(checkpoint).resolve():
        fail(
            FIT,
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
                FIT,
                f'`{name}` 没有传下去：fit 的 {name}={value}（在 `**options` 里）应原样传给 '
                f'`train_model`；它收到的是 {training[name]!r}。',
            )
