"""Self-checks of the baseline: LSTMs, LayerNorms, fusion and output (TODO 2 to 5)."""

import re

import torch
from torch import nn

from msa_lab.checks.compare import near, random_affine, shape_of, standardised
from msa_lab.checks.failure import CheckFailed, fail, self_check
from msa_lab.checks.isolation import without_stubs
from msa_lab.data import MODALITIES, WIDTHS

BATCH, LENGTH = 6, 5  # unequal, and unlike every width
# In the check of the output the logits z are the logarithms of ODDS; SCORES are the right scores.
ODDS, SCORES = (1 / 99, 1 / 5, 1 / 2, 1.0, 3.0, 59.0), (-2.94, -2.0, -1.0, 0.0, 1.5, 2.9)
LSTMS = tuple(f'{name}_lstm' for name in (*MODALITIES, 'mm'))


@self_check(2, '四个 LSTM')
def check_lstms(Model: type) -> None:
    """TODO 2: the four LSTMs of the baseline, by their names and settings."""
    model = Model()
    first_name = {}
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
        twin = first_name.setdefault(id(lstm), name)
        if twin != name:
            fail(2, f'`{twin}` 和 `{name}` 是**同一个**模块，参数共用了；应该各建一个。')


def _judge_lstm(name, lstm):
    """One LSTM should be an `nn.LSTM` with the settings of the task."""
    if not isinstance(lstm, nn.LSTM):
        fail(2, f'`{name}` 应是 `nn.LSTM`；得到的是 {type(lstm).__name__}。')
    if not lstm.batch_first:
        fail(
            2,
            f'`{name}` 没有设 `batch_first`。数据是 (B, T, 128)，批次在最前面；'
            '不设的话，LSTM 会沿着**批次**一句一句地“读”，把不同的句子混在一起，而且不报错。',
        )
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


class _LSTMDouble(nn.LSTM):
    """A double of an LSTM that records its inputs in `inputs` and returns fixed numbers.

    It takes any input, so that mistakes before it do not matter here.
    """

    def __init__(self, output):
        super().__init__(1, 1, batch_first=True)
        self.output, self.inputs = output, []

    def forward(self, sequence, hx=None):
        self.inputs.append(sequence)
        state = self.output[:, -1].unsqueeze(0)
        return self.output.clone(), (state.clone(), torch.zeros_like(state))


class _NormDouble(nn.LayerNorm):
    """A double of a LayerNorm that changes nothing."""

    def forward(self, x):
        return x


class _LinearDouble(nn.Linear):
    """A double of a Linear that returns zeros of the right shape, whatever its input."""

    def forward(self, x):
        return torch.zeros(BATCH, LENGTH, self.out_features)


def _with_doubles(Model, number):
    """The student's model with doubles for the LSTMs and, for TODO 4 and 5, all before them.

    When its `__init__` fails (that is TODO 2), a bare model with the parts that were given.
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
            _replace(model, f'{name}_norm', _NormDouble(width))
            _replace(model, f'{name}_fc', _LinearDouble(width, 128))
    for name in LSTMS:
        _replace(model, name, _LSTMDouble(torch.randn(BATCH, LENGTH, 128)))
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
    """The model's output for random features, and the features.

    An exception takes the place of the output.
    """
    features = [
        3 + 5 * torch.rand(BATCH, LENGTH, 1) * torch.randn(BATCH, LENGTH, width)
        for width in WIDTHS.values()
    ]
    forward = without_stubs(type(model).forward, number, todo_4='feature = vision')
    try:
        return forward(model, *(x.clone() for x in features)), features
    except CheckFailed:
        raise
    except Exception as error:  # it may come from code behind what this check looks at
        return error, features


@self_check(3, '三个 LayerNorm')
def check_layer_norms(Model: type) -> None:
    """TODO 3: the three LSTMs read LayerNorm, Linear and ReLU of the features."""
    model = _with_doubles(Model, 3)
    norms = {name: random_affine(getattr(model, f'{name}_norm')) for name in MODALITIES}
    output, features = _run(model, 3)
    for name, x in zip(MODALITIES, features, strict=True):
        fc, inputs = getattr(model, f'{name}_fc'), getattr(model, f'{name}_lstm').inputs
        if inputs:
            _judge_norm(name, inputs[-1], x, norms[name], fc)
        elif isinstance(output, NotImplementedError):
            raise output
        elif isinstance(output, Exception):
            _diagnose_norm_error(output)
        else:
            fail(3, f'`{name}_lstm` 没有被调用：`forward` 里给出的那几行要保留。')


def _judge_norm(name, actual, x, norm, fc):
    """The input of one LSTM should be LayerNorm, Linear and ReLU of the features `x`."""

    def through(x):
        return torch.relu(fc(x.float()))

    right = standardised(x, norm.weight, norm.bias)
    with torch.no_grad():
        if near(actual, through(right), 2e-3):
            return
        for wrong, message in (
            (through(x), '建了，`forward` 里却没有用上（或者结果没有存回原来的变量）'),
            (through(standardised(x)), '的可学习参数没有用上：要调用模块本身'),
            (through(standardised(right, norm.weight, norm.bias)), '用了两次'),
        ):
            if near(actual, wrong, 2e-3):
                fail(3, f'`{name}_norm` {message}。')
        late = (standardised(torch.relu(fc(x))), torch.relu(standardised(fc(x)).float()))
        if any(near(actual, wrong, 2e-3) for wrong in late):
            fail(
                3,
                f'{name} 的顺序反了：应先归一化原始特征，再进 `{name}_fc`；'
                '现在归一化的是全连接层的结果。',
            )
    fail(
        3,
        f'`{name}_lstm` 读到的不是“归一化之后再经过全连接层和 ReLU”的 {name}'
        f'（{shape_of(actual)}）。三种模态各用自己的归一化层，每个恰好用一次。',
    )


def _diagnose_norm_error(error):
    """Raise CheckFailed with the mistake behind the error of a LayerNorm of the wrong width."""
    sizes = re.search(r'normalized_shape=\[(\d+)\].*size ?\[[\d, ]*?(\d+)\]', str(error))
    if not sizes:
        raise error
    expected, actual = int(sizes[1]), int(sizes[2])
    names = {width: name for name, width in WIDTHS.items()}
    if actual == 128 and expected in names:
        name = names[expected]
        message = (
            f'{name} 的顺序反了：`{name}_norm` 是给 {expected} 维的原始特征用的，'
            '应放在全连接层**之前**；现在喂给它的是 128 维的结果'
        )
    elif expected in names and actual in names:
        message = (
            f'归一化层和模态配错了：把 {names[actual]}（{actual} 维）'
            f'交给了 `{names[expected]}_norm`（{expected} 维）'
        )
    else:
        raise error
    raise CheckFailed(f'TODO 3：{message}。') from error


@self_check(4, '融合')
def check_fusion(Model: type) -> None:
    """TODO 4: `mm_lstm` reads the sum of the three output sequences."""
    model = _with_doubles(Model, 4)
    output, _ = _run(model, 4)
    if not model.mm_lstm.inputs:
        if isinstance(output, Exception):
            raise output
        fail(4, '`mm_lstm` 没有被调用：`forward` 里给出的那几行要保留。')
    feature = model.mm_lstm.inputs[-1]
    parts = [getattr(model, f'{name}_lstm').output for name in MODALITIES]
    right = torch.stack(parts).sum(0)
    if not near(feature, right):
        fail(
            4,
            '`feature` 应是三个 LSTM **输出序列**的和，(B, T, 128)；'
            f'{_diagnose_fusion(feature, parts)}。',
        )


def _diagnose_fusion(feature, parts):
    """In words: what `mm_lstm` read in place of the sum of the sequences `parts`."""
    if not isinstance(feature, torch.Tensor):
        return f'得到的是{shape_of(feature)}'
    total, shape = torch.stack(parts).sum(0), tuple(feature.shape)
    if feature.numel() == BATCH * 128 and near(feature.reshape(BATCH, 128), total[:, -1]):
        return '得到的只是三个**最后隐藏状态**的和，每一步的信息丢了，`mm_lstm` 没有序列可读'
    if shape in ((BATCH, LENGTH, 384), (BATCH, 3 * LENGTH, 128)):
        return f'得到的是三者的**拼接**，形状 {shape}：应逐元素相加'
    if shape != (BATCH, LENGTH, 128):
        return f'得到的形状是 {shape}（这里 B={BATCH}，T={LENGTH}）'
    columns = torch.stack([p.reshape(-1) for p in parts], dim=1).double()
    solution = torch.linalg.lstsq(columns, feature.detach().double().reshape(-1, 1)).solution
    if near(columns @ solution, feature.reshape(-1, 1)):
        return _diagnose_weights([float(c) for c in solution.reshape(-1)])
    if near(feature, parts[0] * parts[1] * parts[2]):
        return '得到的是三者的**乘积**：应逐元素相加'
    if near(feature, torch.stack(parts).amax(0)):
        return '得到的是三者之中的最大值：应逐元素相加'
    return '得到的形状对，数不对'


def _diagnose_weights(weights):
    """In words: a sum of the three sequences in which they have these weights."""
    rounded = [round(w, 3) for w in weights]
    missing = [n for n, w in zip(MODALITIES, rounded, strict=True) if w == 0]
    twice = [n for n, w in zip(MODALITIES, rounded, strict=True) if w == 2]
    if len(set(rounded)) == 1:
        kind = '得到的是三者的**平均**' if abs(weights[0] - 1 / 3) < 1e-3 else '得到的是和的倍数'
        return f'{kind}（每一项乘了 {rounded[0]}）：只要相加，不要除'
    message = f'现在三者前面的系数是 {dict(zip(MODALITIES, rounded, strict=True))}'
    if missing:
        message += f'，漏了 {"、".join(missing)}'
    if twice:
        message += f'，{"、".join(twice)} 加了两次'
    return message


@self_check(5, '输出的范围')
def check_output(Model: type) -> None:
    """TODO 5: the scores are 6 * sigmoid(z) - 3 of the logits z, of shape (B, 1)."""
    model = _with_doubles(Model, 5)
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
            f'{_diagnose_scaling(score.reshape(-1, 1), z)}。',
        )
    if score.shape != z.shape:
        fail(
            5,
            f'返回的形状应是 (B, 1)，这里是 ({BATCH}, 1)；得到 {tuple(score.shape)}。'
            '变成 (B,) 的 squeeze 留给训练和评估函数去做。',
        )


def _diagnose_scaling(score, z):
    """In words: how the scores were made of the logits `z` in place of 6 * sigmoid(z) - 3."""
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
            if gain < 0:
                return '方向反了：z 越大分数越小。sigmoid 的指数应是 −z：1 / (1 + exp(−z))'
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
    mapping = '，'.join(f'{a:.2f} → {b:.3f}（应为 {c:g}）' for a, b, c in pairs)
    return f'现在 z 到分数是：{mapping}'
