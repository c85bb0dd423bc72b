"""Self-checks of the two fusions by attention (TODO 12.1 and 12.2)."""

import torch
from torch import nn

from msa_lab.checks.compare import near, padding_at_front, random_affine, shape_of, standardised
from msa_lab.checks.failure import CheckFailed, fail, self_check
from msa_lab.checks.isolation import replaced_globals

NUMBERS = {'SelfAttentionFusion': '12.1', 'CrossAttentionFusion': '12.2'}  # by the class's name


class _EncoderDouble(nn.Module):
    """A double of TransformerEncoder that mixes the true steps and gives 50 at padding.

    It records sequence, padding and output of every call in `calls`.
    """

    def __init__(self, *args, **kwargs):
        super().__init__()
        self.calls = []

    def forward(self, sequence, padding):
        if padding.shape != sequence.shape[:2]:
            _fail_mask('SelfAttentionFusion', sequence, padding)
        visible = sequence.masked_fill(padding.unsqueeze(-1), 0)
        output = torch.tanh(sequence) + visible.sum(1, keepdim=True)
        output = output.masked_fill(padding.unsqueeze(-1), 50.0)
        self.calls.append((sequence, padding, output))
        return output


@self_check('12.1', '自注意力融合')
def check_self_attention(SelfAttentionFusion: type) -> None:
    """TODO 12.1: self-attention over the sequences, with a double of the Transformer encoder."""
    _judge_with_modalities(_judge_self, SelfAttentionFusion)


@self_check('12.2', '交叉注意力融合')
def check_cross_attention(CrossAttentionFusion: type) -> None:
    """TODO 12.2: every modality asks the others, with doubles of the attention layers."""
    _judge_with_modalities(_judge_cross, CrossAttentionFusion)


def _judge_with_modalities(judge, fusion_class):
    """Judge the fusion of three modalities and of two, which a fixed number does not survive."""
    padding = padding_at_front(4, (0, 2, 1))
    for count in (3, 2):
        sequences = [torch.randn(3, 4, 128) for _ in range(count)]
        try:
            judge(fusion_class, sequences, padding)
        except (CheckFailed, NotImplementedError):
            raise
        except Exception as error:
            if count == 3:
                raise
            message = '3 个模态时能运行，2 个模态时出错：个数写死了？用 `len(sequences)`'
            raise CheckFailed(
                f'TODO {NUMBERS[fusion_class.__name__]}：{message}。{type(error).__name__}: {error}'
            ) from error


def _judge_influence(name, fusion, sequences, padding, output):
    """Every true step of every modality should change the output of its utterance."""
    for i, sequence in enumerate(sequences):
        for step in range(sequence.shape[1]):
            changed = [s.clone() for s in sequences]
            changed[i][:, step] += 1
            moved = (_fused(name, fusion, changed, padding) - output).abs().amax(dim=1) > 1e-5
            if not moved[~padding[:, step]].all():
                fail(
                    NUMBERS[name],
                    f'`{name}`：改变第 {i} 个模态的第 {step} 步，结果却不变：'
                    '每个模态、每个真实的步都应影响结果。',
                )


def _fused(name, fusion, sequences, padding):
    """The output of a fusion, (3, 128).

    Fails when it has another shape, or when the mask is not as long as the sequence.
    """
    try:
        output = fusion([s.clone() for s in sequences], padding.clone())
    except (AssertionError, RuntimeError) as error:
        if 'key_padd' not in str(error):  # as nn.MultiheadAttention names the mask
            raise
        _fail_mask(name)
    if not isinstance(output, torch.Tensor) or output.shape != (3, 128):
        hint = '（沿**特征**那一维拼接了？）' if getattr(output, 'shape', (0,))[-1] > 128 else ''
        fail(
            NUMBERS[name],
            f'`{name}` 应给出每句一个向量 (B, 128)，这里 B=3；得到{shape_of(output)}{hint}。',
        )
    return output.detach()


def _fail_mask(name, sequence=None, mask=None):
    """Fail because the mask has another shape than the sequence, as far as both are known."""
    if mask is not None and mask.dim() == 2 and len(mask) != len(sequence):
        fail(
            NUMBERS[name], f'`{name}`：标记沿**批次**重复了：应沿步数那一维，padding.repeat(1, n)。'
        )
    if sequence is not None and sequence.shape[-1] != 128:
        fail(NUMBERS[name], f'`{name}`：序列接在了**特征**那一维上：应沿步数那一维首尾相接。')
    fail(
        NUMBERS[name],
        f'`{name}`：填充标记的步数与序列不同：接了几条序列，padding 也要重复几次。',
    )


def _judge_masking(name, fusion, sequences, padding, output):
    """What stands at padding should not change the output."""
    changed = [s.clone() for s in sequences]
    for s in changed:
        s[padding] += 1
    if not near(output, _fused(name, fusion, changed, padding), 1e-3):
        fail(
            NUMBERS[name],
            f'`{name}` 的结果随填充处的内容而变：没有屏蔽，或者求平均时算进去了。',
        )


def _mean_of_true(x, padding):
    """The mean of the true steps of each utterance: (B, T, D), bool (B, T) -> (B, D)."""
    return torch.stack([row[~mask].mean(0) for row, mask in zip(x, padding, strict=True)])


def _judge_self(SelfAttentionFusion, sequences, padding):
    """Self-attention should read all sequences, tagged and joined, and average the true steps."""
    name, count = 'SelfAttentionFusion', len(sequences)
    with replaced_globals([SelfAttentionFusion.__init__], TransformerEncoder=_EncoderDouble):
        fusion = SelfAttentionFusion(count).eval()
    tags = getattr(fusion, 'modality', None)
    if isinstance(tags, nn.Parameter):
        nn.init.normal_(tags)
    output = _fused(name, fusion, sequences, padding)
    encoder = getattr(fusion, 'encoder', None)
    if isinstance(encoder, _EncoderDouble) and encoder.calls:
        joined, mask, encoded = encoder.calls[-1]
        if joined.shape[1] != sequences[0].shape[1]:  # else a scheme of the student's own
            _judge_joined(name, joined, mask, sequences, padding, tags)
            _judge_mean(name, output, encoded, mask)
    _judge_masking(name, fusion, sequences, padding, output)
    _judge_influence(name, fusion, sequences, padding, output)


def _judge_joined(name, joined, mask, sequences, padding, tags):
    """The encoder should read the sequences one after the other, each with its tag and padding."""
    count = len(sequences)
    if joined.shape != (3, 4 * count, 128):
        fail(
            NUMBERS[name],
            f'`{name}`：编码器应读首尾相接的 {4 * count} 步；读到的{shape_of(joined)}。',
        )
    if mask.sum() != count * padding.sum():
        fail(
            NUMBERS[name],
            f'`{name}`：编码器的填充标记里应有 {count} 份 padding，真实的步不能遮住；'
            f'得到 {int(mask.sum())} 处为 True，应有 {int(count * padding.sum())} 处。',
        )
    untagged = _mean_of_true(torch.cat(sequences, 1), padding.repeat(1, count))
    actual = _mean_of_true(joined, mask)
    if near(actual, untagged):
        fail(NUMBERS[name], f'`{name}`：没有加上 `self.modality`，注意力分不清哪一步来自哪个模态。')
    if tags is not None and not near(actual, untagged + tags.mean(0), 1e-3):
        fail(NUMBERS[name], f'`{name}`：填充标记与序列对不上，或者 `self.modality` 加得不对。')


def _judge_mean(name, output, encoded, mask):
    """The output should be the mean of the encoder's output over the true steps."""
    if near(output, encoded.mean(1), 1e-3):
        fail(NUMBERS[name], f'`{name}`：把填充的步也算进了平均，只应对真实的步求平均。')
    if near(output, encoded[:, -1], 1e-3):
        fail(NUMBERS[name], f'`{name}`：取了最后一步，应对真实的步求平均。')
    if not near(output, _mean_of_true(encoded, mask), 1e-3):
        fail(NUMBERS[name], f'`{name}`：结果应是编码器输出在**真实的步**上的平均；数不对。')


class _AttentionDouble(nn.MultiheadAttention):
    """A double of attention that records its arguments in `calls` and returns fixed numbers."""

    def __init__(self):
        super().__init__(128, 4, batch_first=True)
        self.calls, self.answer = [], torch.randn(3, 4, 128)

    def forward(self, query, key, value, key_padding_mask=None, *args, **kwargs):
        self.calls.append((query, key, value, key_padding_mask))
        return self.answer.clone(), None


def _judge_cross(CrossAttentionFusion, sequences, padding):
    """Every modality should ask the others; the results are added and averaged."""
    name, count = 'CrossAttentionFusion', len(sequences)
    fusion = CrossAttentionFusion(count).eval()
    random_affine(fusion.norm)
    doubles = [_AttentionDouble() for _ in range(count)]
    fusion.attention = nn.ModuleList(doubles)
    try:
        combined = _fused(name, fusion, sequences, padding)
    finally:  # a wrong call is named rather than the error that it leads to
        for i, double in enumerate(doubles):
            for call in double.calls:
                _judge_call(name, i, call, sequences, padding)
    if not any(double.calls for double in doubles):  # the student's own attention layers
        _judge_masking(name, fusion, sequences, padding, combined)
        _judge_influence(name, fusion, sequences, padding, combined)
        return
    if not all(double.calls for double in doubles):
        fail(NUMBERS[name], f'`{name}`：每个模态应各用自己的 `attention[i]`；有的没有用到。')
    _judge_combination(name, fusion, combined, sequences, [d.answer for d in doubles], padding)
    fusion = CrossAttentionFusion(count).eval()
    output = _fused(name, fusion, sequences, padding)
    _judge_masking(name, fusion, sequences, padding, output)


def _judge_call(name, i, call, sequences, padding):
    """One call of attention: modality `i` should ask all others, not itself and no padding."""
    query, key, value, mask = call
    if not near(query, sequences[i]):
        hint = '现在不是'
        if near(key, sequences[i]):
            hint = '现在查询和键**反**了：自己成了键，别的模态成了查询'
        elif any(near(query, sequence) for sequence in sequences):
            hint = '现在是别的模态的：每个模态应各用自己的 `attention[i]`'
        fail(NUMBERS[name], f'`{name}`：第 {i} 个模态的查询应是它自己的序列；{hint}。')
    if not near(key, value):
        fail(NUMBERS[name], f'`{name}`：键和值应是同一批步（其他模态的）。')
    places = [_places(s, key) for s in sequences]
    if places[i] is not None:
        only = all(p is None for j, p in enumerate(places) if j != i)
        mistake = '只问了**自己**' if only else '把**自己**也算进了键和值'
        fail(NUMBERS[name], f'`{name}`：第 {i} 个模态应去问其他的模态；现在它{mistake}。')
    if any(p is None for j, p in enumerate(places) if j != i):
        fail(
            NUMBERS[name],
            f'`{name}`：第 {i} 个模态应问**其余所有**模态，键和值里缺了有的模态。',
        )
    if mask is None:
        fail(
            NUMBERS[name],
            f'`{name}`：填充的标记没有交给注意力（key_padding_mask），没有**屏蔽**。',
        )
    hidden = mask if mask.dtype == torch.bool else mask < -1e3
    expected = torch.zeros(key.shape[:2], dtype=torch.bool)
    for place in (p for p in places if p is not None):
        expected.scatter_(1, place, padding)
    if hidden.shape != expected.shape:
        _fail_mask(name, key, mask)
    if not torch.equal(hidden, expected):
        hint = '现在恰好**反**了' if torch.equal(hidden, ~expected) else '现在与键对不上'
        fail(NUMBERS[name], f'`{name}`：填充的标记 True 处遮住；{hint}。')


def _places(sequence, key):
    """Where the steps of a sequence stand among the keys, (B, T); None where they do not."""
    if key.dim() != 3 or len(key) != len(sequence):
        return None
    distance, place = torch.cdist(sequence, key).min(dim=2)
    return place if float(distance.detach().max()) < 1e-2 else None


def _judge_combination(name, fusion, actual, sequences, answers, padding):
    """Query plus answer should be normalised, added over the modalities and averaged."""
    pairs = list(zip(sequences, answers, strict=True))

    def combined(combine, mean=_mean_of_true):
        return mean(sum(combine(s, a) for s, a in pairs), padding).float()

    def norm(x):
        return standardised(x, fusion.norm.weight, fusion.norm.bias)

    def over_everything(x, padding):
        return x.mean(1)

    if near(actual, combined(lambda s, a: norm(s + a)), 1e-3):
        return
    for wrong, message in (
        (combined(lambda s, a: norm(a)), '回答没有加回到查询自己上（残差），自己的内容丢了'),
        (combined(lambda s, a: s + a), '相加之后没有归一化（self.norm）'),
        (combined(lambda s, a: s + norm(a)), '归一化的应是“自己 + 回答”，现在只归一化了回答'),
        (combined(lambda s, a: norm(s) + a), '归一化的应是“自己 + 回答”，现在只归一化了自己'),
        (combined(lambda s, a: norm(s)), '回答没有用上'),
        (combined(lambda s, a: norm(s + a)) / len(pairs), '各个模态应**相加**，不是平均'),
        (combined(lambda s, a: norm(s + a), over_everything), '把填充的步也算进了平均'),
    ):
        if near(actual, wrong.detach(), 1e-3):
            fail(NUMBERS[name], f'`{name}`：{message}。')
    fail(
        NUMBERS[name],
        f'`{name}`：每个模态是归一化的“自己 + 回答”，各模态相加，再对真实的步求平均；数不对。',
    )
