"""The improved model of question 3, measured: `python -m benchmarks.improved_model WHAT`.

WHAT is one of three measurements:

parts   the improved model with one part left out, cross-validated over the speakers of the training
        and validation splits together; the test split is not in the files that it reads
seeds   the improved model, the baseline and the cited systems on the lab's stand-in, 5 seeds
worlds  the improved model and the baseline on stand-ins with other seeds and settings, 3 seeds

Everything is trained by the lab's own `fit` for 20 epochs and kept in `runs/improved_model/`, so
a measurement that was stopped continues where it was. Every number is about synthetic stand-in
data. The tables are printed in Markdown, for `docs/results.md`.
"""

import argparse
import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from torch import nn

import msa_utils
from msa_lab.data import METRICS, make_standin, write_standin
from msa_lab.models import AMP, MISA, TFN, masked_mean
from msa_lab.study import Experiment, run_study, summarize

RUNS = Path('runs/improved_model')
FOLDS = 5
WORLDS = {  # chosen before the first training on them; nothing was chosen on them
    'half the lexicon': dict(seed=11, lexicon=200),
    'stronger speakers': dict(seed=12, speaker=1.5),
    'stronger voice and face': dict(seed=13, affect=0.8),
}
IMPROVED = Experiment('improved model', msa_utils.ImprovedSentimentModel)
BASELINE = Experiment('baseline', msa_utils.AblationModel)


class Pointwise(nn.Module):
    """In place of `GatedShift`: the two summaries are added to every word, without a gate.

    Text (B, T, 256), vision and audio (B, 32) -> (B, T, 256).
    """

    def __init__(self):
        super().__init__()
        self.vision_fc = nn.Linear(32, 256, bias=False)
        self.audio_fc = nn.Linear(32, 256, bias=False)
        self.norm = nn.LayerNorm(256)

    def forward(self, text, vision, audio):
        return self.norm(text + (self.vision_fc(vision) + self.audio_fc(audio)).unsqueeze(1))


class MeanPooling(nn.Module):
    """In place of `AttentionPooling`: every word has the same weight.

    A sequence (B, T, D) and bool padding (B, T) -> the mean (B, D) and the weights (B, T).
    """

    def forward(self, sequence, padding):
        weights = (~padding) / (~padding).sum(1, keepdim=True)
        return masked_mean(sequence, padding), weights


def without_part(part):
    """The improved model with one of the `PARTS` left out, or done as in the baseline.

    Raises ValueError for another part.
    """
    model = msa_utils.ImprovedSentimentModel()
    summaries = model.vision_summary, model.audio_summary
    if part == 'gates':
        model.shift = Pointwise()
    elif part == 'attention pooling':
        model.pooling = MeanPooling()
    elif part == 'dropout':  # of words, of modalities, and of single units
        for module in model.modules():
            if isinstance(module, (nn.Dropout, msa_utils.WordDropout)):
                module.p = 0.0
        for summary in summaries:
            summary.p_modality = 0.0
    elif part == 'standardised features':
        for summary in summaries:
            summary.norm = nn.LayerNorm(summary.norm.num_features)  # as in the baseline
    elif part == 'vision and audio':
        for summary in summaries:
            summary.p_modality = 1.0
            nn.init.zeros_(summary.fc[1].weight).requires_grad_(False)
            nn.init.zeros_(summary.fc[1].bias).requires_grad_(False)
    else:
        raise ValueError(f'no part {part!r}: {PARTS}')
    return model


PARTS = ['gates', 'attention pooling', 'dropout', 'standardised features', 'vision and audio']


def write_folds(folder, **settings):
    """Write five MOSI files into the folder; each has another fifth of the speakers as validation.

    The speakers are those of the stand-in's training and validation splits; `settings` are those
    of `make_standin`. A file must have a test split: it is the validation split again. Returns
    the paths.
    """
    splits = make_standin(**settings)
    data = {
        field: values + splits['valid'][field]
        if isinstance(values, list)
        else np.concatenate([values, splits['valid'][field]])
        for field, values in splits['train'].items()
    }
    speaker = np.array([name.split('[')[0] for name in data['id']])
    order = np.random.default_rng(0).permutation(np.unique(speaker))
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for fold in range(FOLDS):
        held_out = np.isin(speaker, order[fold::FOLDS])
        parts = {'train': ~held_out, 'valid': held_out, 'test': held_out}
        fields = {name: {f: select(data[f], mask) for f in data} for name, mask in parts.items()}
        paths.append(folder / f'fold{fold}.pkl')
        paths[-1].write_bytes(pickle.dumps(fields, protocol=4))
    return paths


def select(field, mask):
    """The entries of an array or a list at which `mask` is True."""
    if isinstance(field, list):
        return [value for value, chosen in zip(field, mask, strict=True) if chosen]
    return field[mask]


def study(experiments, path, seeds, epochs):
    """The results of the experiments on the file `path`; stops the program when a run failed."""
    results = run_study(
        experiments,
        data=Path(path),
        train=partial(msa_utils.fit, quiet=True),
        evaluate=partial(msa_utils.evaluate_test_split, quiet=True),
        seeds=seeds,
        epochs=epochs,
        runs_dir=RUNS,
    )
    failed = results[results['error'] != '']
    if len(failed):
        raise SystemExit(failed[['experiment', 'seed', 'error']].to_string())
    print()  # behind the progress bar
    return results


def differences(summary, metrics):
    """A summary as text: for each metric its mean +- sd and the difference from the baseline.

    `summary` is what `summarize` returns, with a row for every experiment.
    """
    rows = {}
    for name in summary.index:
        row = rows[name] = {}
        for metric in metrics:
            mean, sd, diff, low, high = summary.loc[name, metric]
            title = metric.removeprefix('test_').removeprefix('valid_')
            row[title] = f'{mean:.3f} +- {sd:.3f}'
            is_baseline = low == high == 0
            row[f'{title}: difference'] = (
                '' if is_baseline else f'{diff:+.3f} [{low:+.3f}, {high:+.3f}]'
            )
    return pd.DataFrame.from_dict(rows, orient='index')


def markdown(table):
    """A DataFrame of text as a Markdown table."""
    lines = [['', *table.columns], ['---'] * (len(table.columns) + 1)]
    lines += [[name, *row] for name, row in zip(table.index, table.values, strict=True)]
    return '\n'.join(f'| {" | ".join(map(str, line))} |' for line in lines)


def measure_parts(epochs, folds):
    """Print what leaving out each part changes on validation; the spread is over folds."""
    experiments = [IMPROVED, BASELINE]
    experiments += [Experiment(f'without {part}', partial(without_part, part)) for part in PARTS]
    tables = []
    for fold, path in enumerate(write_folds(RUNS / 'folds')[:folds]):
        tables.append(study(experiments, path, [42], epochs).assign(seed=fold))
    summary = summarize(pd.concat(tables, ignore_index=True), 'improved model')
    print(markdown(differences(summary, ['valid_Corr', 'valid_MAE'])))


def measure_seeds(epochs):
    """Print all six metrics on the test split, over five seeds, and what a training costs."""
    path = RUNS / 'standin.pkl'
    write_standin(path)
    cited = [Experiment(model.__name__, model) for model in (TFN, MISA, AMP)]
    results = study([BASELINE, IMPROVED, *cited], path, [42, 43, 44, 45, 46], epochs)
    metrics = [f'test_{name}' for name in METRICS]
    print(markdown(differences(summarize(results, 'baseline'), metrics).T))
    print('\nThe cited systems against the improved model\n')
    table = differences(summarize(results, 'improved model'), ['test_Corr', 'test_MAE'])
    print(markdown(table.loc[[model.name for model in cited]].T))
    cost = results.groupby('experiment', sort=False)[['parameters', 'seconds']].mean().round()
    print('\n' + markdown(cost.astype(int)))


def measure_worlds(epochs):
    """Print Corr and MAE on the test splits of stand-ins that no choice was made on."""
    rows = {}
    for name, settings in WORLDS.items():
        path = RUNS / f'world{settings["seed"]}.pkl'
        write_standin(path, **settings)
        summary = summarize(study([BASELINE, IMPROVED], path, [42, 43, 44], epochs), 'baseline')
        row = rows[f'{name}: {settings}'] = {}
        for metric in ('test_Corr', 'test_MAE'):
            title = metric.removeprefix('test_')
            for experiment in summary.index:
                mean, sd, diff, low, high = summary.loc[experiment, metric]
                row[f'{title}, {experiment}'] = f'{mean:.3f} +- {sd:.3f}'
            row[f'{title}: difference'] = f'{diff:+.3f} [{low:+.3f}, {high:+.3f}]'
    print(markdown(pd.DataFrame.from_dict(rows, orient='index')))


def main():
    """Run one measurement and print its tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('what', choices=['parts', 'seeds', 'worlds'])
    parser.add_argument('--epochs', type=int, default=20, help='of every training (20)')
    parser.add_argument('--folds', type=int, default=FOLDS, help='parts: only the first folds')
    args = parser.parse_args()
    measure = {
        'parts': partial(measure_parts, folds=args.folds),
        'seeds': measure_seeds,
        'worlds': measure_worlds,
    }
    measure[args.what](args.epochs)


if __name__ == '__main__':
    main()
