"""Self-check of `make_loader`, `fit` and `main` (TODO 10): what is trained, on what, how.

`main` runs with recording doubles in the places of data set, model, training and evaluation, so
nothing is trained and mistakes in those tasks cost nothing here.
"""

import inspect
import math
import traceback
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import Dataset

from msa_lab.checks.tools import (
    CheckFailed,
    fail,
    near,
    replaced_globals,
    self_check,
    shape_of,
)
from msa_lab.data.format import METRICS, WIDTHS

# Labels are 100 x number of the split + index, so a batch shows where it comes from.
SIZES = {'train': 37, 'valid': 21, 'test': 18}
NUMBERS = {'train': 1, 'valid': 2, 'test': 3}
PARTS = {'train': '训练集', 'valid': '验证集', 'test': '测试集'}
TODO = 10


class _Split(Dataset):
    """Stands in for MOSIDataset: tiny, and every label tells split and index."""

    paths = ()

    def __init__(self, data_path, split='train'):
        if split not in SIZES:
            fail(TODO, f'划分的名字应是 {", ".join(map(repr, SIZES))} 之一；得到 {split!r}。')
        type(self).paths = (*self.paths, str(data_path))
        self.split = split

    def __len__(self):
        return SIZES[self.split]

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(index)
        features = [torch.ones(2, width) for width in WIDTHS.values()]
        return *features, torch.tensor(100.0 * NUMBERS[self.split] + index)


class _Model(nn.Module):
    """Stands in for the baseline."""

    def __init__(self, *args, **kwargs):
        super().__init__()
        self.fc, self.scale = nn.Linear(300, 1), nn.Parameter(torch.ones(1))

    def forward(self, vision, text, audio):
        return self.scale * self.fc(text[:, -1])


class _OtherModel(_Model):
    """What `build` gives in the second run."""


def _checked(function, name):
    """`make_loader` or `fit` with a look at what it gives or takes: what follows would crash."""

    def double(*args, **kwargs):
        for value in (*args, *kwargs.values()):
            if name == 'fit' and inspect.isclass(value) and issubclass(value, _Model):
                _judge_model(value)
        result = function(*args, **kwargs)
        if name == 'make_loader' and result is None:
            fail(TODO, 'make_loader 返回了 None（忘了 return？）。')
        return result

    return double


class _Writer(nullcontext):
    """Stands in for RunWriter."""

    def __init__(self, log_dir):
        super().__init__(self)
        self.log_dir = log_dir


class _Recorder:
    """The doubles of `train_model` and `evaluate`, and what they were given."""

    def __init__(self):
        self.trainings, self.evaluations = [], []
        self.metrics = {name: 0.1 * i for i, name in enumerate(METRICS, 1)}
        self.history = []

    def train_model(
        self, model, train_loader, valid_loader, criterion, optimizer, scheduler, device, epochs,
        *, checkpoint='best_model.pth', writer=None, progress=False, quiet=False, **others,
    ):  # fmt: skip
        """Note everything; leave 'best' weights in the checkpoint and other ones in the model."""
        self.trainings.append({k: v for k, v in locals().items() if k != 'self'})
        self.trainings[-1]['lr'] = [g['lr'] for g in getattr(optimizer, 'param_groups', [])]
        with torch.no_grad():
            for value in (2.0, 3.0):
                if isinstance(model, _Model):
                    model.scale.fill_(value)
                if value == 2.0 and isinstance(model, nn.Module):
                    torch.save(model.state_dict(), checkpoint)
        self.history = [
            {'epoch': e + 1, 'lr': 1e-3, 'train_loss': 1.0, 'valid_loss': 1.0, **self.metrics}
            for e in range(epochs if isinstance(epochs, int) else 1)
        ]
        return self.history

    def evaluate(self, model, loader, criterion, device):
        """Note loader and weights; answer with fixed numbers."""
        scale = float(model.scale) if isinstance(model, _Model) else math.nan
        self.evaluations.append((len(self.trainings), _labels(loader), scale, criterion))
        return 1.0, dict(self.metrics), torch.zeros(3), torch.zeros(3)


def _labels(loader):
    """The labels of every batch of a loader, as lists of integers."""
    return [[round(float(x)) for x in torch.as_tensor(batch[-1]).reshape(-1)] for batch in loader]


def _splits(batches):
    """Which splits the utterances of some batches come from, in the order of SIZES."""
    found = {label // 100 for batch in batches for label in batch}
    return [split for split, number in NUMBERS.items() if number in found]


@self_check(10, '数据、优化器与训练')
def check_main(main):
    """TODO 10: the loaders, the optimizer, the loss and the call of `train_model`."""
    known = inspect.signature(main).parameters
    recorder, result = _run_main(main, known, epochs=3, checkpoint='chosen.pth')
    training = recorder.trainings[0]
    _judge_model(training['model'])
    _judge_loaders(training)
    _judge_criterion(training['criterion'])
    _judge_optimizer(training, 1e-3)
    _judge_call(training, 'chosen.pth' if 'checkpoint' in known else 'best_model.pth')
    if isinstance(result, Exception):  # what led to it has been looked at first
        raise result
    _judge_result(recorder, result)
    _judge_arguments(main, known)


def _run_main(main, known, quiet=False, **settings):
    """Call `main` among the doubles; returns what was recorded and what it returned.

    `quiet` is for `fit`, as the studies set it. An exception behind the training takes the place
    of the result.
    """
    recorder = _Recorder()
    path = Path('data.pkl').resolve()
    path.touch()
    _Split.paths = ()
    own = getattr(main, '__globals__', {})
    names = ('fit', 'make_loader', 'evaluate_test_split', 'validate_model')
    involved = [main, *(own[name] for name in names if name in own)]
    doubles = dict(
        MOSIDataset=_Split, MultimodalSentimentAnalysisModel=_Model, RunWriter=_Writer,
        feature_dims=lambda path: {}, DeviceLoader=lambda loader, device: loader,
        train_model=recorder.train_model, evaluate=recorder.evaluate,
        **{name: _checked(own[name], name) for name in ('make_loader', 'fit') if name in own},
    )  # fmt: skip
    if quiet and 'fit' in own:
        doubles['fit'] = partial(doubles['fit'], quiet=True)
    with replaced_globals(involved, **doubles):
        try:
            result = main(str(path), **{k: v for k, v in settings.items() if k in known})
        except Exception as error:
            if not recorder.trainings:
                _judge_build(error)
                raise
            result = error
    if len(recorder.trainings) != 1:
        fail(TODO, f'`main` 应调用 `train_model` 一次；调用了 {len(recorder.trainings)} 次。')
    if any(Path(p).resolve() != path for p in _Split.paths):
        fail(
            TODO, f'数据集应读传给 `main` 的文件；实际读了 {", ".join(sorted(set(_Split.paths)))}。'
        )
    return recorder, result


def _judge_build(error):
    """An error before the training: `build` was called though it is None."""
    line = traceback.extract_tb(error.__traceback__)[-1].line or ''
    if isinstance(error, TypeError) and 'NoneType' in str(error) and 'build' in line:
        raise CheckFailed(f'TODO {TODO}：build 可以不给：build 是 None 时用基线。') from error


def _judge_model(model):
    """The baseline is trained, not its class and no other model."""
    if not isinstance(model, _Model):
        kind = '类（少了一对括号）' if inspect.isclass(model) else f' {type(model).__name__}'
        fail(TODO, f'训练的应是一个 `MultimodalSentimentAnalysisModel()`；得到的是{kind}。')


def _judge_loaders(training):
    """The two loaders: which splits, complete, in batches of 16, shuffled or not."""
    loaders = {name: training[f'{name}_loader'] for name in ('train', 'valid')}
    batches = {}
    for name, loader in loaders.items():
        try:
            batches[name] = _labels(loader)
        except TypeError:
            fail(TODO, f'`{name}_loader` 应是 DataLoader；收到的是{shape_of(loader, False)}。')
    _judge_splits(_splits(batches['train']), _splits(batches['valid']))
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
        if name == 'train' and _labels(loader) == batches[name]:
            fail(TODO, '训练集每一轮的顺序都一样：应由 DataLoader 每轮重新打乱。')


def _judge_splits(train, valid):
    """Which splits are trained on and which one chooses the epoch."""
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
            TODO, f'{PARTS[train[0]]}用了两次：训练和验证要用不同的划分（train 和 valid）。'
            '（make_loader 有没有把 split 传给 MOSIDataset？）'
        )  # fmt: skip
    if train != ['train'] or valid != ['valid']:
        came = f'训练用 {"、".join(train)}，验证用 {"、".join(valid)}'
        fail(TODO, f'应在 train 上训练、在 valid 上验证；现在{came}。')


def _judge_criterion(criterion):
    """The loss, by what it makes of a few numbers."""
    if inspect.isclass(criterion):
        fail(TODO, f'损失函数应是建好的对象；得到的是类 {criterion.__name__}（少了一对括号）。')
    if not callable(criterion):
        fail(TODO, f'损失函数应能像函数一样调用；得到的是{shape_of(criterion, False)}。')
    with torch.no_grad():
        value = criterion(torch.tensor([0.5, -1.0, 2.0]), torch.tensor([1.0, 1.0, -1.0]))
    if near(value, 13.25 / 3):
        return
    for wrong, name in (
        (5.5 / 3, '平均绝对误差（MAE）'),
        (4.125 / 3, 'Huber 损失'),
        (13.25, '平方误差的**和**，没有求平均'),
        (math.sqrt(13.25 / 3), '均方误差的平方根'),
    ):
        if near(value, wrong):
            fail(TODO, f'损失函数应是均方误差（MSE）；现在是{name}。')
    fail(TODO, f'损失函数应是均方误差（MSE）：误差 0.5、2、3 应得 {13.25 / 3:.4f}；得到 {value}。')


def _judge_optimizer(training, lr):
    """Adam over this model's parameters, the learning rate, cosine annealing over all steps."""
    optimizer, model = training['optimizer'], training['model']
    if type(optimizer) is not torch.optim.Adam:
        fail(TODO, f'优化器应是 Adam；得到的是 {type(optimizer).__name__}。')
    groups = optimizer.param_groups
    held = [id(p) for group in groups for p in group['params']]
    own = [id(p) for p in model.parameters()] if isinstance(model, nn.Module) else []
    if not set(held) & set(own):
        fail(TODO, '优化器管的是**另一个**模型的参数：传给 `train_model` 的模型永远不会更新。')
    if set(held) != set(own):
        fail(TODO, f'优化器应管模型的全部 {len(own)} 组参数；现在管着 {len(held)} 组。')
    if any(not math.isclose(value, lr) for value in training['lr']):
        fixed = '。学习率是参数 `lr`，不要写死' if lr != 1e-3 else ''
        fail(TODO, f'Adam 的学习率应是 {lr:g}；得到 {training["lr"][0]:g}{fixed}。')
    if any(group['weight_decay'] for group in groups):
        fail(TODO, f'Adam 的其余设置用默认值；得到 weight_decay={groups[0]["weight_decay"]}。')


def _judge_scheduler(training, epochs):
    """The learning rate, step by step: half a cosine over all steps of all epochs."""
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
        came = optimizer.param_groups[0]['lr']
        if not math.isclose(came, expected, rel_tol=1e-3, abs_tol=1e-9):
            given = getattr(scheduler, 'T_max', None)
            hint = f'；T_max 应是总步数 {total}（轮数 × 批数），得到 {given}' if given else ''
            fail(TODO, f'第 {step} 步之后学习率应是 {expected:.2e}；得到 {came:.2e}{hint}。')


def _judge_call(training, checkpoint):
    """The other arguments that `train_model` was given."""
    if training['epochs'] != 3:
        fail(
            TODO,
            f'轮数没有传下去：`main(..., epochs=3)` 应训练 3 轮；得到 {training["epochs"]!r}。',
        )
    if Path(training['checkpoint']).resolve() != Path(checkpoint).resolve():
        fail(
            TODO, f'`checkpoint` 没有传下去：最好的权重应存到 {checkpoint!r}；'
            f'得到 {str(training["checkpoint"])!r}。'
        )  # fmt: skip
    _judge_flags(training, progress=False, quiet=False)
    _judge_scheduler(training, 3)


def _judge_flags(training, **flags):
    """What the training is told to print."""
    for name, value in flags.items():
        if bool(training[name]) != value:
            fail(
                TODO, f'`{name}` 没有传下去：fit 的 {name}={value} 应原样传给 `train_model`；'
                f'它收到的是 {training[name]!r}。'
            )  # fmt: skip


def _judge_result(recorder, result):
    """After the training: the best weights, read back, on the test split; the three results."""
    tests = [e for e in recorder.evaluations if e[0] and 'test' in _splits(e[1])]
    if not tests:
        used = [PARTS[s] for e in recorder.evaluations for s in _splits(e[1])]
        came = f'；现在用的是{"、".join(used)}' if used else ''
        fail(TODO, f'训练之后应在**测试集**上评估一次{came}。')
    _, batches, scale, _ = tests[-1]
    order = [label for batch in batches for label in batch]
    if _splits(batches) != ['test'] or len(order) != SIZES['test']:
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


def _judge_arguments(main, known):
    """A second run, with other settings: they must arrive."""
    own = getattr(main, '__globals__', {})
    quiet = 'fit' in own and 'quiet' in inspect.signature(own['fit']).parameters
    settings = dict(epochs=2, batch_size=5, lr=0.02, limit=7, log_dir='logs', build=_OtherModel)
    settings.update(progress=True)
    recorder, result = _run_main(main, known, quiet=quiet, **settings)
    training = recorder.trainings[0]
    for name, part in (('train_loader', '训练'), ('valid_loader', '验证')):
        batches = _labels(training[name])
        count, size = sum(map(len, batches)), max(map(len, batches))
        if 'limit' in known and count != 7:
            fail(TODO, f'`limit` 没有传下去：limit=7 时{part}应只用 7 句；用了 {count} 句。')
        if 'batch_size' in known and size != 5:
            fail(TODO, f'批大小写死了：batch_size=5 时{part}的一批应有 5 句；得到 {size} 句。')
    if 'lr' in known:
        _judge_optimizer(training, 0.02)
    if 'log_dir' in known and not isinstance(training['writer'], _Writer):
        fail(TODO, '`writer` 没有传给 `train_model`：第 6 节就没有日志可看了。')
    given = {'progress': 'progress' in known, 'quiet': quiet}
    _judge_flags(training, **{name: True for name, was in given.items() if was})
    if 'build' in known and not isinstance(training['model'], _OtherModel):
        fail(TODO, '`main` 的参数 `build` 没有用上：给了它，就用它来建模型。')
    if isinstance(result, Exception):
        raise result
