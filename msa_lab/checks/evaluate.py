"""Self-check of the evaluation of a model on one split (TODO 7)."""

import math
from collections.abc import Callable

import numpy as np
import torch
from sklearn.metrics import f1_score
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from msa_lab.checks.compare import near, shape_of
from msa_lab.checks.failure import fail, self_check
from msa_lab.checks.isolation import replaced_globals
from msa_lab.data import METRICS

PREDICTED = (1.2, 0.4, -0.6, 2.4, -1.5, 0.8, 0.3, 1.1, -2.2)
LABELS = (0.8, -0.6, -1.0, 3.0, -0.4, 1.2, -1.4, 0.6, -2.6)


class _LastNumber(nn.Module):
    """A double of the model: its score is the first number of the last step of the text."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, vision, text, audio):
        return self.gain * text[:, -1, :1]


@self_check(7, '评估函数')
def check_evaluate(evaluate: Callable) -> None:
    """TODO 7: the loss, the metrics of all predictions, the predictions and the labels."""
    y_pred, y_true = torch.tensor(PREDICTED), torch.tensor(LABELS)
    text = torch.randn(9, 3, 4)
    text[:, -1, 0] = y_pred
    utterances = TensorDataset(torch.randn(9, 3, 2), text, torch.randn(9, 3, 5), y_true)
    calls, answer = [], dict(zip(METRICS, (0.11, 0.22, 0.33, 0.44, 0.55, 0.66), strict=True))

    def eval_mosi_regression(y_pred, y_true, exclude_zero=False):
        calls.append((y_pred, y_true))
        return dict(answer)

    with replaced_globals([evaluate], eval_mosi_regression=eval_mosi_regression):
        loader = DataLoader(utterances, batch_size=4)
        result = evaluate(_LastNumber(), loader, nn.MSELoss(), torch.device('cpu'))
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
        _judge_calls(calls, y_pred, y_true)
    elif calls and set(metrics) == set(answer):
        fail(7, '指标不能按批算了再合起来：F1 和 Corr 不是各批的平均。应把全部预测拼好，一次算出。')
    else:
        _judge_other_metrics(metrics)


def _flat(x):
    """Numbers of a tensor or array in one row; None for anything else."""
    return torch.as_tensor(x).detach().reshape(-1) if hasattr(x, 'shape') else None


def _judge_arrays(arrays, y_pred, y_true):
    """The returned predictions and labels should be those of all utterances, in their order."""
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
    """The returned loss should be the unweighted mean over the batches."""
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


def _judge_calls(calls, y_pred, y_true):
    """`eval_mosi_regression` should be called with all predictions and all labels."""
    pairs = [(_flat(a), _flat(b)) for a, b in calls]
    pairs = [(a, b) for a, b in pairs if a is not None and b is not None]
    if any(near(a, y_pred) and near(b, y_true) for a, b in pairs):
        return
    if any(near(a, y_true) and near(b, y_pred) for a, b in pairs):
        fail(
            7,
            '传给 `eval_mosi_regression` 的预测和真实标签**顺序反了**：'
            '多数指标看不出来，F1 和“非零”的筛选却会变。预测在前。',
        )
    if any(near(a, y_pred[-len(a) :]) and len(a) < 9 for a, _ in pairs):
        fail(7, '指标只用了**最后一批**的预测：循环变量里剩下的是最后一批，要用拼好的全部预测。')
    sizes = '、'.join(f'{len(a)} 句对 {len(b)} 句' for a, b in pairs) or '不是张量'
    fail(7, f'指标应由全部 9 句的预测和标签算出；传给 `eval_mosi_regression` 的是 {sizes}。')


def _judge_other_metrics(metrics):
    """Metrics that the solution computes itself: those that do not depend on other tasks."""
    y_pred, y_true = np.array(PREDICTED), np.array(LABELS)
    positive, truth = y_pred > 0, y_true > 0
    expected = {
        'Non0_acc_2': np.mean(positive == truth),
        'Non0_F1_score': f1_score(positive, truth, average='weighted'),
        'MAE': np.mean(np.abs(y_pred - y_true)),
        'Corr': np.corrcoef(y_pred, y_true)[0, 1],
    }
    swapped = f1_score(truth, positive, average='weighted')
    for name, value in expected.items():
        actual = metrics.get(name)
        if actual is not None and math.isclose(float(actual), value, abs_tol=2e-4):
            continue
        if name == 'Non0_F1_score' and actual is not None and abs(float(actual) - swapped) < 2e-4:
            fail(7, '`Non0_F1_score` 的预测和真实标签**顺序反了**：预测在前。')
        fail(7, f'指标应由全部预测算出，`{name}` 应约为 {value:.4f}；得到 {actual}。')
