"""Self-check of the TensorBoard log (TODO 9)."""

from msa_lab.checks.failure import fail, self_check
from msa_lab.data import METRICS
from msa_lab.files.tensorboard_logs import read_scalars


@self_check(9, 'TensorBoard 日志')
def check_logging(RunWriter: type) -> None:
    """TODO 9: both losses under the tag `loss`, in train/ and in valid/, at the right epochs."""
    losses = {'train': [1.75, 1.5, 1.25], 'valid': [1.875, 1.625, 1.375]}
    epochs = [1, 2, 3]
    with RunWriter('logs') as writer:
        for epoch, train, valid in zip(epochs, *losses.values(), strict=True):
            metrics = {name: 0.01 * i + 0.1 * epoch for i, name in enumerate(METRICS)}
            record = {'epoch': epoch, 'lr': 1e-3 / epoch, 'train_loss': train, 'valid_loss': valid}
            writer.log_epoch(record | metrics)
    scalars = read_scalars('logs')
    for part, values in losses.items():
        if scalars.get((part, 'loss')) != (epochs, values):
            fail(9, _diagnose_logging(part, losses, scalars))


def _diagnose_logging(part, losses, scalars):
    """In words: where a loss was written instead of to the tag `loss` of its own directory."""
    other, values = 'valid' if part == 'train' else 'train', losses[part]
    task = f'{part}_loss 应写进 `{part}/` 目录，标签 `loss`，step 是轮数（1、2、3）'
    written = {key: set(points[1]) for key, points in scalars.items()}
    found = [key for key, points in written.items() if set(values) & points]
    if not found:
        return f'{task}；日志里找不到它的值。'
    folder, tag = found[0]
    if (other, 'loss') in found and written.get((part, 'loss'), set()) - set(values):
        return f'{task}；现在两个损失写**反**了：{part}_loss 在 `{other}/` 里。'
    if folder == other:
        return f'{task}；它却和 {other}_loss 写进了同一个目录 `{other}/`（标签 {tag}）。'
    if folder != part:
        return f'{task}；它却在目录 `{folder}/` 里（标签 {tag}）。'
    if tag != 'loss':
        return (
            f'{task}；标签却是 `{tag}`。TensorBoard 把**同名**的标签画进同一张图，'
            '名字不同，两条曲线就不在一起。'
        )
    steps, logged = scalars[folder, tag]
    if set(losses[other]) & set(logged):
        return f'{task}；{other}_loss 却也写进了 `{part}/`：两个损失在同一个目录、同一个标签里。'
    if logged != values:
        return f'{task}；那里却写了 {len(logged)} 个值：{logged}。'
    if len(set(steps)) == 1:
        return f'{task}；step 却总是 {steps[0]}（没有传？），几轮的点叠在一起。'
    return f'{task}；step 却是 {steps}。'
