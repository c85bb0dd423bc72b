"""The baseline gives the very numbers of a literal, naive completion of the lab's contract.

`benchmarks/naive.py` converts item by item, with plain loaders and one loop. On the CPU both must
print the same losses and metrics, digit for digit.
"""

import re

import torch

import msa_utils
from benchmarks.naive import naive_main


def test_the_baseline_prints_what_a_naive_completion_prints(
    small_file, workdir, capsys, monkeypatch
):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    naive = naive_main(small_file, epochs=4)
    expected = capsys.readouterr().out
    _, _, metrics = msa_utils.main(small_file, epochs=4)
    assert capsys.readouterr().out == expected
    assert metrics == naive
    losses = re.findall(r'Loss: (\d\.\d{4})', expected)
    assert len(set(losses)) == 9  # four epochs of two losses and the test loss, none the same


if __name__ == '__main__':  # python -m tests.test_parity FILE EPOCHS: the same on a full-size file
    import contextlib
    import io
    import sys

    printed = []
    for run in (naive_main, msa_utils.main):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            run(sys.argv[1], int(sys.argv[2]))
        printed.append(out.getvalue())
    print(printed[0])
    print('the same, to the printed digit:', printed[0] == printed[1])
