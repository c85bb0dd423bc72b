"""Self-check of the data set (TODO 1)."""

import operator
from pathlib import Path

from msa_lab.checks.compare import shape_of
from msa_lab.checks.failure import fail, self_check
from msa_lab.data import SPLITS, STEPS, WIDTHS
from msa_lab.data.synthetic import write_standin


@self_check(1, '数据集')
def check_dataset(MOSIDataset: type) -> None:
    """TODO 1: the length of every split of a tiny stand-in file."""
    path = Path('tiny.pkl').resolve()
    sizes = dict(zip(SPLITS, (19, 13, 11), strict=True))
    write_standin(path, videos=(3, 2, 2), utterances=tuple(sizes.values()), vocabulary=900)
    for split, size in sizes.items():
        dataset = MOSIDataset(path, split)
        _judge_length(type(dataset).__len__(dataset), size, split, sizes)


def _judge_length(length, size, split, sizes):
    """`__len__` should give the number of utterances of its split, an integer."""
    task = f'`len(MOSIDataset(..., {split!r}))` 应是 {size}，即自检自己的小文件里的样本数'
    try:
        value = operator.index(length)
    except TypeError:
        fail(1, f'{task}，一个整数；`__len__` 返回的是{shape_of(length)}。')
    if value == size:
        return
    message = f'{task}；得到 {value}'
    if value in (size - 1, size + 1):
        fail(1, f'{message}，恰好差 1。样本从 0 数起，个数却不用加减 1。')
    if value == STEPS:
        fail(1, f'{message}，那是每个样本的**步数**。要数的是第一维，不是第二维。')
    if value in WIDTHS.values():
        name = next(name for name, width in WIDTHS.items() if width == value)
        fail(1, f'{message}，那是 {name} 特征的**维数**。要数的是第一维，不是最后一维。')
    if value in (3, 4):
        fail(1, f'{message}，那是每个样本有几个部分（或几种模态），不是有多少个样本。')
    if value in sizes.values() or value == sum(sizes.values()):
        fail(1, f'{message}，那是别的划分（或三个划分合起来）的样本数。')
    if value and value % size == 0:
        fail(1, f'{message}，是样本数的 {value // size} 倍：数的是元素的个数，不是样本的个数。')
    fail(1, f'{message}。')
