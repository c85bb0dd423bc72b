"""Self-check of one epoch of training (TODO 8)."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from msa_lab.checks.compare import shape_of
from msa_lab.checks.failure import CheckFailed, fail, self_check

BROADCAST = (
    '形状 (B, 1) 的输出和形状 (B,) 的标签相减，被广播成了 (B, B)：'
    '每个预测都和每个标签比了一遍。先让两者形状相同。'
)


class _LinearModel(nn.Module):
    """Scores (B, 1), linear in the last steps; refuses features in another order."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(9, 1)

    def forward(self, vision, text, audio):
        widths = tuple(x.shape[-1] for x in (vision, text, audio))
        if widths != (2, 3, 4):
            raise CheckFailed(
                'TODO 8：模型要按 (vision, text, audio) 的顺序收到三种特征，'
                f'维数依次是 (2, 3, 4)；收到的是 {widths}。'
            )
        return self.fc(torch.cat([x[:, -1] for x in (vision, text, audio)], dim=1))


class _WatchedSGD(torch.optim.SGD):
    """SGD with lr 0.1 that records the calls of its methods in `events`."""

    def __init__(self, parameters, events):
        super().__init__(parameters, lr=0.1)
        self.events = events

    def zero_grad(self, *args, **kwargs):
        self.events.append('zero_grad')
        super().zero_grad(*args, **kwargs)

    def step(self, *args, **kwargs):
        self.events.append('step')
        return super().step(*args, **kwargs)


class _WatchedScheduler:
    """A double of a scheduler that changes nothing and records its steps in `events`."""

    def __init__(self, events):
        self.events = events

    def step(self, *args, **kwargs):
        self.events.append('scheduler')

    def get_last_lr(self):
        return [0.1]


@self_check(8, '训练一轮')
def check_train_epoch(train_epoch: Callable) -> None:
    """TODO 8: one epoch gives the parameters that gradient descent in NumPy gives."""
    model, events = _LinearModel(), []
    features = [0.5 * torch.randn(9, 3, width) for width in (2, 3, 4)]
    labels = torch.randn(9) + 1
    x = torch.cat([f[:, -1] for f in features] + [torch.ones(9, 1)], dim=1).double().numpy()
    y = labels.double().numpy()
    start = _weights(model)
    model.fc.bias.register_hook(lambda gradient: events.append('backward'))
    optimizer, scheduler = _WatchedSGD(model.parameters(), events), _WatchedScheduler(events)
    loader = DataLoader(TensorDataset(*features, labels), batch_size=4)  # the last batch has one
    losses = train_epoch(model, loader, nn.MSELoss(), optimizer, scheduler, torch.device('cpu'))

    end, right = _weights(model), _descend(x, y, start, _mse_gradient)
    if not np.allclose(end, right, atol=1e-5):
        fail(8, _diagnose_descent(end, x, y, start, events))
    steps = events.count('scheduler')
    if steps != 3:
        fail(
            8,
            f'`scheduler.step()` 应每批一次，3 批共 3 次；执行了 {steps} 次。'
            '这一行给好了，不用再写。',
        )
    if not isinstance(losses, torch.Tensor) or losses.numel() != 3:
        fail(8, f'应返回每一批的 loss（3 个）；得到的是{shape_of(losses)}。')
    expected = _losses(x, y, start)
    if not np.allclose(losses.detach().double().numpy(), expected, atol=1e-4):
        fail(
            8,
            f'每批的 loss 应是 {np.round(expected, 4).tolist()}（更新之前算的）；'
            f'得到 {losses.detach().double().numpy().round(4).tolist()}。',
        )
    _judge_other_loss(train_epoch, loader, x, y)


class _AsymmetricLoss(nn.Module):
    """A loss that differs from all usual ones and is not symmetric; it records its arguments."""

    def __init__(self):
        super().__init__()
        self.arguments = []

    def forward(self, input, target):
        self.arguments.append([part.detach().reshape(-1) for part in (input, target)])
        return ((input - target) ** 2 + input).mean()


def _asymmetric_gradient(x, error, y):
    return x.T @ (2 * error + 1) / len(y)


def _judge_other_loss(train_epoch, loader, x, y):
    """With another loss, as section 7 trains, the parameters should follow that loss."""
    model, criterion = _LinearModel(), _AsymmetricLoss()
    start, events = _weights(model), []
    optimizer, scheduler = _WatchedSGD(model.parameters(), events), _WatchedScheduler(events)
    train_epoch(model, loader, criterion, optimizer, scheduler, torch.device('cpu'))
    end = _weights(model)
    if np.allclose(end, _descend(x, y, start, _asymmetric_gradient), atol=1e-5):
        return
    firsts = [first.double().numpy() for first, _ in criterion.arguments]
    if firsts and np.allclose(np.concatenate(firsts)[: len(y)], y[: sum(map(len, firsts))]):
        fail(8, 'criterion 的两个参数反了：预测在前，标签在后。')
    if not firsts or np.allclose(end, _descend(x, y, start, _mse_gradient), atol=1e-5):
        fail(8, '损失写死了：要用传进来的 criterion，第 7 节会换成别的损失。')
    fail(8, '换一种损失（不是 MSE）之后，参数和手算的不一致：loss 应就是 criterion 给出的那个数。')


def _weights(model):
    """Weights and bias of the model in one array."""
    fc = model.fc
    return torch.cat([fc.weight[0], fc.bias]).detach().double().numpy().copy()


def _mse_gradient(x, error, y):
    return 2 * x.T @ error / len(y)


def _broadcast_gradient(x, error, y):
    """The gradient of the mean over all B x B differences that (B, 1) minus (B,) gives."""
    return 2 * x.T @ (error + y - y.mean()) / len(y)


def _mae_gradient(x, error, y):
    return x.T @ np.sign(error) / len(y)


def _sum_gradient(x, error, y):
    return 2 * x.T @ error


def _descend(x, y, weights, gradient, keep=False, sign=1):
    """The weights after one epoch of gradient descent: batches of 4, lr 0.1.

    With `keep` the gradients are never zeroed; `sign=-1` goes uphill.
    """
    total = 0
    for first in range(0, len(y), 4):
        batch, truth = x[first : first + 4], y[first : first + 4]
        step = gradient(batch, batch @ weights - truth, truth)
        total = total + step if keep else step
        weights = weights - sign * 0.1 * total
    return weights


def _losses(x, y, weights):
    """The mean squared error of every batch before its step."""
    losses = []
    for first in range(0, len(y), 4):
        part = slice(first, first + 4)
        losses.append(np.mean((x[part] @ weights - y[part]) ** 2))
        weights = _descend(x[part], y[part], weights, _mse_gradient)
    return losses


def _diagnose_descent(end, x, y, start, events):
    """In words: the mistake that leads to the parameters `end`."""

    def leads_here(gradient, **how):
        return np.allclose(end, _descend(x, y, start, gradient, **how), atol=1e-5)

    if np.allclose(end, start, atol=1e-7):
        if 'backward' not in events:
            return '参数没有变化：没有对 loss 做反向传播（backward），也就没有梯度。'
        if 'step' not in events:
            return '参数没有变化：算出了梯度，却没有让优化器走一步（step）。'
        order = [e for e in events if e != 'scheduler']
        if order.index('step') < order.index('backward'):
            return '参数没有变化：`optimizer.step()` 在反向传播**之前**，那时还没有梯度。'
        return (
            '参数没有变化：梯度在反向传播之后、`optimizer.step()` **之前**被清掉了。'
            '清空的是上一批留下的旧梯度，要在这一批的反向传播之前。'
        )
    for gradient, message in (
        (_mse_gradient, ''),
        (_broadcast_gradient, BROADCAST),
        (_mae_gradient, '用的是绝对误差：损失函数要用传进来的 `criterion`。'),
        (_sum_gradient, '各句的平方误差是相加的，没有求平均：损失函数要用传进来的 `criterion`。'),
    ):
        if message and leads_here(gradient):
            return message
        if leads_here(gradient, keep=True):
            more = f'另外，{message}' if message else ''
            return f'梯度从来没有**清空**：每一批的梯度都加在前面各批的上面。{more}'
    if leads_here(_mse_gradient, sign=-1):
        return '参数朝着 loss **变大**的方向走了：符号反了。'
    order = [e for e in events if e != 'scheduler']
    if order and order[0] == 'step':
        return '`optimizer.step()` 在反向传播**之前**：每一步用的是上一批的梯度。'
    counts = {name: order.count(name) for name in ('zero_grad', 'backward', 'step')}
    return (
        '一轮之后的参数和手算的梯度下降不一致（MSE，学习率 0.1，每批 4 句，最后一批 1 句）。'
        f'3 批里各执行了：{counts}，每样应是 3 次。'
    )
