"""The better model, measured: `python -m benchmarks.better_model parts|seeds|worlds`.

parts   the better model with one part left out, cross-validated over the speakers of the training
        and validation splits together; the test split is not even in the files it reads
seeds   the better model, the baseline and the cited systems on the lab's stand-in, 5 seeds
worlds  the better model and the baseline on stand-ins with other seeds and settings, 3 seeds

Everything is trained by the lab's own `fit`, for 20 epochs, and kept in `runs/better_model/`, so
that a run that was stopped goes on where it was. Every number is about synthetic stand-in data.
"""

import argparse
import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from torch import nn

import msa_utils
from msa_lab.data.synthetic import make_standin, write_standin
from msa_lab.study import Experiment, run_study, summarize

RUNS = Path('runs/better_model')
FOLDS = 5
WORLDS = {  # chosen before the first training on them; nothing was chosen on them
    'half the lexicon': dict(seed=11, lexicon=200),
    'stronger speakers': dict(seed=12, speaker=1.5),
    'stronger voice and face': dict(seed=13, affect=0.8),
}
BETTER = Experiment('better model', msa_utils.ImprovedSentimentModel)
BASELINE = Experiment('baseline', msa_utils.AblationModel)


class Pointwise(nn.Module):
    """In place of the gated shift: the summaries are added to every word, ungated."""

    def __init__(self):
        super().__init__()
        self.vision_fc = nn.Linear(32, 256, bias=False)
        self.audio_fc = nn.Linear(32, 256, bias=False)
        self.norm = nn.LayerNorm(256)

    def forward(self, text, vision, audio):
        return self.norm(text + (self.vision_fc(vision) + self.audio_fc(audio)).unsqueeze(1))


class MeanPooling(nn.Module):
    """In place of attention: every word counts the same."""

    def forward(self, sequence, padding):
        weights = (~padding) / (~padding).sum(1, keepdim=True)
        return msa_utils.masked_mean(sequence, padding), weights


def without_part(part):
    """The better model with one part left out or replaced by the baseline's way."""
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
    """Files of the lab's format: four fifths of the speakers to train on, one to validate on.

    The speakers are those of the stand-in's training and validation splits. The file format wants
    a test split: it is the validation split again.
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
        fields = {name: {f: pick(data[f], mask) for f in data} for name, mask in parts.items()}
        paths.append(folder / f'fold{fold}.pkl')
        paths[-1].write_bytes(pickle.dumps(fields, protocol=4))
    return paths


def pick(field, mask):
    """The entries of an array or a list at which `mask` is True."""
    if isinstance(field, list):
        return [value for value, chosen in zip(field, mask, strict=True) if chosen]
    return field[mask]


def study(experiments, path, seeds, epochs):
    """The lab's study of these experiments on this file."""
    results = run_study(
        experiments, data=Path(path), train=partial(msa_utils.fit, quiet=True),
        evaluate=msa_utils.score_test_split, seeds=seeds, epochs=epochs, runs_dir=RUNS,
    )  # fmt: skip
    failed = results[results['error'] != '']
    if len(failed):
        raise SystemExit(failed[['experiment', 'seed', 'error']].to_string())
    print()  # behind the progress bar
    return results


def differences(summary, metrics):
    """One row per experiment: mean +- sd of each metric, and its difference from the reference."""
    rows = {}
    for name in summary.index:
        row = rows[name] = {}
        for metric in metrics:
            mean, sd, diff, low, high = summary.loc[name, metric]
            title = metric.removeprefix('test_').removeprefix('valid_')
            row[title] = f'{mean:.3f} +- {sd:.3f}'
            same = low == high == 0
            row[f'{title}: difference'] = '' if same else f'{diff:+.3f} [{low:+.3f}, {high:+.3f}]'
    return pd.DataFrame.from_dict(rows, orient='index')


def markdown(table):
    """A DataFrame of text as a Markdown table."""
    lines = [['', *table.columns], ['---'] * (len(table.columns) + 1)]
    lines += [[name, *row] for name, row in zip(table.index, table.values, strict=True)]
    return '\n'.join(f'| {" | ".join(map(str, line))} |' for line in lines)


def measure_parts(epochs, folds):
    """Leave one part out; the folds play the role that seeds play elsewhere."""
    experiments = [BETTER, BASELINE]
    experiments += [Experiment(f'without {part}', partial(without_part, part)) for part in PARTS]
    tables = []
    for fold, path in enumerate(write_folds(RUNS / 'folds')[:folds]):
        tables.append(study(experiments, path, [42], epochs).assign(seed=fold))
    summary = summarize(pd.concat(tables, ignore_index=True), 'better model')
    print(markdown(differences(summary, ['valid_Corr', 'valid_MAE'])))


def measure_seeds(epochs):
    """All six metrics on the test split, over five seeds."""
    path = RUNS / 'standin.pkl'
    write_standin(path)
    cited = [Experiment(model.__name__, model) for model in (zoo.TFN, zoo.MISA, zoo.AMP)]
    results = study([BASELINE, BETTER, *cited], path, [42, 43, 44, 45, 46], epochs)
    metrics = [f'test_{name}' for name in msa_utils.METRICS]
    print(markdown(differences(summarize(results, 'baseline'), metrics).T))
    print('\nThe cited systems against the better model\n')
    table = differences(summarize(results, 'better model'), ['test_Corr', 'test_MAE'])
    print(markdown(table.loc[[model.name for model in cited]].T))
    cost = results.groupby('experiment', sort=False)[['parameters', 'seconds']].mean().round()
    print('\n' + markdown(cost.astype(int)))


def measure_worlds(epochs):
    """Corr and MAE on the test splits of worlds that played no part in any choice."""
    rows = {}
    for name, settings in WORLDS.items():
        path = RUNS / f'world{settings["seed"]}.pkl'
        write_standin(path, **settings)
        summary = summarize(study([BASELINE, BETTER], path, [42, 43, 44], epochs), 'baseline')
        row = rows[f'{name}: {settings}'] = {}
        for metric in ('test_Corr', 'test_MAE'):
            for experiment in summary.index:
                title = f'{metric.removeprefix("test_")}, {experiment}'
                row[title] = '{:.3f} +- {:.3f}'.format(*summary.loc[experiment, metric][:2])
            diff, low, high = summary.loc['better model', metric].iloc[2:]
            title = f'{metric.removeprefix("test_")}: difference'
            row[title] = f'{diff:+.3f} [{low:+.3f}, {high:+.3f}]'
    print(markdown(pd.DataFrame.from_dict(rows, orient='index')))


def main():
    """Run one measurement and print its tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('what', choices=['parts', 'seeds', 'worlds'])
    parser.add_argument('--epochs', type=int, default=20)
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
