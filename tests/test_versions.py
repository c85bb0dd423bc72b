"""The first cell says in one line what is too old and which version is needed."""

import ast
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

import msa_lab

ROOT = Path(__file__).parent.parent
Version = namedtuple('Version', 'major minor micro releaselevel serial')


def test_this_environment_is_new_enough():
    msa_lab.check_versions()


def test_an_old_python_is_named(monkeypatch):
    monkeypatch.setattr(sys, 'version_info', Version(3, 8, 18, 'final', 0))
    with pytest.raises(ImportError, match=r'现在是 3\.8\.18，需要 3\.10 或更新') as caught:
        msa_lab.check_versions()
    assert '\n' not in str(caught.value)


def test_packages_that_are_missing_or_too_old_are_named(monkeypatch, tmp_path):
    file = tmp_path / 'requirements.txt'
    file.write_text('# a comment\ntorch>=99.1\nnumpy>=1.0\nno-such-package>=2.0\n')
    monkeypatch.setattr(msa_lab, 'REQUIREMENTS', file)
    with pytest.raises(ImportError) as caught:
        msa_lab.check_versions()
    message = str(caught.value)
    assert 'torch（现在是 ' in message
    assert '需要 99.1）' in message
    assert 'no-such-package（没有安装，需要 2.0）' in message
    assert 'numpy' not in message
    assert 'pip install -r requirements.txt' in message
    assert '\n' not in message


def test_without_the_list_nothing_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(msa_lab, 'REQUIREMENTS', tmp_path / 'requirements.txt')
    msa_lab.check_versions()


@pytest.mark.parametrize('feature_version', [(3, 7), (3, 8), (3, 9)])
def test_an_old_python_can_read_what_tells_it_that_it_is_old(feature_version):
    source = (ROOT / 'msa_lab' / '__init__.py').read_text(encoding='utf-8')
    ast.parse(source, feature_version=feature_version)


def test_importing_it_needs_nothing_but_python():
    code = (
        'import sys; sys.path.insert(0, "."); from msa_lab import check_versions; '
        'assert not {"torch", "numpy"} & set(sys.modules)'
    )
    subprocess.run([sys.executable, '-I', '-c', code], cwd=ROOT, check=True)
