"""Self-check of the overall accuracy (TODO 6)."""

import numbers
from collections.abc import Callable

import numpy as np
import torch

from msa_lab.checks.compare import shape_of
from msa_lab.checks.failure import fail, self_check

# Predictions and labels without halves, and with. EQUAL is how many pairs each reading of
# the task takes for equal; a test counts them again.
PLAIN = (
    (2.2, -1.3, 0.3, 1.1, -2.6, 0.2, 0.4, -0.2, 0.1, 2.9, -1.8, 1.0, 0.0, 2.3, -0.4, 1.6),
    (1.9, -0.8, 0.9, 1.4, -3.0, -0.4, 0.1, 0.3, 0.2, 2.4, -1.2, 1.0, -0.1, 0.4, -0.3, 1.2),
)
HALVES = (
    (0.5, 1.5, 2.5, -0.5, -1.5, 2.5, 0.5, 1.0),
    (0.2, 2.1, 1.8, 0.1, -1.2, 2.0, 0.9, 1.0),
)
EQUAL = {
    'round': (11, 6),
    'floor': (10, 5),
    'truncated': (12, 6),
    'half up': (11, 5),
    'half away': (11, 3),
    'exact': (1, 1),
    'within half': (9, 4),
    'prediction not rounded': (2, 1),
    'label not rounded': (2, 2),
}
PER_CLASS = (0.6714285714285715, 0.5986394557823129)  # of PLAIN, by true and by predicted class
ROUNDING = {
    'floor': '用的是向下取整（floor），应取最近的整数：1.9 和 2.2 都该算 2',
    'truncated': '用的是截断（astype(int) 之类），应取最近的整数：1.9 和 2.2 都该算 2',
    'half up': '.5 的处理不同：这里一律进位；NumPy 的取整向**偶数**靠（0.5 → 0，2.5 → 2）',
    'half away': '.5 的处理不同：这里一律远离 0；NumPy 的取整向**偶数**靠（0.5 → 0，2.5 → 2）',
    'exact': '没有取整就比较了，只有恰好相等才算对',
    'within half': '比的是两者相差是否小于 0.5，不是取整之后是否相等',
    'prediction not rounded': '只取整了真实分数，**预测**没有取整',
    'label not rounded': '只取整了预测，**真实分数**没有取整',
}


@self_check(6, '总体准确率')
def check_accuracy(multiclass_acc: Callable) -> None:
    """TODO 6: the share of utterances whose rounded prediction is the rounded label."""
    values = []
    for pairs in (PLAIN, HALVES):
        value = multiclass_acc(*(np.array(x) for x in pairs))
        if np.ndim(value) and np.size(value) == len(pairs[0]):
            fail(6, '返回的是每个样本对不对，还要求出对的占多大比例：一个浮点数。')
        if np.ndim(value) or not isinstance(value, (numbers.Real, np.ndarray, torch.Tensor)):
            fail(6, f'应返回一个浮点数；得到的是{shape_of(value)}。')
        values.append(float(value))
    sizes = (len(PLAIN[0]), len(HALVES[0]))
    shares = {name: [n / m for n, m in zip(c, sizes, strict=True)] for name, c in EQUAL.items()}
    if not np.allclose(values, shares['round']):
        fail(6, _diagnose_accuracy(values, shares, sizes))


def _diagnose_accuracy(values, shares, sizes):
    """In words: what was computed in place of the overall accuracy.

    `values` are the results for PLAIN and HALVES, `shares` what each reading of the task gives.
    """
    right = shares['round']
    task = f'{sizes[0]} 个样本里对了 {EQUAL["round"][0]} 个，应返回 {right[0]:.4f}'
    message = f'{task}；得到 {values[0]:.4f}'
    if np.allclose(values, EQUAL['round']):
        return f'{message}，这是对的**个数**，还要除以总数。'
    if np.allclose(values, np.multiply(right, 100)):
        return f'{message}，这是百分数，应是 0 到 1 之间的比例。'
    if np.allclose(values, np.subtract(1, right)):
        return f'{message}，这是**错误率**（不相等的比例）。'
    if any(np.isclose(values[0], wrong) for wrong in PER_CLASS):
        return (
            f'{message}，这是先求每一类的准确率、再求平均。总体准确率里，每个**样本**的分量一样。'
        )
    for name, share in shares.items():
        if name != 'round' and np.allclose(values, share):
            if np.isclose(values[0], right[0]):
                message = f'{sizes[1]} 个带 .5 的样本，应返回 {right[1]:.4f}；得到 {values[1]:.4f}'
            return f'{message}。{ROUNDING[name]}。'
    return f'{message}；另一组应返回 {right[1]:.4f}，得到 {values[1]:.4f}。'
