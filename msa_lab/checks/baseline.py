"""Self-checks of the data set (TODO 1) and of the baseline (TODO 2 to 5)."""

import inspect
import operator
import re
from pathlib import Path

import torch
from torch import nn

from msa_lab.checks.tools import (
    CheckFailed,
    fail,
    isolated,
    near,
    random_affine,
    self_check,
    shape_of,
    standardised,
    without_stubs,
)
from msa_lab.data import MODALITIES, SPLITS, WIDTHS, load_split, write_standin
from msa_lab.data.format import STEPS as FILE_STEPS

BATCH, STEPS = 6, 5  # unequal, and unlike every width
# What `fc` gives in the check of the output, as odds (their logarithm is z), and the right scores.
ODDS, SCORES = (1 / 99, 1 / 5, 1 / 2, 1.0, 3.0, 59.0), (-2.94, -2.0, -1.0, 0.0, 1.5, 2.9)
LSTMS = tuple(f'{name}_lstm' for name in (*MODALITIES, 'mm'))


@self_check(1, '数据集')
def check_dataset(MOSIDataset):
    """TODO 1: the length of every split of a tiny stand-in file."""
    path = Path('tiny.pkl').resolve()
    write_standin(path, videos=(3, 2, 2), utterances=(19, 13, 11), vocabulary=900)
    sizes = {split: len(load_split(path, split)) for split in SPLITS}
    for split, size in sizes.items():
        dataset = MOSIDataset(path, split)
        _judge_length(type(dataset).__len__(dataset), size, split, sizes)


def _judge_length(length, size, split, sizes):
    """Compare what `__len__` gave with the number of utterances."""
    asked = f'`len(MOSIDataset(..., {split!r}))` 应是 {size}，即这个划分的样本数'
    try:
        value = operator.index(length)
    except TypeError:
        fail(1, f'{asked}，一个整数；`__len__` 返回的是{shape_of(length)}。')
    if value == size:
        return
    came = f'{asked}；得到 {value}'
    if value in (size - 1, size + 1):
        fail(1, f'{came}，恰好差 1。样本从 0 数起，个数却不用加减 1。')
    if value == FILE_STEPS:
        fail(1, f'{came}，那是每个样本的**步数**。要数的是第一维，不是第二维。')
    if value in WIDTHS.values():
        name = next(name for name, width in WIDTHS.items() if width == value)
        fail(1, f'{came}，那是 {name} 特征的**维数**。要数的是第一维，不是最后一维。')
    if value in (3, 4):
        fail(1, f'{came}，那是每个样本有几个部分（或几种模态），不是有多少个样本。')
    if value in sizes.values() or value == sum(sizes.values()):
        fail(1, f'{came}，那是别的划分（或三个划分合起来）的样本数。')
    if value and value % size == 0:
        fail(1, f'{came}，是样本数的 {value // size} 倍：数的是元素的个数，不是样本的个数。')
    fail(1, f'{came}。')


@self_check(2, '四个 LSTM')
def check_lstms(Model):
    """TODO 2: the four LSTMs of the baseline, by their names and settings."""
    model = Model()
    found = {}
    for name in LSTMS:
        lstm = getattr(model, name, None)
        if lstm is None:
            others = [n for n, m in model.named_modules() if isinstance(m, nn.RNNBase)]
            fail(2, f'模型里没有 `{name}`。四个 LSTM 的名字是固定的；现有的：{", ".join(others)}。')
        _judge_lstm(name, lstm)
        if id(lstm) not in {id(module) for module in model.modules()}:
            fail(
                2,
                f'`{name}` 没有登记成子模块（放在普通的列表或字典里了？），优化器看不到它的参数。',
            )
        twin = found.setdefault(id(lstm), name)
        if twin != name:
            fail(2, f'`{twin}` 和 `{name}` 是**同一个**模块，参数共用了；应该各建一个。')


def _judge_lstm(name, lstm):
    """Compare one LSTM with what the task asks for."""
    if not isinstance(lstm, nn.LSTM):
        fail(2, f'`{name}` 应是 `nn.LSTM`；得到的是 {type(lstm).__name__}。')
    if not lstm.batch_first:
        fail(
            2, f'`{name}` 没有设 `batch_first`。数据是 (B, T, 128)，批次在最前面；'
            '不设的话，LSTM 会沿着**批次**一句一句地“读”，把不同的句子混在一起，而且不报错。'
        )  # fmt: skip
    for setting, expected, meaning in (
        ('input_size', 128, '输入的维数'),
        ('hidden_size', 128, '隐藏状态的维数'),
        ('num_layers', 1, '层数'),
        ('bidirectional', False, '是否双向'),
        ('proj_size', 0, '投影的维数'),
        ('bias', True, '是否带偏置'),
    ):
        value = getattr(lstm, setting)
        if value != expected:
            hint = '；全连接层已经把特征变成 128 维了' if setting == 'input_size' else ''
            hint = '；双向会让输出变成 256 维' if setting == 'bidirectional' else hint
            fail(2, f'`{name}` 的 {setting}（{meaning}）应是 {expected}；得到 {value}{hint}。')


class _FakeLSTM(nn.LSTM):
    """Stands in for an LSTM: notes what it reads, answers with fixed numbers.

    Takes any input, so that mistakes before it do not matter here.
    """

    def __init__(self, output):
        super().__init__(1, 1, batch_first=True)
        self.output, self.seen = output, []

    def forward(self, sequence, hx=None):
        self.seen.append(sequence)
        state = self.output[:, -1].unsqueeze(0)
        return self.output.clone(), (state.clone(), torch.zeros_like(state))


class _FakeNorm(nn.LayerNorm):
    """Stands in for a LayerNorm: lets everything through."""

    def forward(self, x):
        return x


class _FakeLinear(nn.Linear):
    """Stands in for a Linear: the right shape, whatever comes in."""

    def forward(self, x):
        return torch.zeros(BATCH, STEPS, self.out_features)


def _stage(Model, number):
    """The student's model with doubles for the LSTMs and, for TODO 4 and 5, all before them.

    When its `__init__` fails (that is TODO 2), a bare one with the parts that were given.
    """
    try:
        model = Model()
    except Exception:
        model = Model.__new__(Model)
        nn.Module.__init__(model)
        for name, width in WIDTHS.items():
            model.add_module(f'{name}_norm', nn.LayerNorm(width))
            model.add_module(f'{name}_fc', nn.Linear(width, 128))
    if number > 3:
        for name, width in WIDTHS.items():
            _replace(model, f'{name}_norm', _FakeNorm(width))
            _replace(model, f'{name}_fc', _FakeLinear(width, 128))
    for name in LSTMS:
        _replace(model, name, _FakeLSTM(torch.randn(BATCH, STEPS, 128)))
    head = nn.Linear(128, 1)
    with torch.no_grad():  # the first number of the last state is the logit
        head.weight.copy_(torch.eye(1, 128))
        head.bias.zero_()
        model.mm_lstm.output[:, -1, 0] = torch.tensor(ODDS).log()
    _replace(model, 'fc', head)
    return model.eval()


def _replace(model, name, double):
    """Put a double in a sub-module's place, also where it is reached by a second name."""
    before = getattr(model, name, None)
    if isinstance(before, nn.Module):
        before.forward = double.forward
    setattr(model, name, double)


def _run(model, number):
    """The model's answer to random features, and the features; an exception in its place."""
    features = [3 + 5 * torch.rand(BATCH, STEPS, 1) * torch.randn(BATCH, STEPS, width)
                for width in WIDTHS.values()]  # fmt: skip
    forward = without_stubs(type(model).forward, number, todo_4='feature = vision')
    try:
        return forward(model, *(x.clone() for x in features)), features
    except CheckFailed:
        raise
    except Exception as error:  # it may have come up behind what this check looks at
        return error, features


@self_check(3, '三个 LayerNorm')
def check_layer_norms(Model):
    """TODO 3: what reaches the three LSTMs has been normalised, then gone through `fc` and ReLU."""
    model = _stage(Model, 3)
    norms = {name: random_affine(getattr(model, f'{name}_norm')) for name in MODALITIES}
    answer, features = _run(model, 3)
    for name, x in zip(MODALITIES, features, strict=True):
        fc, seen = getattr(model, f'{name}_fc'), getattr(model, f'{name}_lstm').seen
        if seen:
            _judge_norm(name, seen[-1], x, norms[name], fc)
        elif isinstance(answer, NotImplementedError):
            raise answer
        elif isinstance(answer, Exception):
            _explain_norm_error(answer)
        else:
            fail(3, f'`{name}_lstm` 没有被调用：`forward` 里给出的那几行要保留。')


def _judge_norm(name, seen, x, norm, fc):
    """Compare what one LSTM reads with LayerNorm, Linear and ReLU of the features, by value."""

    def through(x):
        return torch.relu(fc(x.float()))

    right = standardised(x, norm.weight, norm.bias)
    with torch.no_grad():
        if near(seen, through(right), 2e-3):
            return
        for wrong, message in (
            (through(x), '建了，`forward` 里却没有用上（或者结果没有存回原来的变量）'),
            (through(standardised(x)), '的可学习参数没有用上：要调用模块本身'),
            (through(standardised(right, norm.weight, norm.bias)), '用了两次'),
        ):
            if near(seen, wrong, 2e-3):
                fail(3, f'`{name}_norm` {message}。')
        late = (standardised(torch.relu(fc(x))), torch.relu(standardised(fc(x)).float()))
        if any(near(seen, wrong, 2e-3) for wrong in late):
            fail(
                3,
                f'{name} 的顺序反了：应先归一化原始特征，再进 `{name}_fc`；'
                '现在归一化的是全连接层的结果。',
            )
    fail(
        3, f'`{name}_lstm` 读到的不是“归一化之后再经过全连接层和 ReLU”的 {name}'
        f'（{shape_of(seen)}）。三种模态各用自己的归一化层，每个恰好用一次。'
    )  # fmt: skip


def _explain_norm_error(error):
    """Name the mistake behind the error that a LayerNorm of the wrong width raises."""
    sizes = re.search(r'normalized_shape=\[(\d+)\].*size ?\[[\d, ]*?(\d+)\]', str(error))
    if not sizes:
        raise error
    made_for, met = int(sizes[1]), int(sizes[2])
    names = {width: name for name, width in WIDTHS.items()}
    if met == 128 and made_for in names:
        name = names[made_for]
        message = (
            f'{name} 的顺序反了：`{name}_norm` 是给 {made_for} 维的原始特征用的，'
            '应放在全连接层**之前**；现在喂给它的是 128 维的结果'
        )
    elif made_for in names and met in names:
        message = (
            f'归一化层和模态配错了：把 {names[met]}（{met} 维）'
            f'交给了 `{names[made_for]}_norm`（{made_for} 维）'
        )
    else:
        raise error
    raise CheckFailed(f'TODO 3：{message}。') from error


@self_check(4, '融合')
def check_fusion(Model):
    """TODO 4: what reaches `mm_lstm` is the sum of the three output sequences."""
    model = _stage(Model, 4)
    answer, _ = _run(model, 4)
    if not model.mm_lstm.seen:
        if isinstance(answer, Exception):
            raise answer
        fail(4, '`mm_lstm` 没有被调用：`forward` 里给出的那几行要保留。')
    feature = model.mm_lstm.seen[-1]
    parts = [getattr(model, f'{name}_lstm').output for name in MODALITIES]
    right = torch.stack(parts).sum(0)
    if not near(feature, right):
        fail(
            4,
            '`feature` 应是三个 LSTM **输出序列**的和，(B, T, 128)；'
            f'{_name_fusion(feature, parts)}。',
        )


def _name_fusion(feature, parts):
    """What was fed to `mm_lstm` in place of the sum of the sequences."""
    if not isinstance(feature, torch.Tensor):
        return f'得到的是{shape_of(feature)}'
    total, shape = torch.stack(parts).sum(0), tuple(feature.shape)
    if feature.numel() == BATCH * 128 and near(feature.reshape(BATCH, 128), total[:, -1]):
        return '得到的只是三个**最后隐藏状态**的和，每一步的信息丢了，`mm_lstm` 没有序列可读'
    if shape in ((BATCH, STEPS, 384), (BATCH, 3 * STEPS, 128)):
        return f'得到的是三者的**拼接**，形状 {shape}：应逐元素相加'
    if shape != (BATCH, STEPS, 128):
        return f'得到的形状是 {shape}（这里 B={BATCH}，T={STEPS}）'
    columns = torch.stack([p.reshape(-1) for p in parts], dim=1).double()
    solution = torch.linalg.lstsq(columns, feature.detach().double().reshape(-1, 1)).solution
    if near(columns @ solution, feature.reshape(-1, 1)):
        return _name_weights([float(c) for c in solution.reshape(-1)])
    if near(feature, parts[0] * parts[1] * parts[2]):
        return '得到的是三者的**乘积**：应逐元素相加'
    if near(feature, torch.stack(parts).amax(0)):
        return '得到的是三者之中的最大值：应逐元素相加'
    return '得到的形状对，数不对'


def _name_weights(weights):
    """In words: the sum of the sequences with these weights."""
    rounded = [round(w, 3) for w in weights]
    missing = [n for n, w in zip(MODALITIES, rounded, strict=True) if w == 0]
    twice = [n for n, w in zip(MODALITIES, rounded, strict=True) if w == 2]
    if len(set(rounded)) == 1:
        kind = '得到的是三者的**平均**' if abs(weights[0] - 1 / 3) < 1e-3 else '得到的是和的倍数'
        return f'{kind}（每一项乘了 {rounded[0]}）：只要相加，不要除'
    said = f'现在三者前面的系数是 {dict(zip(MODALITIES, rounded, strict=True))}'
    if missing:
        said += f'，漏了 {"、".join(missing)}'
    if twice:
        said += f'，{"、".join(twice)} 加了两次'
    return said


@self_check(5, '输出的范围')
def check_output(Model):
    """TODO 5: the logit goes through a sigmoid and is scaled to (-3, 3); the shape is (B, 1)."""
    model = _stage(Model, 5)
    score, _ = _run(model, 5)
    if isinstance(score, Exception):
        raise score
    z, right = (x.unsqueeze(1) for x in (torch.tensor(ODDS).log(), torch.tensor(SCORES)))
    if not isinstance(score, torch.Tensor):
        fail(5, f'`forward` 应返回形状 (B, 1) 的张量；返回的是{shape_of(score)}。')
    if score.numel() == len(z) and not near(score.reshape(-1, 1), right):
        fail(
            5,
            '分数应由 `output` 经 sigmoid 压到 (-3, 3)；'
            f'{_name_scaling(score.reshape(-1, 1), z)}。',
        )
    if score.shape != z.shape:
        fail(
            5, f'返回的形状应是 (B, 1)，这里是 ({BATCH}, 1)；得到 {tuple(score.shape)}。'
            '变成 (B,) 的 squeeze 留给训练和评估函数去做。'
        )  # fmt: skip


def _name_scaling(score, z):
    """What was done to the logit in place of the right thing."""
    for curve, name in ((torch.sigmoid(z), 'sigmoid'), (torch.tanh(z), 'tanh')):
        columns = torch.cat([curve, torch.ones_like(z)], dim=1)
        gain, low = torch.linalg.lstsq(columns, score.detach()).solution.reshape(-1).tolist()
        gain, low = round(gain, 3) + 0.0, round(low, 3) + 0.0  # no -0
        if near(columns @ torch.tensor([[gain], [low]]), score.detach(), 1e-3):
            if name == 'tanh':
                return (
                    f'现在用的是 tanh（乘 {gain:.3g}，加 {low:.3g}）：3·tanh(z) 在 0 处的斜率是 '
                    '6·sigmoid(z)−3 的两倍，同样的 z 得到的分数不同'
                )
            return (
                f'现在的范围是 ({low:.3g}, {low + gain:.3g})：sigmoid 之后还要拉伸、平移到 (-3, 3)'
            )
    if near(score, z):
        return '现在 `output` 原样返回了，没有经过 sigmoid，分数可以是任何实数'
    if near(score, z.clamp(-3, 3)):
        return '现在是硬截断：超出 ±3 的部分梯度为 0，学不回来'
    columns = torch.cat([z, torch.ones_like(z)], dim=1)
    line = columns @ torch.linalg.lstsq(columns, score.detach()).solution
    if near(line, score.detach(), 1e-3):
        return '现在只做了线性变换，没有经过 sigmoid，分数可以是任何实数'
    pairs = zip(z.reshape(-1).tolist(), score.reshape(-1).tolist(), SCORES, strict=True)
    came = '，'.join(f'{a:.2f} → {b:.3f}（应为 {c:g}）' for a, b, c in pairs)
    return f'现在 z 到分数是：{came}'


def check_model(Model):
    """TODO 2 to 5, one after the other, with one line for all."""
    if not inspect.isclass(Model):
        raise CheckFailed('TODO 2：`check_model` 要的是模型的类，不是建好的模型。')
    with isolated():
        for check in (check_lstms, check_layer_norms, check_fusion, check_output):
            check.quietly(Model)
    print('✓ TODO 2–5 基线模型')
