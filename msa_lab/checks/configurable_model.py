"""Self-check of the configurable model of the ablations (TODO 13)."""

from itertools import combinations, product

import torch
from torch import nn

from msa_lab.checks.compare import near, padding_at_front, random_affine, shape_of, standardised
from msa_lab.checks.failure import CheckFailed, fail, self_check
from msa_lab.data import MODALITIES, WIDTHS


@self_check(13, '可配置的模型')
def check_modalities(AblationModel: type) -> None:
    """TODO 13: every choice of modalities, with and without LayerNorm."""
    padding = padding_at_front(5, (2, 0, 1, 1)).unsqueeze(-1)
    features = {
        name: (2 + 3 * torch.randn(4, 5, width)).masked_fill(padding, 0)
        for name, width in WIDTHS.items()
    }
    subsets = [c for count in (3, 1, 2) for c in combinations(MODALITIES, count)]
    for chosen, layer_norm in product(subsets, (True, False)):
        model = AblationModel(modalities=chosen, layer_norm=layer_norm).eval()
        _judge_first_half(model, chosen, layer_norm, features)
        _judge_use(model, chosen, features)


def _judge_kind(norm):
    """With `layer_norm=True` the norm should be a LayerNorm with its default settings."""
    kind = type(norm).__name__
    if isinstance(norm, nn.LayerNorm):
        settings = {'bias': norm.bias is not None, 'eps': norm.eps}
        default = {'bias': True, 'eps': 1e-5}
        changed = [f'{name}={value}' for name, value in settings.items() if value != default[name]]
        if not changed:
            return
        kind = f'LayerNorm(..., {", ".join(changed)})'
    fail(13, f'layer_norm=True 时应是 nn.LayerNorm(维数)，其余用默认值；得到 {kind}。')


def _score(model, features):
    """The model's score, (4, 1); fails when its shape or range is wrong."""
    score = model(*(features[name].clone() for name in MODALITIES))
    if not isinstance(score, torch.Tensor) or score.shape != (4, 1):
        fail(13, f'`AblationModel` 应返回形状 (B, 1)，这里是 (4, 1)；得到{shape_of(score)}。')
    if not (score.abs() <= 3).all():
        fail(13, '`AblationModel` 的分数应在 (-3, 3) 里。')
    return score.detach()


def _judge_use(model, chosen, features):
    """The chosen modalities should change the score, the others should not."""
    score = _score(model, features)
    for name in MODALITIES:
        changed = dict(features)
        noise = torch.randn_like(features[name])
        changed[name] = torch.where(features[name] == 0, 0.0, features[name] + noise)
        same = near(score, _score(model, changed), 1e-6)
        if name not in chosen and not same:
            fail(13, f'modalities={chosen} 时，改变 {name} 却改变了结果：`modalities` 没有起作用。')
        if name in chosen and same:
            fail(13, f'modalities={chosen} 时，改变 {name} 对结果毫无影响：它没有用上。')


def _judge_first_half(model, chosen, layer_norm, features):
    """Every encoder should read norm, Linear and ReLU of its own modality."""
    inputs = {}
    for name in chosen:
        norm = random_affine(getattr(model, f'{name}_norm', None))
        if norm is None:
            fail(13, f'`{name}_norm` 不是一个模块：不做归一化时也要有一个什么都不做的模块占位。')
        if layer_norm != any(True for _ in norm.parameters()):
            mistake = '却没有可学习的归一化层' if layer_norm else '却仍然建了归一化层'
            fail(
                13,
                f'layer_norm={layer_norm} 时，`{name}_norm` {mistake}（{type(norm).__name__}）。',
            )
        if layer_norm:
            _judge_kind(norm)
        _record_inputs(getattr(model, f'{name}_lstm'), inputs, name)
    try:
        _score(model, features)
    except (AttributeError, TypeError) as error:
        if 'tuple' in str(error):
            message = '`sequences` 里装的是 LSTM 返回的元组：要用 read_sequence'
            raise CheckFailed(f'TODO 13：{message}。') from error
        if 0 < len(inputs) < len(chosen) or "'int' object" not in str(error):
            raise
        fail(
            13, f'`sequences` 应装着 {len(chosen)} 个模态的序列（sequences.append(...)）；是空的。'
        )
    for name in chosen:
        if name not in inputs:
            fail(13, f'`{name}_lstm` 没有被调用。')
        _judge_inputs(model, name, layer_norm, features[name], inputs[name])


def _record_inputs(module, inputs, name):
    """From now on keep the arguments of the module's last call in `inputs[name]`, a tuple."""

    def record(module, args, kwargs):
        inputs[name] = (*args, *kwargs.values())

    module.register_forward_pre_hook(record, with_kwargs=True)


def _judge_inputs(model, name, layer_norm, x, inputs):
    """One encoder should read norm, Linear and ReLU of the features `x`."""
    norm, fc = getattr(model, f'{name}_norm'), getattr(model, f'{name}_fc')

    def through(x):
        return fc(x.float()).detach()

    normed = standardised(x, norm.weight, norm.bias) if layer_norm else x
    if not near(inputs[0], through(normed).clamp(min=0), 2e-3):
        subject = f'layer_norm={layer_norm} 时，`{name}_lstm` 读到的'
        if near(inputs[0], through(normed), 2e-3):
            fail(13, f'{subject}没有经过 ReLU。')
        if layer_norm and near(inputs[0], through(x).clamp(min=0), 2e-3):
            fail(13, f'{subject}没有归一化：`{name}_norm` 建了，`forward` 里没有用。')
        if not layer_norm and near(inputs[0], through(standardised(x)).clamp(min=0), 2e-3):
            fail(13, f'{subject}仍然归一化了。')
        fail(
            13, f'{subject}应是 {name} 依次经过 `{name}_norm`、`{name}_fc` 和 ReLU 的结果；数不对。'
        )
