"""Question 3: the model is chosen and measured (`python -m benchmarks.improved_model WHAT`).

WHAT is one of three measurements, all on the stand-in `reviews`:

choose  every candidate (`benchmarks.candidates`), cross-validated over the speakers of the training
        and validation splits together, 2 seeds; the test split is not in the files that it reads
test    the model that was chosen beside the baseline, the simple models, the cited systems and the
        human rater on the test split, 5 seeds; and the cited systems with the training of their
        papers, where these give it, 3 seeds
worlds  the chosen model and the baseline on two other draws of sentences and raters, and on the
        stand-in `synthetic`, 3 seeds

Everything is trained by the lab's own `fit` for 20 epochs and kept in `runs/improved_model/`, so
a measurement that was stopped continues where it was. The tables are printed in Markdown, for
`docs/results.md`. In `reviews` sentences and ratings are real, voice, face and speakers simulated.
"""

import argparse
import math
import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

import msa_utils
from benchmarks.candidates import CANDIDATES
from benchmarks.people import markdown_people
from msa_lab.data import METRICS, MODALITIES, ensure_data, load_split
from msa_lab.data.ratings import human_rows_on_test
from msa_lab.data.reviews import write_reviews
from msa_lab.data.synthetic import write_standin
from msa_lab.models import AMP, MISA, TFN, simple_results_on_test
from msa_lab.study import Experiment, evaluate_chosen, join, run_study, summarize

RUNS = Path('runs/improved_model')
FOLDS = 5
SEEDS = [42, 43, 44, 45, 46]
OTHER_DRAWS = (0, 2)  # data seeds of `reviews`; the lab's draw is number 1
CHOSEN = 'words, averaged, MAE loss'  # the candidate that became the improved model
IMPROVED = Experiment('improved model', msa_utils.ImprovedSentimentModel)
BASELINE = Experiment('baseline', msa_utils.AblationModel)
VARIANT = Experiment(  # the best one of section 7 on the validation split
    'self-attention', partial(msa_utils.AblationModel, fusion='self_attention')
)


def write_folds(path, folder):
    """Write five MOSI files into the folder; each holds another fifth of the speakers out.

    The speakers are those of the training and validation splits of the stand-in at `path`; its test
    split is not read. In each file the fifth that is held out is the split 'test', on which
    candidates are compared; of the other speakers a fifth are 'valid', which chooses the epoch, as
    in the lab. Returns the paths.
    """
    splits = [load_split(path, name) for name in ('train', 'valid')]
    data = {
        name: np.concatenate([getattr(split, name) for split in splits])
        for name in (*MODALITIES, 'labels')
    }
    data['id'] = np.array([name for split in splits for name in split.ids])
    speaker = np.array([video for split in splits for video in split.videos])
    order = np.random.default_rng(0).permutation(np.unique(speaker))
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for fold in range(FOLDS):
        held_out = order[fold::FOLDS]
        others = np.setdiff1d(order, held_out)
        valid = np.random.default_rng(fold).permutation(others)[: max(1, len(others) // 5)]
        masks = {
            'train': ~np.isin(speaker, [*held_out, *valid]),
            'valid': np.isin(speaker, valid),
            'test': np.isin(speaker, held_out),
        }
        fields = {
            name: {field: values[mask] for field, values in data.items()}
            for name, mask in masks.items()
        }
        paths.append(folder / f'fold{fold}.pkl')
        paths[-1].write_bytes(pickle.dumps(fields, protocol=4))
    return paths


def study(experiments, path, seeds, epochs, **training):
    """The experiments on the test split of the file `path`; stops the program when a run failed.

    `training` goes to `fit` (`lr`, `batch_size`). What is compared was chosen before, on other data
    or on other speakers, so the file of the choice says just that.
    """
    shared = dict(data=Path(path), runs_dir=RUNS)
    results = run_study(
        experiments,
        **shared,
        train=partial(msa_utils.fit, quiet=True, **training),
        evaluate=msa_utils.evaluate_valid_split,
        seeds=seeds,
        epochs=epochs,
    )
    failed = results[results['error'] != '']
    if len(failed):
        raise SystemExit(failed[['experiment', 'seed', 'error']].to_string())
    print()  # behind the progress bar
    choice = RUNS / 'choice.txt'
    choice.write_text('only the epoch of each training was chosen on this file\n')
    evaluate = partial(msa_utils.evaluate_test_split, quiet=True)
    return evaluate_chosen(experiments, results, **shared, evaluate=evaluate, choice=choice)


def differences(summary, metrics):
    """A summary as text: for each metric its mean +- sd and the difference from the reference.

    `summary` is what `summarize` returns, with a row for every experiment.
    """
    rows = {}
    for name in summary.index:
        row = rows[name] = {}
        for metric in metrics:
            mean, sd, diff, low, high = summary.loc[name, metric].iloc[:5]
            title = metric.removeprefix('test_').removeprefix('valid_')
            defined = not math.isnan(mean)  # a constant has no correlation
            row[title] = f'{mean:.3f} +- {sd:.3f}' if defined else 'undefined'
            is_baseline = low == high == 0
            row[f'{title}: difference'] = (
                f'{diff:+.3f} [{low:+.3f}, {high:+.3f}]' if defined and not is_baseline else ''
            )
    return pd.DataFrame.from_dict(rows, orient='index')


def markdown(table):
    """A DataFrame of text as a Markdown table."""
    lines = [['', *table.columns], ['---'] * (len(table.columns) + 1)]
    lines += [[name, *row] for name, row in zip(table.index, table.values, strict=True)]
    return '\n'.join(f'| {" | ".join(map(str, line))} |' for line in lines)


def measure_choice(epochs, seeds, names):
    """Print every candidate on the speakers that were held out; the spread is over the folds.

    A fold's score is its mean over the seeds, so the interval is over five sets of other speakers.
    """
    experiments = [Experiment(name, CANDIDATES[name]) for name in names]
    tables = []
    for fold, path in enumerate(write_folds(ensure_data('reviews'), RUNS / 'folds')):
        results = study(experiments, path, seeds, epochs)
        table = join(results, simple_results_on_test(path, msa_utils.eval_mosi_regression, seeds))
        scores = ['test_Corr', 'test_MAE', 'parameters', 'seconds']
        means = table.groupby('experiment', sort=False)[scores].mean().reset_index()
        tables.append(means.assign(seed=fold, error=''))
    together = pd.concat(tables, ignore_index=True)
    table = differences(summarize(together, CHOSEN), ['test_Corr', 'test_MAE'])
    cost = together.groupby('experiment', sort=False)[['parameters', 'seconds']].mean().round()
    print(markdown(table.join(cost.astype(int))))


def measure_test(epochs):
    """Print all six metrics on the test split over five seeds, and what a training costs."""
    path = ensure_data('reviews')
    cited = [Experiment(model.__name__, model) for model in (TFN, MISA, AMP)]
    results = study([BASELINE, VARIANT, IMPROVED, *cited], path, SEEDS, epochs)
    results = join(results, simple_results_on_test(path, msa_utils.eval_mosi_regression, SEEDS))
    metrics = [f'test_{name}' for name in METRICS]
    print(markdown(differences(summarize(results, 'baseline'), metrics).T))
    print('\nAgainst the improved model\n')
    print(markdown(differences(summarize(results, 'improved model'), ['test_Corr', 'test_MAE']).T))
    cost = results.groupby('experiment', sort=False)[['parameters', 'seconds']].mean().round()
    print('\n' + markdown(cost.astype(int)))
    print('\nPeople, on the same sentences\n')
    print(markdown_people(human_rows_on_test(path, msa_utils.eval_mosi_regression)))
    print('\nThe cited systems with the training of their papers, as far as these give it\n')
    for system in (TFN, MISA, AMP):
        training = {name: system.PAPER_TRAINING[name] for name in ('lr', 'batch_size')}
        experiment = Experiment(f'{system.__name__}, {training}', system)
        results = study([experiment], path, SEEDS[:3], epochs, **training)
        table = differences(summarize(results, experiment.name), metrics)
        print(markdown(table[[metric.removeprefix('test_') for metric in metrics]]))


def measure_worlds(epochs):
    """Print Corr and MAE on the test splits of data that no choice was made on."""
    paths = {f'reviews, data seed {seed}': RUNS / f'reviews{seed}.pkl' for seed in OTHER_DRAWS}
    for seed, path in zip(OTHER_DRAWS, paths.values(), strict=True):
        write_reviews(path, seed=seed)
    paths['synthetic'] = RUNS / 'synthetic.pkl'
    write_standin(paths['synthetic'])
    rows = {}
    for name, path in paths.items():
        summary = summarize(study([BASELINE, IMPROVED], path, SEEDS[:3], epochs), 'baseline')
        row = rows[name] = {}
        for metric in ('test_Corr', 'test_MAE'):
            title = metric.removeprefix('test_')
            for experiment in summary.index:
                mean, sd, diff, low, high = summary.loc[experiment, metric].iloc[:5]
                row[f'{title}, {experiment}'] = f'{mean:.3f} +- {sd:.3f}'
            row[f'{title}: difference'] = f'{diff:+.3f} [{low:+.3f}, {high:+.3f}]'
    print(markdown(pd.DataFrame.from_dict(rows, orient='index')))


def main():
    """Run one measurement and print its tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('what', choices=['choose', 'test', 'worlds'])
    parser.add_argument('--epochs', type=int, default=20, help='of every training (20)')
    parser.add_argument('--seeds', type=int, nargs='+', default=[42, 43], help='choose: (42 43)')
    parser.add_argument(
        '--only', nargs='+', default=list(CANDIDATES), choices=CANDIDATES, metavar='CANDIDATE',
        help=f'choose: these candidates; {CHOSEN!r} must be one of them',
    )  # fmt: skip
    args = parser.parse_args()
    measure = {
        'choose': partial(measure_choice, seeds=args.seeds, names=args.only),
        'test': measure_test,
        'worlds': measure_worlds,
    }
    measure[args.what](args.epochs)


if __name__ == '__main__':
    main()
