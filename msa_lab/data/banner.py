"""What the notebook says of the data it runs on: a banner in Chinese, a caption in English."""

from pathlib import Path

from msa_lab.data.mosi_file import load_file, load_split
from msa_lab.data.split import measure_alignment

BANNERS = {
    'reviews': '> **本次使用替身数据 `reviews`，不是 CMU-MOSI。**\n>\n'
    '> **真实的**是文本和标签：每句话出自真实的影评（书面语），标签是五个人打分的平均，'
    '词向量由真实文本统计而来。\n>\n'
    '> **模拟的**是视觉、语音和说话人：它们的规律是生成数据时放进去的，得不出关于真人的结论。',
    'synthetic': '> **本次使用替身数据 `synthetic`，不是 CMU-MOSI。**\n>\n'
    '> **真实的**只有文件格式。\n>\n'
    '> **模拟的**是其余的一切：句子、词向量、打分、视觉、语音和说话人都由程序生成，'
    '看到的规律都是生成数据时放进去的。',
}
FALLBACK = (
    '\n>\n> 为什么不用 `reviews`？它要用的真实句子还没有下载到本机，或者下载的文件不对，'
    '具体原因见上一格打印的那一行。实验运行时不会下载任何东西：请先联网，'
    '在终端里运行 `python -m msa_lab.data.reviews`，再从头运行本笔记本。'
)


def data_banner(path: str | Path, asked: str = '') -> str:
    """What is real and what is simulated in the data file at `path`: Markdown, in Chinese.

    `asked` is what the user asked for ('' for nothing). If nothing was asked for and the file is
    the stand-in `synthetic`, the banner also says how to come to `reviews`.
    """
    standin = load_split(path).standin
    if not standin:
        aligned = measure_alignment(load_file(path).splits.values())
        return (
            f'> **本次使用你的数据文件** `{Path(path).name}`。\n>\n'
            f'> 文本与语音从同一步开始的句子占 {aligned["audio"]:.0%}，'
            f'文本与视觉占 {aligned["vision"]:.0%}；比例越低，同一步属于不同的词的句子就越多。'
        )
    return BANNERS[standin] + (FALLBACK if standin == 'synthetic' and not asked else '')


def data_caption(path: str | Path) -> str:
    """The words by which tables and figures name the data file at `path`: English, a few words."""
    standin = load_split(path).standin
    return f'stand-in "{standin}", not CMU-MOSI' if standin else Path(path).name
