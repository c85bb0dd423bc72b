"""The command lines: `msa_utils.py [FILE]`, `msa_utils.py inspect [FILE ...]` and those by `-m`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from msa_lab.data import load_split
from msa_lab.data.command_line import command_line
from msa_lab.data.synthetic import SYNTHETIC_PATH

ROOT = Path(__file__).parent.parent


@pytest.fixture
def trained(monkeypatch):
    """The paths that `train`, a double for `main`, was called with; MSA_DATA is not set.

    No file is there, so none is looked at first.
    """
    monkeypatch.delenv('MSA_DATA', raising=False)
    monkeypatch.setattr('msa_lab.data.command_line.load_file', lambda path: None)
    return []


def run_module(module, *args, cwd):
    """`python -m module args` in a folder; warnings of Python itself are errors."""
    return subprocess.run(
        [sys.executable, '-W', 'error::RuntimeWarning', '-m', module, *args],
        cwd=cwd,
        env=os.environ | {'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
    )


def test_a_file_is_trained_on(trained, monkeypatch):
    assert command_line(['a.pkl'], trained.append) == 0
    assert command_line([], trained.append) == 0
    monkeypatch.setenv('MSA_DATA', 'b.pkl')
    assert command_line([], trained.append) == 0
    assert trained == ['a.pkl', './mosi_raw.pkl', 'b.pkl']


def test_a_standin_is_trained_on_by_its_name(trained, monkeypatch):
    monkeypatch.setattr('msa_lab.data.command_line.ensure_data', lambda name: f'path of {name}')
    assert command_line(['reviews'], trained.append) == 0
    monkeypatch.setenv('MSA_DATA', 'synthetic')
    assert command_line([], trained.append) == 0
    assert trained == ['path of reviews', 'path of synthetic']


def test_a_missing_or_wrong_file_is_one_line(tmp_path):
    for content in (None, b'no pickle'):
        path = tmp_path / 'a.pkl'
        if content:
            path.write_bytes(content)
        message = command_line([str(path)], load_split)
        assert message.startswith('error: ')
        assert 'a.pkl' in message
        assert '\n' not in message


def test_inspect_prints_a_report_per_file(small_file, tmp_path, capsys, monkeypatch):
    assert command_line(['inspect', str(small_file)], None) == 0
    assert capsys.readouterr().out.count('STAND-IN synthetic') == 1
    assert command_line(['inspect', str(small_file), str(tmp_path / 'no.pkl')], None) == 1
    output = capsys.readouterr().out
    assert 'STAND-IN synthetic' in output
    assert f'error: no file {tmp_path / "no.pkl"}' in output
    monkeypatch.setenv('MSA_DATA', str(small_file))
    assert command_line(['inspect'], None) == 0
    assert 'STAND-IN synthetic' in capsys.readouterr().out


@pytest.mark.parametrize('args', [['--help'], ['-h'], ['inspect', '--help']])
def test_help_is_no_file(trained, capsys, args):
    with pytest.raises(SystemExit) as caught:
        command_line(args, trained.append)
    assert caught.value.code == 0
    assert not trained
    output = capsys.readouterr().out
    assert output.startswith('usage: python msa_utils.py')
    assert 'default: $MSA_DATA, else ./mosi_raw.pkl' in output


@pytest.mark.parametrize('args', [['--fast'], ['a.pkl', 'b.pkl'], ['inspect', '--fast']])
def test_an_option_that_does_not_exist_is_said_with_the_usage(trained, capsys, args):
    with pytest.raises(SystemExit) as caught:
        command_line(args, trained.append)
    assert caught.value.code == 2
    assert not trained
    error = capsys.readouterr().err
    assert error.startswith('usage: python msa_utils.py')
    assert f'unrecognized arguments: {args[-1]}' in error


@pytest.mark.parametrize('module', ['msa_lab.data.inspection', 'msa_lab.data.synthetic'])
def test_help_of_a_module_writes_no_file(tmp_path, module):
    result = run_module(module, '--help', cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f'usage: python -m {module}')
    assert result.stderr == ''
    assert run_module(module, '--fast', cwd=tmp_path).returncode == 2
    assert not os.listdir(tmp_path)


def test_the_standin_is_written_and_described(tmp_path):
    result = run_module('msa_lab.data.synthetic', cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ''
    assert 'STAND-IN synthetic' in result.stdout
    report = run_module('msa_lab.data.inspection', str(SYNTHETIC_PATH), cwd=tmp_path)
    assert report.returncode == 0
    assert result.stdout in report.stdout
    assert run_module('msa_lab.data.inspection', 'no.pkl', cwd=tmp_path).returncode == 1
