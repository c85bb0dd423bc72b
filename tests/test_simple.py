"""`msa_lab.models.simple`: the constant, ridge and SVR, in a table that joins a study's."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline

from msa_lab.data import MODALITIES, DataWarning, load_split
from msa_lab.data.synthetic import make_standin
from msa_lab.models import simple_results, simple_results_on_test
from msa_lab.models.simple import CANDIDATES, averaged_features, fit_simple
from msa_lab.study import Experiment, join, run_study, summarize
from msa_utils import AblationModel, eval_mosi_regression, evaluate_valid_split, fit
from tests.conftest import SMALL


@pytest.fixture(scope='module')
def results(small_file):
    return simple_results(small_file, eval_mosi_regression, seeds=[42, 43])


def save(content, path):
    path.write_bytes(pickle.dumps(content))
    return path


def fit_quietly(model, data, criterion, **options):
    return fit(model, data, criterion, quiet=True, **options)


def test_the_rows_join_those_of_a_study_without_a_new_column(results, small_file, tmp_path):
    study = run_study(
        [Experiment('baseline', AblationModel)],
        data=small_file, train=fit_quietly, evaluate=evaluate_valid_split,
        seeds=[42, 43], epochs=1, runs_dir=tmp_path, n_jobs=1,
    )  # fmt: skip
    assert set(results.columns) == set(study.columns)
    together = join(study, results)
    assert list(together.columns) == list(study.columns)
    undefined = ['valid_Corr'] if together['valid_Corr'].isna().any() else []  # of the constant
    assert not together.drop(columns=undefined).isna().any().any()
    for video, y_true in zip(together['video'], together['y_true'], strict=True):
        assert list(video) == list(together['video'][0])
        assert y_true == pytest.approx(together['y_true'][0])
    summary = summarize(together, 'baseline')
    assert list(summary.index) == ['baseline', 'constant', 'ridge', 'SVR']
    assert (summary['seeds'] == 2).all()
    assert (summary.loc[['ridge', 'SVR'], ('valid_MAE', 'sd')] == 0).all()
    assert np.isfinite(summary.loc['ridge', ('valid_Corr', 'people_low')])


def test_the_scores_are_those_of_the_fitted_models(results, small_file):
    train, valid, test = (load_split(small_file, name) for name in ('train', 'valid', 'test'))
    tested = simple_results_on_test(small_file, eval_mosi_regression, seeds=[42, 43])
    for table, prefix, data in ((results, 'valid', valid), (tested, 'test', test)):
        for name in ('ridge', 'SVR'):
            y_pred = fit_simple(name, train, valid).predict(averaged_features(data))
            rows = table[table['experiment'] == name]
            assert rows['seed'].tolist() == [42, 43]
            error, corr = (
                np.abs(y_pred - data.labels).mean(),
                np.corrcoef(y_pred, data.labels)[0, 1],
            )
            assert rows[f'{prefix}_MAE'].tolist() == pytest.approx([error] * 2, abs=1e-4)
            assert rows[f'{prefix}_Corr'].tolist() == pytest.approx([corr] * 2, abs=1e-4)
            assert corr > 0.2  # they learn something
            assert rows['video'].iloc[0].tolist() == list(data.videos)
    support = len(fit_simple('SVR', train, valid)[-1].support_)
    assert results['parameters'].tolist() == [1] * 2 + [35 + 300 + 74 + 1] * 2 + [support + 1] * 2


def test_the_constant_is_the_mean_of_the_training_labels(results, small_file):
    constant = results[results['experiment'] == 'constant']
    mean = load_split(small_file, 'train').labels.mean()
    assert constant['y_pred'].iloc[0] == pytest.approx(mean)
    assert constant['valid_Corr'].isna().all()


def test_scores_beyond_the_range_of_the_labels_are_cut(small_file, monkeypatch):
    seen = []

    def score(y_pred, y_true):
        seen.append(y_pred)
        return eval_mosi_regression(y_pred, y_true)

    monkeypatch.setattr('msa_lab.models.simple.fit_simple', lambda *args: Wild())
    simple_results(small_file, score, seeds=[0])
    assert all(y_pred.abs().max() == 3 for y_pred in seen)


class Wild(Pipeline):
    """A double for a fitted model, whose scores are far off."""

    def __init__(self):
        super().__init__([('model', Ridge())])
        self[-1].coef_ = np.zeros(1)

    def predict(self, features):
        return np.linspace(-50, 50, len(features))


def test_averages_are_over_the_true_steps_only(tmp_path):
    content = make_standin(videos=(2, 1, 1), utterances=(6, 2, 2))
    fields = content['train']
    for name, value in zip(MODALITIES, (1.0, 2.0, 4.0), strict=True):
        fields[name][:2] = 0
        fields[name][0, -5:] = value
        fields[name][1, -1] = value
    fields['text'][0, -2] = 12  # in one of five steps
    fields['vision'][0, -5:-1] = 0  # a face in one of five steps, which are all true
    averages = averaged_features(load_split(save(content, tmp_path / 'a.pkl')))
    assert averages.shape == (6, 35 + 300 + 74)
    np.testing.assert_allclose(averages[0], [0.2] * 35 + [4.0] * 300 + [4.0] * 74, rtol=1e-6)
    np.testing.assert_allclose(averages[1], [1.0] * 35 + [2.0] * 300 + [4.0] * 74)


REGRESSIONS = ('ridge', 'SVR')


def penalty(model):
    return model[-1].get_params().get('alpha', model[-1].get_params().get('C'))


@pytest.mark.parametrize('name', REGRESSIONS)
def test_the_penalty_is_that_of_the_highest_correlation_on_validation(name, small_file):
    train, valid = (load_split(small_file, split) for split in ('train', 'valid'))
    chosen = fit_simple(name, train, valid)
    best = np.corrcoef(chosen.predict(averaged_features(valid)), valid.labels)[0, 1]
    x_train, x_valid = averaged_features(train), averaged_features(valid)
    mean, sd = x_train.mean(0), x_train.std(0)
    scores = {}
    for model in CANDIDATES[name]:  # standardised by hand, by the training split
        model = type(model)(**model.get_params()).fit((x_train - mean) / sd, train.labels)
        y_pred = model.predict((x_valid - mean) / sd)
        scores[penalty([model])] = np.corrcoef(y_pred, valid.labels)[0, 1]
    assert scores[penalty(chosen)] == max(scores.values())
    assert best == pytest.approx(max(scores.values()), abs=1e-4)


def test_the_test_split_has_no_part_in_the_choice(tmp_path):
    """With other test labels the models, and so all columns of validation, stay as they are."""
    content = make_standin(**SMALL)
    first = save(content, tmp_path / 'a.pkl')
    content['test']['labels'] = -content['test']['labels'][::-1].copy()
    content['test']['text'] = content['test']['text'] * 3
    second = save(content, tmp_path / 'b.pkl')
    before, after = (simple_results(path, eval_mosi_regression, [0]) for path in (first, second))
    kept = [c for c in before if c.startswith('valid_') or c == 'parameters']
    assert before[kept].equals(after[kept])
    before, after = (
        simple_results_on_test(path, eval_mosi_regression, [0])['test_MAE']
        for path in (first, second)
    )
    assert not before.equals(after)


def test_the_validation_split_has_a_part_in_the_choice(tmp_path):
    """With the labels turned round another penalty is best."""
    content = make_standin(**SMALL)
    models = []
    for sign in (1, -1):
        content['valid']['labels'] = sign * np.abs(content['valid']['labels'])
        path = save(content, tmp_path / f'{sign}.pkl')
        splits = load_split(path, 'train'), load_split(path, 'valid')
        models.append([penalty(fit_simple(name, *splits)) for name in REGRESSIONS])
    assert models[0] != models[1]


@pytest.mark.parametrize('name', CANDIDATES)
def test_a_fitted_model_stays_as_it_is_when_another_is_fitted(name, small_file):
    train, valid, test = (load_split(small_file, split) for split in ('train', 'valid', 'test'))
    first, features = fit_simple(name, train, valid), averaged_features(test)
    before = first.predict(features)
    second = fit_simple(name, valid, test)
    np.testing.assert_array_equal(first.predict(features), before)
    assert not np.array_equal(second.predict(features), before)


def test_a_validation_split_that_tells_nothing_is_no_warning(tmp_path):
    """One label for all: no correlation is defined, and some model is taken all the same."""
    content = make_standin(videos=(2, 1, 1), utterances=(9, 3, 3))
    content['valid']['labels'][:] = 1.0
    path = save(content, tmp_path / 'a.pkl')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        warnings.simplefilter('ignore', DataWarning)  # the file itself is warned of
        results = simple_results(path, eval_mosi_regression, [0])
    assert results['valid_Corr'].isna().all()
    assert results['valid_MAE'].notna().all()
