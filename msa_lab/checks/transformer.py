"""Self-checks of position encoding (TODO 11.1) and Transformer encoder (TODO 11.2)."""

import math

import torch
from torch import nn

from msa_lab.checks.compare import near, padding_at_front, shape_of
from msa_lab.checks.failure import CheckFailed, fail, self_check
from msa_lab.checks.isolation import replaced_globals

FIRST, SECOND = '11.1', '11.2'


@self_check(FIRST, '位置编码')
def check_positions(PositionEncoding: type) -> None:
    """TODO 11.1: the table of sines and cosines."""
    _judge_table(PositionEncoding)


class _PositionDouble(nn.Module):
    """A double of PositionEncoding that adds fixed random numbers to every step."""

    def __init__(self, dim=128, max_steps=500):
        super().__init__()
        self.register_buffer('table', torch.randn(max_steps, dim), persistent=False)

    def forward(self, sequence):
        return sequence + self.table[: sequence.shape[1]]


@self_check(SECOND, 'Transformer 编码器')
def check_transformer(TransformerEncoder: type) -> None:
    """TODO 11.2: an encoder that adds positions and masks padding."""
    with replaced_globals([TransformerEncoder.__init__], PositionEncoding=_PositionDouble):
        encoder = TransformerEncoder(position=True).eval()
        for parameter in encoder.parameters():  # the initial ones hide mistakes: zero biases, say
            nn.init.normal_(parameter, std=0.1)
    padding = padding_at_front(6, (2, 1, 3))
    x = torch.randn(3, 6, 128)
    output = _true_steps(encoder, x, padding)
    _judge_masking(encoder, x, padding, output)
    _judge_position(encoder, x, padding)
    _judge_without_padding(encoder, x, padding)
    alone = _true_steps(encoder, x[:1], padding[:1])
    if not near(alone, output[: len(alone)], 1e-3):
        fail(
            SECOND,
            '同一句话单独算和放在一批里算，结果不同：位置要按完整的序列来数，'
            '不能先切掉一批里共同的填充再加。',
        )


def _judge_table(PositionEncoding, dim=16, steps=40):
    """Dimensions 2j and 2j + 1 of the table should be sine and cosine of one angle.

    The angle is proportional to the step; per step it is 1 for j = 0 and falls with base 10000.
    """
    table = PositionEncoding(dim)(torch.zeros(2, steps, dim))
    if not isinstance(table, torch.Tensor) or table.shape != (2, steps, dim):
        fail(
            FIRST,
            f'`PositionEncoding` 的结果应与输入同形状 (2, {steps}, {dim})；得到{shape_of(table)}。',
        )
    table = table[1].detach().double()
    x = torch.randn(2, steps, dim)
    if not near(PositionEncoding(dim)(x) - x, table.expand(2, -1, -1), 1e-3):
        fail(FIRST, '位置编码应**加**到输入上，与输入是什么无关。')
    even, odd = table[:, 0::2], table[:, 1::2]
    if near(even[0], torch.ones(dim // 2)) and near(odd[0], torch.zeros(dim // 2)):
        fail(FIRST, 'sin 和 cos **反了**：偶数维 2j 应是 sin，奇数维 2j+1 应是 cos。')
    halves = torch.cat([torch.zeros(dim // 2), torch.ones(dim // 2)])
    if near(table[0], halves):
        fail(FIRST, '前一半是 sin、后一半是 cos；应交错排列：偶数维 sin，奇数维 cos。')
    for value, name, other in ((0, 'sin', 'cos'), (1, 'cos', 'sin')):
        if near(table[0], torch.full((dim,), float(value))):
            fail(FIRST, f'所有的维都用了 {name}；应是偶数维 sin、奇数维 cos，缺了 {other}。')
    if not near(even**2 + odd**2, torch.ones(steps, dim // 2), 1e-3):
        fail(FIRST, '第 2j 维和第 2j+1 维应是**同一个角**的 sin 和 cos，平方和为 1；现在不是。')
    if not near(torch.atan2(even[0], odd[0]), torch.zeros(dim // 2)):
        fail(FIRST, '位置应从 0 数起：第 0 步的角是 0，sin 为 0，cos 为 1。')
    speed = torch.atan2(even[1], odd[1])  # the angle of one step
    ratio = float((speed[1:] / speed[:-1]).mean())
    if abs(float(speed[0]) - 1) > 1e-3 or not math.isclose(ratio, 1e4 ** (-2 / dim), rel_tol=1e-3):
        base = ratio ** (-dim / 2) if 0 < ratio != 1 else math.nan
        for wrong, exponent in ((1e2, 'j/d'), (1e8, '4j/d')):
            if math.isclose(base, wrong, rel_tol=1e-3):
                fail(FIRST, f'指数不对：应是 2j/d，现在像是 {exponent}（j 是第几对，不是第几维）。')
        fail(
            FIRST,
            '频率不对：第 0 维每步应转 1 弧度，底数应是 10000；'
            f'现在是 {speed[0]:.4f}，底数 {base:.5g}。',
        )
    turns = torch.polar(torch.ones(dim // 2).double(), speed)
    expected = torch.stack([turns**t for t in range(steps)])
    if not near(even, expected.imag, 1e-3) or not near(odd, expected.real, 1e-3):
        fail(FIRST, '第 0、1 步对，后面的步不对：角应与步数 t 成正比。')


def _true_steps(encoder, x, padding):
    """The output of an encoder at the steps that are not padding, (number of steps, 128)."""
    try:
        output = encoder(x, padding)
    except Exception as error:
        if 'attn_mask' not in str(error):
            raise
        message = f'TODO {SECOND}：`padding` 传成了 mask：它应是 src_key_padding_mask。'
        raise CheckFailed(message) from error
    if not isinstance(output, torch.Tensor) or output.shape != x.shape:
        fail(SECOND, f'编码器的结果应与输入同形状 {tuple(x.shape)}；得到{shape_of(output)}。')
    return output[~padding].detach()


def _judge_masking(encoder, x, padding, output):
    """True steps should depend on each other and not on what stands at padding."""
    changed = x.clone()
    changed[padding] += 1
    masked = near(output, _true_steps(encoder, changed, padding))
    changed = x.clone()
    changed[:, -1] += 1
    others = slice(6 - 2 - 1)  # the steps of the first utterance but the last one
    attends = not near(output[others], _true_steps(encoder, changed, padding)[others])
    if not torch.isfinite(output).all() or (not masked and not attends):
        fail(SECOND, '填充的屏蔽**反了**：`padding` 里 True 的是填充，也就是要遮住的步。')
    if not masked:
        fail(SECOND, '真实步的结果随填充处的内容而变：填充没有**屏蔽**，注意力看得到它。')
    if not attends:
        fail(SECOND, '改变最后一步，其他步的结果却不变：步与步之间没有注意力。')


def _judge_without_padding(encoder, x, padding):
    """Without positions, an utterance with padding and without should give the same.

    They do not when padding is only set to zero, because attention still reads the zeros.
    """
    position, encoder.position = encoder.position, nn.Identity()
    together = _true_steps(encoder, x, padding)
    fronts = padding.sum(1).tolist()
    alone = [
        _true_steps(encoder, row[None, front:], torch.zeros(1, len(row) - front, dtype=torch.bool))
        for row, front in zip(x, fronts, strict=True)
    ]
    encoder.position = position
    if not near(together, torch.cat(alone), 1e-3):
        fail(SECOND, '填充处只是清成了零，注意力仍然看得到这些步：要用 src_key_padding_mask 屏蔽。')


def _judge_position(encoder, x, padding):
    """An encoder of x with positions C should give what one of x + C without them gives."""
    shift = torch.randn(6, 128)

    class Shift(nn.Module):
        def forward(self, sequence):
            return sequence + shift[: sequence.shape[1]]

    padding = padding_at_front(6, (0, 1, 3))  # no step is padding in every utterance
    position = encoder.position
    encoder.position = Shift()
    actual = _true_steps(encoder, x, padding)
    encoder.position = nn.Identity()
    if not near(actual, _true_steps(encoder, x + shift, padding)):
        without = _true_steps(encoder, x, padding)
        if near(actual, without):
            fail(SECOND, '位置编码**没有加**：`self.position` 建了，`forward` 里没有用。')
        if near(actual, without + shift.expand(3, -1, -1)[~padding]):
            fail(SECOND, '位置编码加在了编码器**之后**：注意力看不到位置。应先加再编码。')
        if near(actual, _true_steps(encoder, x + 2 * shift, padding)):
            fail(SECOND, '位置编码加了**两次**。')
        fail(SECOND, '编码器读到的应是加了位置编码的序列。')
    encoder.position = position
