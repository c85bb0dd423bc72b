"""Self-checks of the ablations' parts: the fusions (TODO 12) and the configurable model (13).

That of the encoder stands in `check_encoder`.
"""

from itertools import combinations, product

import torch
from torch import nn

from msa_lab.checks.tools import (
    fail,
    near,
    random_affine,
    replaced_globals,
    self_check,
    shape_of,
    some_padding,
    standardised,
)
from msa_lab.data.format import MODALITIES, WIDTHS


class _Mixer(nn.Module):
    """Stands in for TransformerEncoder: mixes the true steps, leaves rubbish at the padding."""

    def __init__(self, *args, **kwargs):
        super().__init__()
        self.seen = []

    def forward(self, sequence, padding):
        if padding.shape != sequence.shape[:2]:
            _fail_mask('SelfAttentionFusion')
        shown = sequence.masked_fill(padding.unsqueeze(-1), 0)
        output = torch.tanh(sequence) + shown.sum(1, keepdim=True)
        output = output.masked_fill(padding.unsqueeze(-1), 50.0)
        self.seen.append((sequence, padding, output))
        return output


@self_check(12, '注意力融合')
def check_attention(SelfAttentionFusion, CrossAttentionFusion):
    """TODO 12: the two fusions by attention, with doubles for what does the attending."""
    padding = some_padding(4, (0, 2, 1))
    for count in (3, 2):
        sequences = [torch.randn(3, 4, 128) for _ in range(count)]
        _judge_self(SelfAttentionFusion, sequences, padding)
        _judge_cross(CrossAttentionFusion, sequences, padding)


def _fused(name, fusion, sequences, padding):
    """The fusion's answer, when it has the right shape and does not depend on padding."""
    try:
        answer = fusion([s.clone() for s in sequences], padding.clone())
    except (AssertionError, RuntimeError) as error:
        if 'key_padd' not in str(error):  # as nn.MultiheadAttention names the mask
            raise
        _fail_mask(name)
    if not isinstance(answer, torch.Tensor) or answer.shape != (3, 128):
        fail(12, f'`{name}` 应给出每句一个向量 (B, 128)，这里 B=3；得到{shape_of(answer)}。')
    return answer.detach()


def _fail_mask(name):
    fail(12, f'`{name}`：填充标记的步数与序列不同：首尾相接了几条序列，padding 也要重复几次。')


def _judge_hidden(name, fusion, sequences, padding, answer):
    """What stands at padding must not matter."""
    changed = [s.clone() for s in sequences]
    for s in changed:
        s[padding] += 1
    if not near(answer, _fused(name, fusion, changed, padding), 1e-3):
        fail(12, f'`{name}` 的结果随填充处的内容而变：填充没有屏蔽，或者求平均时算进去了。')


def _mean_of_true(x, padding):
    """For each utterance, the mean of its true steps."""
    return torch.stack([row[~hidden].mean(0) for row, hidden in zip(x, padding, strict=True)])


def _judge_self(SelfAttentionFusion, sequences, padding):
    name, count = 'SelfAttentionFusion', len(sequences)
    with replaced_globals([SelfAttentionFusion.__init__], TransformerEncoder=_Mixer):
        fusion = SelfAttentionFusion(count).eval()
    tags = getattr(fusion, 'modality', None)
    if isinstance(tags, nn.Parameter):
        nn.init.normal_(tags)
    answer = _fused(name, fusion, sequences, padding)
    seen = fusion.encoder.seen[-1:] if isinstance(getattr(fusion, 'encoder', None), _Mixer) else []
    for joined, mask, output in seen:
        if joined.shape != (3, 4 * count, 128):
            fail(12, f'`{name}`：编码器应读首尾相接的 {4 * count} 步；读到的{shape_of(joined)}。')
        if mask.sum() != count * padding.sum():
            fail(
                12, f'`{name}`：编码器的填充标记里应有 {count} 份 padding，真实的步不能遮住；'
                f'得到 {int(mask.sum())} 处为 True，应有 {int(count * padding.sum())} 处。'
            )  # fmt: skip
        plain = torch.cat(sequences, 1)
        kept = _mean_of_true(joined, mask)
        truth = _mean_of_true(plain, padding.repeat(1, count))
        if near(kept, truth):
            fail(12, f'`{name}`：没有加上 `self.modality`，注意力分不清哪一步来自哪个模态。')
        if tags is not None and not near(kept, truth + tags.mean(0), 1e-3):
            fail(12, f'`{name}`：填充标记与序列对不上，或者 `self.modality` 加得不对。')
        if near(answer, output.mean(1), 1e-3):
            fail(12, f'`{name}`：把填充的步也算进了平均，只应对真实的步求平均。')
        if near(answer, output[:, -1], 1e-3):
            fail(12, f'`{name}`：取了最后一步，应对真实的步求平均。')
        if not near(answer, _mean_of_true(output, mask), 1e-3):
            fail(12, f'`{name}`：结果应是编码器输出在**真实的步**上的平均；数不对。')
    _judge_hidden(name, fusion, sequences, padding, answer)


class _Asker(nn.MultiheadAttention):
    """Stands in for attention: notes what it is asked, answers with fixed numbers."""

    def __init__(self):
        super().__init__(128, 4, batch_first=True)
        self.seen, self.answer = [], torch.randn(3, 4, 128)

    def forward(self, query, key, value, key_padding_mask=None, *args, **kwargs):
        self.seen.append((query, key, value, key_padding_mask))
        return self.answer.clone(), None


def _judge_cross(CrossAttentionFusion, sequences, padding):
    name, count = 'CrossAttentionFusion', len(sequences)
    fusion = CrossAttentionFusion(count).eval()
    random_affine(fusion.norm)
    answer = _fused(name, fusion, sequences, padding)
    askers = [_Asker() for _ in range(count)]
    fusion.attention = nn.ModuleList(askers)
    staged = _fused(name, fusion, sequences, padding)
    if not any(asker.seen for asker in askers):  # attention of one's own: judged by what it does
        _judge_hidden(name, fusion, sequences, padding, answer)
        return
    if not all(asker.seen for asker in askers):
        fail(12, f'`{name}`：每个模态应各用自己的 `attention[i]`；有的没有用到。')
    for i, asker in enumerate(askers):
        for question in asker.seen:
            _judge_question(name, i, question, sequences, padding)
    _judge_combination(name, fusion, staged, sequences, [a.answer for a in askers], padding)
    fusion = CrossAttentionFusion(count).eval()
    answer = _fused(name, fusion, sequences, padding)
    _judge_hidden(name, fusion, sequences, padding, answer)


def _judge_question(name, i, question, sequences, padding):
    """One call of attention: the modality asks all others and not itself, padding hidden."""
    query, key, value, mask = question
    if not near(query, sequences[i]):
        fail(12, f'`{name}`：第 {i} 个模态的查询应是它自己的序列。')
    if not near(key, value):
        fail(12, f'`{name}`：键和值应是同一批步（其他模态的）。')
    places = [_places(s, key) for s in sequences]
    if places[i] is not None:
        only = all(p is None for j, p in enumerate(places) if j != i)
        came = '只问了**自己**' if only else '把**自己**也算进了键和值'
        fail(12, f'`{name}`：第 {i} 个模态应去问其他的模态；现在它{came}。')
    if any(p is None for j, p in enumerate(places) if j != i):
        fail(12, f'`{name}`：第 {i} 个模态应问**其余所有**模态，键和值里缺了别的模态的步。')
    if mask is None:
        fail(12, f'`{name}`：没有把填充的标记交给注意力（key_padding_mask），填充没有**屏蔽**。')
    hidden = mask if mask.dtype == torch.bool else mask < -1e3
    expected = torch.zeros(key.shape[:2], dtype=torch.bool)
    for place in (p for p in places if p is not None):
        expected.scatter_(1, place, padding)
    if hidden.shape != expected.shape or not torch.equal(hidden, expected):
        inverted = hidden.shape == expected.shape and torch.equal(hidden, ~expected)
        hint = '，现在恰好**反**了' if inverted else f'，得到{shape_of(hidden)}'
        fail(12, f'`{name}`：填充的标记应与键一样长，True 处遮住{hint}。')


def _places(sequence, key):
    """Where the steps of a sequence stand among the keys, (B, T); None where they do not."""
    if key.dim() != 3 or len(key) != len(sequence):
        return None
    distance, place = torch.cdist(sequence, key).min(dim=2)
    return place if float(distance.detach().max()) < 1e-2 else None


def _judge_combination(name, fusion, came, sequences, answers, padding):
    """What becomes of queries and answers: residual, norm, sum over modalities, mean."""
    pairs = list(zip(sequences, answers, strict=True))

    def combined(combine, mean=_mean_of_true):
        return mean(sum(combine(s, a) for s, a in pairs), padding).float()

    def norm(x):
        return standardised(x, fusion.norm.weight, fusion.norm.bias)

    def over_everything(x, padding):
        return x.mean(1)

    if near(came, combined(lambda s, a: norm(s + a)), 1e-3):
        return
    for wrong, said in (
        (combined(lambda s, a: norm(a)), '回答没有加回到查询自己上（残差），自己的内容丢了'),
        (combined(lambda s, a: s + a), '相加之后没有归一化（self.norm）'),
        (combined(lambda s, a: s + norm(a)), '归一化的应是“自己 + 回答”，现在只归一化了回答'),
        (combined(lambda s, a: norm(s) + a), '归一化的应是“自己 + 回答”，现在只归一化了自己'),
        (combined(lambda s, a: norm(s)), '回答没有用上'),
        (combined(lambda s, a: norm(s + a)) / len(pairs), '各个模态应**相加**，不是平均'),
        (combined(lambda s, a: norm(s + a), over_everything), '把填充的步也算进了平均'),
    ):
        if near(came, wrong.detach(), 1e-3):
            fail(12, f'`{name}`：{said}。')
    fail(12, f'`{name}`：每个模态是归一化的“自己 + 回答”，各模态相加，再对真实的步求平均；数不对。')


@self_check(13, '可配置的模型')
def check_modalities(AblationModel):
    """TODO 13: every choice of modalities, with and without LayerNorm."""
    _judge_freshness(AblationModel)
    front = some_padding(5, (2, 0, 1, 1)).unsqueeze(-1)
    features = {
        name: (2 + 3 * torch.randn(4, 5, width)).masked_fill(front, 0)
        for name, width in WIDTHS.items()
    }
    subsets = [c for count in (3, 1, 2) for c in combinations(MODALITIES, count)]
    for chosen, layer_norm in product(subsets, (True, False)):
        model = AblationModel(modalities=chosen, layer_norm=layer_norm).eval()
        _judge_first_half(model, chosen, layer_norm, features, front.squeeze(-1))
        _judge_use(model, chosen, features)


def _judge_freshness(AblationModel):
    """A class keeps the parent it was made with, also when that has been written anew."""
    parent = getattr(AblationModel.__init__, '__globals__', {}).get('ModalityEncoders')
    if parent is not None and parent not in AblationModel.__mro__:
        fail(
            13, '你改过 ModalityEncoders：请先重新运行下面 AblationModel 那一格，再运行自检。'
        )  # fmt: skip


def _judge_kind(norm):
    """The norm that stands for `layer_norm=True` is a LayerNorm with its usual settings."""
    kind = type(norm).__name__
    if isinstance(norm, nn.LayerNorm):
        unusual = {'bias': norm.bias is not None, 'eps': norm.eps}
        usual = {'bias': True, 'eps': 1e-5}
        changed = [f'{name}={value}' for name, value in unusual.items() if value != usual[name]]
        if not changed:
            return
        kind = f'LayerNorm(..., {", ".join(changed)})'
    fail(13, f'layer_norm=True 时应是 nn.LayerNorm(维数)，其余用默认值；得到 {kind}。')


def _score(model, features):
    """The model's score, when it has the right shape and range."""
    score = model(*(features[name].clone() for name in MODALITIES))
    if not isinstance(score, torch.Tensor) or score.shape != (4, 1):
        fail(13, f'`AblationModel` 应返回形状 (B, 1)，这里是 (4, 1)；得到{shape_of(score)}。')
    if not (score.abs() <= 3).all():
        fail(13, '`AblationModel` 的分数应在 (-3, 3) 里。')
    return score.detach()


def _judge_use(model, chosen, features):
    """The chosen modalities count, the others do not."""
    plain = _score(model, features)
    for name in MODALITIES:
        changed = dict(features)
        noise = torch.randn_like(features[name])
        changed[name] = torch.where(features[name] == 0, 0.0, features[name] + noise)
        same = near(plain, _score(model, changed), 1e-6)
        if name not in chosen and not same:
            fail(13, f'modalities={chosen} 时，改变 {name} 却改变了结果：`modalities` 没有起作用。')
        if name in chosen and same:
            fail(13, f'modalities={chosen} 时，改变 {name} 对结果毫无影响：它没有用上。')


def _judge_first_half(model, chosen, layer_norm, features, padding):
    """What every encoder reads, by value; and the list of sequences that `encode` returns."""
    read = {}
    for name in chosen:
        norm = random_affine(getattr(model, f'{name}_norm', None))
        if norm is None:
            fail(13, f'`{name}_norm` 不是一个模块：不做归一化时也要有一个什么都不做的模块占位。')
        if layer_norm != any(True for _ in norm.parameters()):
            came = '却没有可学习的归一化层' if layer_norm else '却仍然建了归一化层'
            fail(13, f'layer_norm={layer_norm} 时，`{name}_norm` {came}（{type(norm).__name__}）。')
        if layer_norm:
            _judge_kind(norm)
        encoder = getattr(model, f'{name}_lstm')
        encoder.register_forward_pre_hook(
            lambda module, args, kwargs, name=name: read.update({name: (*args, *kwargs.values())}),
            with_kwargs=True,
        )
    sequences, _ = model.encode(*(features[name].clone() for name in MODALITIES))
    if len(sequences) != len(chosen):
        fail(13, f'`encode` 应为 {chosen} 各给一个序列；得到 {len(sequences)} 个。')
    for name, sequence in zip(chosen, sequences, strict=True):
        if not isinstance(sequence, torch.Tensor) or sequence.shape != (4, 5, 128):
            fail(13, f'{name} 的序列应是 (B, T, 128)，即 (4, 5, 128)；得到{shape_of(sequence)}。')
        if name not in read:
            fail(13, f'`{name}_lstm` 没有被调用。')
        _judge_read(model, name, layer_norm, features[name], read[name], padding)


def _judge_read(model, name, layer_norm, x, read, padding):
    """Compare what one encoder reads with norm, Linear and ReLU of the features."""
    norm, fc = getattr(model, f'{name}_norm'), getattr(model, f'{name}_fc')

    def through(x):
        return fc(x.float()).detach()

    normed = standardised(x, norm.weight, norm.bias) if layer_norm else x
    if not near(read[0], through(normed).clamp(min=0), 2e-3):
        asked = f'layer_norm={layer_norm} 时，`{name}_lstm` 读到的'
        if near(read[0], through(normed), 2e-3):
            fail(13, f'{asked}没有经过 ReLU。')
        if layer_norm and near(read[0], through(x).clamp(min=0), 2e-3):
            fail(13, f'{asked}没有归一化：`{name}_norm` 建了，`encode` 里没有用。')
        if not layer_norm and near(read[0], through(standardised(x)).clamp(min=0), 2e-3):
            fail(13, f'{asked}仍然归一化了。')
        fail(13, f'{asked}应是 {name} 依次经过 `{name}_norm`、`{name}_fc` 和 ReLU 的结果；数不对。')
    if len(read) < 2 or not torch.equal(torch.as_tensor(read[1]), padding):
        fail(13, f'`{name}_lstm` 的第二个参数应是填充的标记 `padding`。')
