"""The self-checks: every known mistake is named by its own check and by no other, and every right
way of writing a solution passes.
"""

import ast
import contextlib
import io
import os
import random
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import msa_utils
from msa_lab import checks
from msa_lab.checks import accuracy
from msa_lab.checks.isolation import without_stubs
from msa_lab.models import masked_mean
from tests.regions import code_cells, edit, namespace, regions, unfilled
from tests.solutions import CHECKS, CORRECT, FUSION, LENGTH, REGIONS, WRONG

LISTS = [task for task in CHECKS if task.startswith('14.')]  # lists, which no function makes
FUNCTIONS = [task for task in CHECKS if task not in LISTS]
SLOW = ('13', '15')  # run with the first mistake of every task, not with all of them
FIRST = {variant.task: variant for variant in reversed(WRONG)}.values()


@pytest.fixture(scope='module')
def reference():
    return namespace()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty current directory, which every check must leave empty."""
    monkeypatch.chdir(tmp_path)
    yield
    assert os.getcwd() == str(tmp_path)
    assert list(tmp_path.iterdir()) == []


def run(task, names):
    """One check of a namespace."""
    check, arguments = CHECKS[task]
    getattr(checks, check)(*(names[argument] for argument in arguments))


def verdicts(names, tasks=CHECKS):
    """{task: message} of the checks that fail; what they print is looked at elsewhere."""
    failed = {}
    for task in tasks:
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                run(task, names)
        except checks.CheckFailed as error:
            failed[task] = str(error)
    return failed


def is_one_line(out, number):
    return re.fullmatch(rf'✓ TODO {re.escape(str(number))} [^\n]+\n', out) is not None


def test_the_checks_are_those_that_the_notebook_calls():
    cells = {name: source for name, source in code_cells().items() if name.startswith('check-')}
    called = {}
    for name, source in cells.items():
        call = ast.parse(source).body[-1].value
        task = name.removeprefix('check-').replace('-', '.')
        called[task] = (call.func.attr, tuple(a.id for a in call.args))
    assert called == CHECKS
    exported = {name for name in checks.__all__ if name.startswith('check_')}
    assert exported == {check for check, _ in CHECKS.values()}


def test_every_region_of_the_notebook_has_a_right_body():
    standing = [cell for task in CHECKS for cell, _ in regions(code_cells(), task)]
    assert sorted(standing) == sorted(region.cell for region in REGIONS)
    assert len({region()[:3] for region in REGIONS}) == len(REGIONS)
    assert verdicts(namespace([region() for region in REGIONS])) == {}


def test_every_variant_has_a_name_and_a_task_and_differs_from_the_right_body():
    names = [variant.name for variant in (*WRONG, *CORRECT)]
    assert len(set(names)) == len(names)
    assert {variant.task for variant in WRONG} == {v.task for v in CORRECT} == set(CHECKS)
    right = {region()[:3]: region().body for region in REGIONS}
    for variant in (*WRONG, *CORRECT):
        assert {change.task for change in variant.edits} == {variant.task}
        assert len({change[:3] for change in variant.edits}) == len(variant.edits)
        assert all(change.body != right[change[:3]] for change in variant.edits), variant.name


@pytest.mark.parametrize('task', CHECKS)
def test_the_reference_passes_in_one_line(reference, task, capfd):
    run(task, reference)
    out, err = capfd.readouterr()
    assert is_one_line(out, task)
    assert err == ''


@pytest.mark.parametrize('task', CHECKS)
def test_imported_definitions_pass(reference, task):
    """The definitions of the mirror, which are imported and not made in a notebook."""
    lists = {name: reference[name] for list_task in LISTS for name in CHECKS[list_task][1]}
    run(task, {**vars(msa_utils), **lists})


@pytest.mark.parametrize('variant', CORRECT, ids=lambda v: v.name)
def test_another_right_solution_passes(variant, capfd):
    names = namespace(variant.edits)
    capfd.readouterr()
    run(variant.task, names)
    out, err = capfd.readouterr()
    assert is_one_line(out, variant.task)
    assert err == ''
    others = [task for task in CHECKS if task not in (variant.task, *SLOW)]
    assert verdicts(names, others) == {}


@pytest.mark.parametrize('variant', WRONG, ids=lambda v: v.name)
def test_a_mistake_is_named_by_its_check_alone(variant, capfd):
    names = namespace(variant.edits)
    before = dict(names)
    tasks = [task for task in CHECKS if task not in SLOW or variant in FIRST]
    failed = verdicts(names, {*tasks, variant.task})
    assert list(failed) == [variant.task]
    message = failed[variant.task]
    assert message.startswith(f'TODO {variant.task}：')
    assert re.search(variant.says, message), message
    assert re.search('[\u4e00-\u9fff]{2}', message)
    assert len(message) < 700
    assert names.keys() == before.keys()
    assert all(names[name] is value for name, value in before.items())
    assert capfd.readouterr() == ('', '')


@pytest.mark.parametrize('task', FUNCTIONS)
def test_an_unfilled_todo_is_called_by_its_number(task):
    failed = verdicts(namespace(unfilled(task)))
    assert list(failed) == [task]
    assert failed[task].startswith(f'TODO {task} 还没有完成')


@pytest.mark.parametrize('task', LISTS)
def test_an_unfilled_list_is_called_by_its_number_in_its_own_cell(task):
    (change,) = unfilled(task)
    with pytest.raises(NotImplementedError, match=f'TODO {re.escape(task)} 还没有完成'):
        exec(edit(code_cells(), [change])[change.cell], {})
    others = [other for other in CHECKS if other not in (task, *SLOW)]
    assert verdicts(namespace([change]), others) == {}


def test_the_untouched_edition_is_told_every_number():
    edits = [e for task in CHECKS for e in unfilled(task)]
    failed = verdicts(namespace(edits), FUNCTIONS)
    assert list(failed) == FUNCTIONS
    for task, message in failed.items():
        assert f'TODO {task} 还没有完成' in message


def test_a_mistake_in_every_task_is_named_in_every_task():
    failed = verdicts(namespace([e for variant in FIRST for e in variant.edits]))
    for variant in FIRST:
        assert re.search(variant.says, failed[variant.task])


def test_an_error_is_quoted_with_its_line_and_chained():
    def broken(model, loader, criterion, device):
        return len(3)

    with pytest.raises(checks.CheckFailed, match=r'TODO 7：.*TypeError.*len\(3\)') as caught:
        checks.check_evaluate(broken)
    assert isinstance(caught.value.__cause__, TypeError)

    def misuses(model, loader, criterion, device):
        return masked_mean(3, 4)

    # The error comes up in a function of the lab; the line that is shown is the student's.
    with pytest.raises(checks.CheckFailed, match=r'出错的一行：return masked_mean\(3, 4\)'):
        checks.check_evaluate(misuses)
    assert isinstance(caught.value, AssertionError)

    def leaves(y_pred, y_true):
        raise SystemExit(3)

    with pytest.raises(checks.CheckFailed, match='SystemExit'):
        checks.check_accuracy(leaves)


def test_a_variable_of_another_cell_is_named():
    """The check runs on its own data, so what the notebook holds by chance is of no use there."""
    accuracy_of = """\
def multiclass_acc(y_pred, y_true):
    return float(np.mean(np.round(y_pred) == np.round(labels)))"""
    names = {'np': np, 'labels': torch.zeros(5)}
    exec(accuracy_of, names)
    with pytest.raises(checks.CheckFailed, match='读了别的单元格留下的变量 `labels`：是不是该用参'):
        checks.check_accuracy(names['multiclass_acc'])
    names['labels'] = 3  # no tensor and no array: nothing is said of it
    with pytest.raises(checks.CheckFailed) as caught:
        checks.check_accuracy(names['multiclass_acc'])
    assert '留下的变量' not in str(caught.value)


def test_a_variable_of_another_cell_is_named_in_a_method():
    names = namespace([FUSION('feature = vision + text + audio_sequence')])
    names['audio_sequence'] = torch.zeros(1)
    assert '留下的变量 `audio_sequence`' in verdicts(names, ['4'])['4']


def test_an_attribute_of_the_same_name_is_no_variable():
    names = namespace([LENGTH('return len(self.labels) - 1')])
    names['labels'] = torch.zeros(5)
    assert '留下的变量' not in verdicts(names, ['1'])['1']


def test_a_given_name_whose_cell_was_not_run_is_named():
    names = namespace()
    given = {'12.1': 'masked_mean', '13': 'read_sequence'}
    for name in given.values():
        del names[name]
    failed = verdicts(names, given)
    for task, name in given.items():
        assert f'`{name}` 还没有定义：检查拼写；如果它是上面给好的，先运行那一格' in failed[task]


def test_what_a_student_prints_is_not_shown(capfd):
    def noisy(y_pred, y_true):
        print('debug')
        warnings.warn('a warning', stacklevel=1)
        os.write(2, b'from below\n')
        np.float64(1) / np.float64(0)
        return np.mean(np.rint(y_pred) == np.rint(y_true))

    checks.check_accuracy(noisy)
    out, err = capfd.readouterr()
    assert is_one_line(out, 6)
    assert err == ''


def states():
    return (
        random.getstate(),
        np.random.get_state()[1].tolist(),
        torch.get_rng_state().tolist(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.cuda.is_available,
        warnings.filters[:],
        np.geterr(),
    )


@pytest.mark.parametrize('task', CHECKS)
def test_the_caller_is_not_disturbed(reference, task):
    """Neither by a check that passes nor by one that fails; and its own settings do no harm."""
    wrong = namespace(next(v for v in WRONG if v.task == task).edits)
    before = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(2)
    try:
        with torch.no_grad():
            state = states()
            run(task, reference)
            assert states() == state
            with pytest.raises(checks.CheckFailed):
                run(task, wrong)
            assert states() == state
    finally:
        torch.set_default_dtype(before[0])
        torch.set_num_threads(before[1])


def test_the_verdict_does_not_depend_on_the_callers_seed(reference):
    for seed in range(4):
        torch.manual_seed(seed)
        assert verdicts(reference, ['3', '8', '12.1', '12.2']) == {}


def test_a_student_may_name_the_options_of_fit():
    """In place of the `**options` that `main` passes to `fit` and `fit` to `train_model`."""
    names = namespace()
    source = code_cells()['fit'].replace('    **options,\n', '    progress=False,\n')
    exec(source.replace('**options', 'progress=progress'), names)
    with pytest.raises(TypeError, match='quiet'):
        names['fit'](None, '', None, epochs=1, checkpoint='', quiet=True)
    assert verdicts(names, ['10.2']) == {}


OWN_SCHEMES = {
    'joined along the features, then a Linear': """
class SelfAttentionFusion(nn.Module):
    def __init__(self, num_modalities, dim=128):
        super().__init__()
        self.join = nn.Linear(num_modalities * dim, dim)
        self.encoder = TransformerEncoder(position=False, dim=dim)

    def forward(self, sequences, padding):
        joined = self.join(torch.cat(sequences, dim=-1))
        return masked_mean(self.encoder(joined, padding), padding)""",
    'a query of its own asks all steps': """
class SelfAttentionFusion(nn.Module):
    def __init__(self, num_modalities, dim=128):
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, 1, dim))
        self.attention = nn.MultiheadAttention(dim, 4, batch_first=True)

    def forward(self, sequences, padding):
        steps, mask = torch.cat(sequences, dim=1), padding.repeat(1, len(sequences))
        query = self.query.expand(len(steps), -1, -1)
        return self.attention(query, steps, steps, key_padding_mask=mask)[0].squeeze(1)""",
}


@pytest.mark.parametrize('scheme', OWN_SCHEMES)
def test_a_scheme_of_ones_own_for_self_attention_passes(scheme):
    names = namespace()
    exec(OWN_SCHEMES[scheme], names)
    assert verdicts(names, ['12.1', '13']) == {}


def test_the_stored_counts_of_the_accuracy():
    def away(x):
        return np.sign(x) * np.floor(np.abs(x) + 0.5)

    readings = {
        'round': np.round,
        'floor': np.floor,
        'truncated': np.trunc,
        'half up': lambda x: np.floor(x + 0.5),
        'half away': away,
        'exact': np.array,
    }
    sets = [[np.array(x) for x in s] for s in (accuracy.PLAIN, accuracy.HALVES)]
    counted = {n: tuple(int((f(p) == f(t)).sum()) for p, t in sets) for n, f in readings.items()}
    counted['within half'] = tuple(int((abs(p - t) < 0.5).sum()) for p, t in sets)
    counted['prediction not rounded'] = tuple(int((p == np.round(t)).sum()) for p, t in sets)
    counted['label not rounded'] = tuple(int((np.round(p) == t).sum()) for p, t in sets)
    assert counted == accuracy.EQUAL
    assert len(set(counted.values())) == len(counted)
    predicted, true = (np.round(x) for x in sets[0])
    hit = predicted == true
    classes = ([hit[c == k].mean() for k in np.unique(c)] for c in (true, predicted))
    means = [np.mean(c) for c in classes]
    assert means == pytest.approx(accuracy.PER_CLASS)


def test_no_solution_stands_in_the_checks():
    """The fill-in edition ships them: none of their lines may be a line of a solution."""
    files = Path(checks.__file__).parent.glob('*.py')
    sources = [file.read_text(encoding='utf-8') for file in files]
    lines = {line.strip() for source in sources for line in source.splitlines()}
    lines = {line for line in lines if re.search(r'\w', line)} - {'pass'}
    for task in CHECKS:
        for _, text in regions(code_cells(), task):
            written = {line.split('  #')[0].strip() for line in text.splitlines()}
            assert written & lines == set()


def test_a_function_without_source_is_left_alone():
    names = {}
    exec("def f():\n    raise NotImplementedError('TODO 4 还没有完成')", names)
    assert without_stubs(names['f'], 5) is names['f']
