"""Self-checks of the metrics (TODO 6) and of the evaluation that collects them (TODO 7)."""

import math
import numbers

import numpy as np
import torch
from sklearn.metrics import f1_score
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from msa_lab.checks.tools import (
    fail,
    isolated,
    near,
    replaced_globals,
    self_check,
    shape_of,
)
from msa_lab.data.format import METRICS

# Predictions and labels without halves, and with; below, how often each reading of the task would
# call them equal. The tests count again.
PLAIN = (
    (2.2, -1.3, 0.3, 1.1, -2.6, 0.2, 0.4, -0.2, 0.1, 2.9, -1.8, 1.0, 0.0, 2.3, -0.4, 1.6),
    (1.9, -0.8, 0.9, 1.4, -3.0, -0.4, 0.1, 0.3, 0.2, 2.4, -1.2, 1.0, -0.1, 0.4, -0.3, 1.2),
)
HALVES = (
    (0.5, 1.5, 2.5, -0.5, -1.5, 2.5, 0.5, 1.0),
    (0.2, 2.1, 1.8, 0.1, -1.2, 2.2, 0.9, 1.0),
)
EQUAL = {
    'round': (11, 6),
    'floor': (10, 5),
    'truncated': (12, 6),
    'half up': (11, 5),
    'half away': (11, 3),
    'exact': (1, 1),
    'within half': (9, 5),
}
PER_CLASS = (0.6714285714285715, 0.5986394557823129)  # of PLAIN, by true and by predicted class
ROUNDING = {
    'floor': '用的是向下取整（floor），应取最近的整数：1.9 和 2.2 都该算 2',
    'truncated': '用的是截断（astype(int) 之类），应取最近的整数：1.9 和 2.2 都该算 2',
    'half up': '.5 的处理不同：这里一律进位；NumPy 的取整向**偶数**靠（0.5 → 0，2.5 → 2）',
    'half away': '.5 的处理不同：这里一律远离 0；NumPy 的取整向**偶数**靠（0.5 → 0，2.5 → 2）',
    'exact': '没有取整就比较了，只有恰好相等才算对',
    'within half': '比的是两者相差是否小于 0.5，不是取整之后是否相等',
}


@self_check(6, '总体准确率')
def check_accuracy(multiclass_acc):
    """TODO 6: the share of utterances whose rounded prediction is the rounded label."""
    came = []
    for pairs in (PLAIN, HALVES):
        value = multiclass_acc(*(np.array(x) for x in pairs))
        if np.ndim(value) and np.size(value) == len(pairs[0]):
            fail(6, '返回的是每个样本对不对，还要求出对的占多大比例：一个浮点数。')
        if np.ndim(value) or not isinstance(value, (numbers.Real, np.ndarray, torch.Tensor)):
            fail(6, f'应返回一个浮点数；得到的是{shape_of(value)}。')
        came.append(float(value))
    sizes = (len(PLAIN[0]), len(HALVES[0]))
    shares = {name: [n / m for n, m in zip(c, sizes, strict=True)] for name, c in EQUAL.items()}
    if not np.allclose(came, shares['round']):
        fail(6, _name_accuracy(came, shares, sizes))


def _name_accuracy(came, shares, sizes):
    """In words: what was computed in place of the overall accuracy."""
    right = shares['round']
    asked = f'{sizes[0]} 个样本里对了 {EQUAL["round"][0]} 个，应返回 {right[0]:.4f}'
    said = f'{asked}；得到 {came[0]:.4f}'
    if np.allclose(came, EQUAL['round']):
        return f'{said}，这是对的**个数**，还要除以总数。'
    if np.allclose(came, np.multiply(right, 100)):
        return f'{said}，这是百分数，应是 0 到 1 之间的比例。'
    if np.allclose(came, np.subtract(1, right)):
        return f'{said}，这是**错误率**（不相等的比例）。'
    if any(np.isclose(came[0], wrong) for wrong in PER_CLASS):
        return f'{said}，这是先求每一类的准确率、再求平均。总体准确率里，每个**样本**的分量一样。'
    for name, share in shares.items():
        if name != 'round' and np.allclose(came, share):
            if np.isclose(came[0], right[0]):
                said = f'{sizes[1]} 个带 .5 的样本，应返回 {right[1]:.4f}；得到 {came[1]:.4f}'
            return f'{said}。{ROUNDING[name]}。'
    return f'{said}；另一组应返回 {right[1]:.4f}，得到 {came[1]:.4f}。'


def check_metrics(multiclass_acc, eval_mosi_regression):
    """TODO 6, and the contract of `eval_mosi_regression`, which builds on it."""
    with isolated():
        check_accuracy.quietly(multiclass_acc)
        _check_eval.quietly(eval_mosi_regression)
    print('✓ TODO 6 评价指标')


@self_check(6, '六个指标')
def _check_eval(eval_mosi_regression):
    def measure(y_pred, y_true):
        return eval_mosi_regression(torch.tensor(y_pred), torch.tensor(y_true))

    metrics = measure([1.0, 2.0, 0.5, -1.0], [2.0, 1.5, -1.0, -2.0])
    if list(metrics) != list(METRICS):
        fail(6, f'`eval_mosi_regression` 的键应依次是 {list(METRICS)}；得到 {list(metrics)}。')
    if not all(type(value) is float for value in metrics.values()):
        fail(6, '`eval_mosi_regression` 的每个值都应是 Python 的浮点数。')
    if metrics['Non0_F1_score'] != 0.7667:
        hint = '：f1_score 应该预测在前、真实在后' if metrics['Non0_F1_score'] == 0.7333 else ''
        fail(6, f'`Non0_F1_score` 应是 0.7667；得到 {metrics["Non0_F1_score"]}{hint}。')

    metrics = measure([[2.6], [-2.9], [3.8], [0.4]], [[2.2], [-2.1], [3.0], [0.0]])
    for name, expected, why in (
        ('Non0_acc_2', 1.0, '真实标签恰好是 0 的句子不计'),
        ('Mult_acc_5', 1.0, '取整之前，两边都先截到 [-2, 2]'),
        ('Mult_acc_7', 0.5, '取整之前，两边都先截到 [-3, 3]'),
        ('MAE', 0.6, '不截断'),
    ):
        if not math.isclose(metrics[name], expected, abs_tol=1e-4):
            fail(6, f'`{name}` 应是 {expected}（{why}）；得到 {metrics[name]}。')
    undefined = measure([0.5, 0.5, 0.5], [1.0, -1.0, 2.0])['Corr']
    if not math.isnan(undefined):
        fail(6, f'预测是常数时 `Corr` 没有定义，应是 nan；得到 {undefined}。')
    empty = measure([0.5, -0.5], [0.0, 0.0])
    if not (math.isnan(empty['Non0_acc_2']) and math.isnan(empty['Non0_F1_score'])):
        fail(6, '真实标签全是 0 时，两个二分类指标没有定义，应是 nan。')


PREDICTED = (1.2, 0.4, -0.6, 2.4, -1.5, 0.8, 0.3, 1.1, -2.2)
LABELS = (0.8, -0.6, -1.0, 3.0, -0.4, 1.2, -1.4, 0.6, -2.6)


class _Reader(nn.Module):
    """A model whose score is the first number of the last step of the text."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, vision, text, audio):
        return self.gain * text[:, -1, :1]


@self_check(7, '评估函数')
def check_evaluate(evaluate):
    """TODO 7: the loss, the metrics of all predictions, the predictions and the labels."""
    y_pred, y_true = torch.tensor(PREDICTED), torch.tensor(LABELS)
    text = torch.randn(9, 3, 4)
    text[:, -1, 0] = y_pred
    utterances = TensorDataset(torch.randn(9, 3, 2), text, torch.randn(9, 3, 5), y_true)
    asked, answer = [], dict(zip(METRICS, (0.11, 0.22, 0.33, 0.44, 0.55, 0.66), strict=True))

    def double(y_pred, y_true, exclude_zero=False):
        asked.append((y_pred, y_true))
        return dict(answer)

    with replaced_globals([evaluate], eval_mosi_regression=double):
        loader = DataLoader(utterances, batch_size=4)
        result = evaluate(_Reader(), loader, nn.MSELoss(), torch.device('cpu'))
    if not isinstance(result, (tuple, list)) or len(result) != 4:
        count = f' {len(result)} 个' if isinstance(result, (tuple, list)) else shape_of(result)
        fail(7, f'应返回四样东西：loss、指标、y_pred、y_true；得到{count}。')
    loss, metrics, *arrays = result
    if not isinstance(metrics, dict):
        fail(
            7, f'第二个返回值应是指标的字典；得到的是{shape_of(metrics)}。四样东西的顺序是固定的。'
        )
    _judge_arrays(arrays, y_pred, y_true)
    _judge_evaluated_loss(loss, (y_pred - y_true) ** 2)
    if metrics == answer:
        _judge_asked(asked, y_pred, y_true)
    elif asked and set(metrics) == set(answer):
        fail(7, '指标不能按批算了再合起来：F1 和 Corr 不是各批的平均。应把全部预测拼好，一次算出。')
    else:
        _judge_own_metrics(metrics)


def _flat(x):
    """Numbers of a tensor or array in one row; None for anything else."""
    return torch.as_tensor(x).detach().reshape(-1) if hasattr(x, 'shape') else None


def _judge_arrays(arrays, y_pred, y_true):
    """Compare the returned predictions and labels with what the model said."""
    for name, value, right, other in (
        ('y_pred', arrays[0], y_pred, y_true),
        ('y_true', arrays[1], y_true, y_pred),
    ):
        if isinstance(value, np.ndarray):
            fail(7, f'`{name}` 返回的是 NumPy 数组，应是张量。')
        if not isinstance(value, torch.Tensor):
            fail(7, f'`{name}` 应是形状 (N,) 的张量；返回的是{shape_of(value)}。')
        if near(_flat(value), other):
            fail(7, '返回的 `y_pred` 和 `y_true` **顺序反了**：预测在前，真实标签在后。')
        if len(_flat(value)) < len(right):
            fail(
                7,
                f'`{name}` 应含全部 {len(right)} 句；'
                f'返回的只有 {len(_flat(value))} 句（最后一批？）。',
            )
        if not near(value, right):
            fail(
                7,
                f'`{name}` 应是形状 ({len(right)},) 的张量，按数据的顺序；'
                f'返回的{shape_of(value)}。',
            )


def _judge_evaluated_loss(loss, squares):
    """Compare the returned loss with the unweighted mean over the batches."""
    try:
        value = float(loss)
    except (TypeError, ValueError, RuntimeError):
        fail(7, f'第一个返回值应是 loss，一个浮点数；得到的是{shape_of(loss)}。')
    batches = [float(batch.mean()) for batch in squares.split(4)]
    right = sum(batches) / len(batches)
    if math.isclose(value, right, rel_tol=1e-4):
        return
    for wrong, name in (
        (sum(batches), '是各批 loss 的**和**，没有除以批数'),
        (float(squares.mean()), '是每句的平均；约定是各批 loss 的平均，不按批的大小加权'),
        (batches[-1], '只是最后一批的 loss'),
        (batches[0], '只是第一批的 loss'),
    ):
        if math.isclose(value, wrong, rel_tol=1e-4):
            fail(7, f'`loss` 应是 {right:.4f}；得到 {value:.4f}，{name}。')
    fail(7, f'`loss` 应是各批的平均 {right:.4f}；得到 {value:.4f}。')


def _judge_asked(asked, y_pred, y_true):
    """Compare what `eval_mosi_regression` was asked with all predictions and all labels."""
    pairs = [(_flat(a), _flat(b)) for a, b in asked]
    pairs = [(a, b) for a, b in pairs if a is not None and b is not None]
    if any(near(a, y_pred) and near(b, y_true) for a, b in pairs):
        return
    if any(near(a, y_true) and near(b, y_pred) for a, b in pairs):
        fail(
            7, '传给 `eval_mosi_regression` 的预测和真实标签**顺序反了**：'
            '多数指标看不出来，F1 和“非零”的筛选却会变。预测在前。'
        )  # fmt: skip
    if any(near(a, y_pred[-len(a) :]) and len(a) < 9 for a, _ in pairs):
        fail(7, '指标只用了**最后一批**的预测：循环变量里剩下的是最后一批，要用拼好的全部预测。')
    came = '、'.join(f'{len(a)} 句对 {len(b)} 句' for a, b in pairs) or '不是张量'
    fail(7, f'指标应由全部 9 句的预测和标签算出；传给 `eval_mosi_regression` 的是 {came}。')


def _judge_own_metrics(metrics):
    """Metrics by formulas of one's own: compare those that do not depend on other tasks."""
    y_pred, y_true = np.array(PREDICTED), np.array(LABELS)
    above, truth = y_pred > 0, y_true > 0
    expected = {
        'Non0_acc_2': np.mean(above == truth),
        'Non0_F1_score': f1_score(above, truth, average='weighted'),
        'MAE': np.mean(np.abs(y_pred - y_true)),
        'Corr': np.corrcoef(y_pred, y_true)[0, 1],
    }
    swapped = f1_score(truth, above, average='weighted')
    for name, value in expected.items():
        came = metrics.get(name)
        if came is not None and math.isclose(float(came), value, abs_tol=2e-4):
            continue
        if name == 'Non0_F1_score' and came is not None and abs(float(came) - swapped) < 2e-4:
            fail(7, '`Non0_F1_score` 的预测和真实标签**顺序反了**：预测在前。')
        fail(7, f'指标应由全部预测算出，`{name}` 应约为 {value:.4f}；得到 {came}。')
