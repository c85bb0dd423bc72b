"""The command line of `msa_utils.py`."""

import argparse
from collections.abc import Callable

from msa_lab.data.ensure import ensure_data
from msa_lab.data.errors import DataError
from msa_lab.data.inspection import FILE_HELP, default_file, inspect_command
from msa_lab.data.mosi_file import load_file
from msa_lab.data.split import STANDINS


def command_line(args: list[str], train: Callable) -> int | str:
    """The command line of the lab: `[FILE]` trains and tests, `inspect [FILE ...]` reports.

    `args` are the words behind the program's name, `train` is called with the path of the file. A
    file may also be the name of a stand-in. Without one it is what the environment variable
    MSA_DATA names, else `./mosi_raw.pkl`. Returns what `sys.exit` takes: 0, 1, or a line that says
    what is wrong with the file. Raises SystemExit for `--help` (0) and for an option that does not
    exist (2).
    """
    if args[:1] == ['inspect']:
        return inspect_command(args[1:], 'python msa_utils.py inspect')
    parser = argparse.ArgumentParser(
        prog='python msa_utils.py',
        usage='%(prog)s [-h] [FILE]\n       %(prog)s inspect [-h] [FILE ...]',
        description='Train and test the baseline on a data file, or say what data files are.',
    )
    parser.add_argument('file', nargs='?', metavar='FILE', help=FILE_HELP)
    file = parser.parse_args(args).file or default_file()
    try:
        path = ensure_data(file) if file in STANDINS else file
        load_file(path)  # before anything is printed; the training finds it in memory
        train(path)
    except (FileNotFoundError, DataError) as error:
        return f'error: {error}'
    return 0
