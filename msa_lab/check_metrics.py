"""Self-checks of the metrics (TODO 6)."""

import math
import numbers

import numpy as np
import torch

from msa_lab.check_tools import METRICS, fail, quiet_room, self_check, shape_of

# Predictions and labels without halves, and with; below, how often each reading of the task would
# call them equal. The tests count again.
PLAIN = (
    (2.2, -1.3, 0.3, 1.1, -2.6, 0.2, 0.4, -0.2, 0.1, 2.9, -1.8, 1.0, 0.0, 2.3, -0.4),
    (1.9, -0.8, 0.9, 1.4, -3.0, -0.4, 0.1, 0.3, 0.2, 2.4, -1.2, 1.0, -0.1, 0.4, -0.3),
)
HALVES = (
    (0.5, 1.5, 2.5, -0.5, -1.5, 2.5, 0.5, 1.0),
    (0.2, 2.1, 1.8, 0.1, -1.2, 2.2, 0.9, 1.0),
)
EQUAL = {
    'round': (11, 6),
    'floor': (9, 5),
    'truncated': (11, 6),
    'half up': (11, 5),
    'half away': (11, 3),
    'exact': (1, 1),
    'within half': (8, 5),
}
PER_CLASS = (0.7047619047619047, 0.6224489795918368)  # of PLAIN, by true and by predicted class
ROUNDING = {
    'floor': '用的是向下取整（floor），应是四舍五入到最近的整数：1.9 和 2.2 都该算 2',
    'truncated': '用的是截断（astype(int) 之类），应是取最近的整数：1.9 和 2.2 都该算 2',
    'half up': '.5 的处理不同：这里 0.5、2.5 一律进了位；NumPy 的取整向**偶数**靠（0.5 → 0，2.5 → 2）',
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
        if np.ndim(value) or not isinstance(value, (numbers.Real, np.ndarray, np.generic)):
            if np.ndim(value) and np.size(value) == len(pairs[0]):
                fail(6, '返回的是每个样本对不对，还要求出对的占多大比例：一个浮点数。')
            if not isinstance(value, torch.Tensor) or value.ndim:
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
    with quiet_room():
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
