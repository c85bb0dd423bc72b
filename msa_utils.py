"""The mirror of EXP_MSA.ipynb: every reusable definition of the notebook, in the notebook's order.

A test keeps the two the same. Sections 7 to 9 stand in `msa_ablations.py` and `msa_improved.py`.
`python msa_utils.py [FILE]` trains and tests the baseline, `... inspect FILE` says what a file is.
"""

import math
import random
import sys
import warnings
from contextlib import nullcontext

import numpy as np
import torch
from sklearn.metrics import f1_score
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader, Dataset, Subset
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from msa_ablations import *  # noqa: F403 (section 7 of the notebook)
from msa_improved import *  # noqa: F403 (sections 8 and 9)
from msa_lab.data import feature_dims, load_split
from msa_lab.graphs import captured
from msa_lab.inspection import command_line
from msa_lab.loading import ResidentLoader
from msa_lab.weights import read_weights, write_weights

# One-layer LSTMs with dropout=0.1: it does nothing, as PyTorch warns; section 3 explains it.
warnings.filterwarnings('ignore', message='dropout option adds dropout after all but last')


def default_device():
    """The first GPU where there is one, else the CPU."""
    return torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')


def set_seed(seed=42):
    """Seed Python, numpy and torch (CPU and every GPU), so that a training can be repeated."""
    torch.backends.cudnn.deterministic = True  # the same kernels every time
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.cuda.manual_seed_all(seed)


class MOSIDataset(Dataset):
    """One split of CMU-MOSI as a PyTorch data set.

    `data_path` is the pickle's path, `split` one of 'train', 'valid', 'test'. Attributes `vision`
    (N, 50, 35), `text` (N, 50, 300), `audio` (N, 50, 74) and `labels` (N,) are float32 numpy
    arrays (read-only: every data set of a file shares them), `ids` the N utterance names. The
    widths are the file's own, here those of `mosi_raw.pkl`; padding is at the front. Cells that
    were +-inf or nan in the file are 0.0; `repaired` counts them per modality.

    An item is (vision, text, audio, label): float32 tensors (50, 35), (50, 300), (50, 74), ().
    Raises FileNotFoundError without the file, `msa_lab.data.DataError` for a file that is wrong.
    """

    def __init__(self, data_path, split='train'):
        data = load_split(data_path, split)
        self.vision, self.text, self.audio = data.vision, data.text, data.audio
        self.labels, self.ids = data.labels, data.ids
        self.repaired = data.repaired

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        vision = torch.tensor(self.vision[index])
        text = torch.tensor(self.text[index])
        audio = torch.tensor(self.audio[index])
        label = torch.tensor(self.labels[index])
        return vision, text, audio, label


class MultimodalSentimentAnalysisModel(nn.Module):
    """The baseline: one LSTM per modality, their output sequences added, one LSTM over the sum.

    `forward`: float (B, T, 35), (B, T, 300), (B, T, 74) -> (B, 1) in (-3, 3); widths are keywords.
    """

    def __init__(self, vision_dim=35, text_dim=300, audio_dim=74):
        super().__init__()
        self.vision_norm = nn.LayerNorm(vision_dim)
        self.text_norm = nn.LayerNorm(text_dim)
        self.audio_norm = nn.LayerNorm(audio_dim)
        self.vision_fc = nn.Linear(vision_dim, 128)
        self.text_fc = nn.Linear(text_dim, 128)
        self.audio_fc = nn.Linear(audio_dim, 128)
        lstm = dict(num_layers=1, dropout=0.1, batch_first=True)
        self.vision_lstm = nn.LSTM(128, 128, **lstm)
        self.text_lstm = nn.LSTM(128, 128, **lstm)
        self.audio_lstm = nn.LSTM(128, 128, **lstm)
        self.mm_lstm = nn.LSTM(128, 128, **lstm)
        self.fc = nn.Linear(128, 1)

    def forward(self, vision, text, audio):
        vision = self.vision_norm(vision)  # (B, T, 35)
        text = self.text_norm(text)  # (B, T, 300)
        audio = self.audio_norm(audio)  # (B, T, 74)
        vision, _ = self.vision_lstm(torch.relu(self.vision_fc(vision)))  # (B, T, 128), every step
        text, _ = self.text_lstm(torch.relu(self.text_fc(text)))
        audio, _ = self.audio_lstm(torch.relu(self.audio_fc(audio)))
        feature = vision + text + audio  # (B, T, 128)
        _, (hidden, _) = self.mm_lstm(feature)  # the state after the last step: (1, B, 128)
        output = self.fc(hidden[-1])  # (B, 128) -> (B, 1)
        return 6 * torch.sigmoid(output) - 3


def count_parameters(model):
    """Number of trainable parameters of a module."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


METRICS = ('Non0_acc_2', 'Non0_F1_score', 'Mult_acc_5', 'Mult_acc_7', 'MAE', 'Corr')


def multiclass_acc(y_pred, y_true):
    """Overall accuracy of two numpy arrays of equal shape after `np.round` of both, a float.

    `np.round` rounds halves to the nearest even number: 0.5 -> 0, 1.5 -> 2, 2.5 -> 2.
    """
    return float(np.mean(np.round(y_pred) == np.round(y_true)))


def eval_mosi_regression(y_pred, y_true, exclude_zero=False):
    """The six metrics of CMU-MOSI, a dict of Python floats rounded to 4 places.

    `y_pred`, `y_true`: tensors of any shape with N elements each, on any device. The two binary
    scores leave out utterances whose true label is exactly 0; `exclude_zero` is kept for
    compatibility and has no effect. What is undefined (no non-zero label; `Corr` of constant
    predictions) is nan. Raises ValueError for N = 0 or unequal N.

    The weighted F1 is called with predictions first, as in MulT (Tsai et al., ACL 2019): it
    weights by the *predicted* classes. MMSA now weights by the true ones: predictions + + + -
    for truth + + - - give 0.7667 here and 0.7333 there.
    """
    y_pred = y_pred.detach().cpu().double().numpy().reshape(-1)
    y_true = y_true.detach().cpu().double().numpy().reshape(-1)
    if len(y_pred) != len(y_true) or not len(y_true):
        raise ValueError(f'{len(y_pred)} predictions for {len(y_true)} labels')

    nonzero = y_true != 0
    positive, truth = y_pred[nonzero] > 0, y_true[nonzero] > 0
    binary = nonzero.any()
    with np.errstate(all='ignore'):
        constant = np.ptp(y_pred) == 0 or np.ptp(y_true) == 0
        metrics = {
            'Non0_acc_2': np.mean(positive == truth) if binary else np.nan,
            'Non0_F1_score': f1_score(positive, truth, average='weighted') if binary else np.nan,
            'Mult_acc_5': multiclass_acc(np.clip(y_pred, -2, 2), np.clip(y_true, -2, 2)),
            'Mult_acc_7': multiclass_acc(np.clip(y_pred, -3, 3), np.clip(y_true, -3, 3)),
            'MAE': np.mean(np.abs(y_pred - y_true)),
            'Corr': np.nan if constant else np.corrcoef(y_pred, y_true)[0, 1],
        }
    return {name: round(float(value), 4) for name, value in metrics.items()}


def evaluate(model, loader, criterion, device):
    """One pass over a loader in eval mode without gradients: (loss, metrics, y_pred, y_true).

    `loss` is the mean over batches, unweighted, a float; `metrics` the dict of
    `eval_mosi_regression`; predictions and labels are float tensors (N,) on the CPU. The model is
    left in eval mode.
    """
    model.eval()
    losses, outputs, labels = [], [], []
    with torch.no_grad():
        for *features, label in loader:
            output = model(*(x.to(device) for x in features)).squeeze(-1)  # (B, 1) -> (B,)
            losses.append(criterion(output, label.to(device)))
            outputs.append(output)
            labels.append(label)
    loss = torch.stack(losses).double().mean().item()
    y_pred, y_true = torch.cat(outputs).cpu(), torch.cat(labels)
    return loss, eval_mosi_regression(y_pred, y_true), y_pred, y_true


def validate_model(model, valid_loader, criterion, device):
    """Print the validation loss and the six metrics; return the metrics' `Corr`, a float."""
    loss, metrics, _, _ = evaluate(model, valid_loader, criterion, device)
    print_result('Validation', loss, metrics)
    return metrics['Corr']


def print_result(name, loss, metrics):
    """Print one evaluation: its loss and its six metrics."""
    print(f'{name} Loss: {loss:.4f}')
    print(metrics)


def train_epoch(model, train_loader, criterion, optimizer, scheduler, device):
    """One pass over the training data; returns the loss of every batch, a tensor on the CPU."""
    model.train()
    losses = []
    for *features, label in train_loader:
        output = model(*(x.to(device) for x in features)).squeeze(-1)  # (B, 1) -> (B,)
        loss = criterion(output, label.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.detach())
    return torch.stack(losses).cpu()


class RunWriter:
    """TensorBoard's log of one training, in one run directory; use it in a `with` statement.

    The training and the validation loss carry the same tag `loss` in the sub-directories `train/`
    and `valid/`, so TensorBoard draws both in one chart. `train/` also holds the learning rate
    and the model graph, `valid/` the six validation metrics.
    """

    def __init__(self, log_dir):
        self.train = SummaryWriter(f'{log_dir}/train')
        self.valid = SummaryWriter(f'{log_dir}/valid')

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.train.close()
        self.valid.close()

    def log_epoch(self, record):
        """Write one entry of `train_model`'s history; the step is the epoch, counted from 1."""
        step = record['epoch']
        self.train.add_scalar('loss', record['train_loss'], step)
        self.valid.add_scalar('loss', record['valid_loss'], step)
        self.train.add_scalar('lr', record['lr'], step)
        for name in METRICS:
            self.valid.add_scalar(f'metrics/{name}', record[name], step)
        self.train.flush()  # a training that is killed keeps the epochs that are done
        self.valid.flush()

    def add_graph(self, model, inputs):
        """Write the model graph; `inputs` is one (vision, text, audio) on the model's device."""
        with warnings.catch_warnings():  # the tracer warns about constants; the graph is right
            warnings.simplefilter('ignore')
            self.train.add_graph(model, inputs)


def best_epoch(history):
    """Index (from 0) of the first epoch with the highest validation Corr; nan ranks lowest."""
    corrs = [record['Corr'] for record in history]
    return max(range(len(corrs)), key=lambda e: -math.inf if math.isnan(corrs[e]) else corrs[e])


def save_checkpoint(model, path):
    """Write the weights beside `path` and rename: a crash leaves the old file or the new one."""
    write_weights(path, model.state_dict())


def mean_loss(losses, epoch):
    """Mean over the batches of an epoch (counted from 0), a float.

    Raises FloatingPointError, with epoch and batch, when one of the losses is not finite.
    """
    if not losses.isfinite().all():
        batch = int((~losses.isfinite()).nonzero()[0])
        kept = 'the best weights so far are kept' if epoch else 'no weights were saved'
        where = f'epoch {epoch + 1}, batch {batch + 1}'
        raise FloatingPointError(f'loss is {losses[batch]} at {where}: lower lr and retry; {kept}')
    return losses.double().mean().item()


def train_model(
    model, train_loader, valid_loader, criterion, optimizer, scheduler, device, epochs,
    *, checkpoint='best_model.pth', writer=None, progress=False, quiet=False,
):  # fmt: skip
    """Train for `epochs` epochs; the weights of the best validation Corr are in `checkpoint`.

    `criterion` takes predictions and labels, both (B,); the scheduler steps once per batch. The
    first epoch always saves, so no older file is left. `writer` is a `RunWriter`; `progress`
    shows one bar in place of the lines per epoch; `quiet` prints nothing. Returns the history,
    one dict per epoch: `epoch` (from 1), `lr` at its start, `train_loss` and `valid_loss` (means
    over batches, unweighted) and the six validation metrics.
    """
    if epochs < 1:
        raise ValueError(f'epochs must be at least 1; got {epochs}')
    history = []
    bar = tqdm(range(epochs), 'training', disable=quiet or not progress, file=sys.stdout, ncols=88)
    for epoch in bar:
        record = {'epoch': epoch + 1, 'lr': optimizer.param_groups[0]['lr']}
        losses = train_epoch(model, train_loader, criterion, optimizer, scheduler, device)
        record['train_loss'] = mean_loss(losses, epoch)
        record['valid_loss'], metrics, _, _ = evaluate(model, valid_loader, criterion, device)
        history.append(record | metrics)
        if best_epoch(history) == epoch:
            save_checkpoint(model, checkpoint)
        if writer is not None:
            writer.log_epoch(history[-1])
        bar.set_postfix(loss=record['train_loss'], val_corr=metrics['Corr'])
        if not (progress or quiet):
            print(f'Epoch [{epoch + 1}/{epochs}], Loss: {record["train_loss"]:.4f}')
            print_result('Validation', record['valid_loss'], metrics)
    best = best_epoch(history)
    if not quiet:
        print(f'Best model saved with val_corr {history[best]["Corr"]} at epoch {best}.')
    return history


def make_loader(data_path, split, batch_size=16, limit=None):
    """A DataLoader over one split: shuffled for 'train', in file order for 'valid' and 'test'.

    `limit` keeps only the first utterances of the split (for a quick look, never for a result).
    """
    dataset = MOSIDataset(data_path, split)
    if limit is not None:
        dataset = Subset(dataset, range(min(limit, len(dataset))))
    return DataLoader(dataset, batch_size=batch_size, shuffle=split == 'train')


def evaluate_test_split(
    model, checkpoint, data_path, criterion, device, *, batch_size=16, limit=None, quiet=False
):
    """Load the chosen weights from the file `checkpoint` and measure them on the test split.

    The only reader of the test split: it takes the choice from the disk, so everything that was
    to be chosen has been chosen. Prints loss and metrics; returns what `evaluate` returns.
    """
    model.load_state_dict(read_weights(checkpoint, device))
    loader = make_loader(data_path, 'test', batch_size, limit)
    loss, metrics, y_pred, y_true = evaluate(model, loader, criterion, device)
    if not quiet:
        print('========== test results: ==========')
        print_result('Test', loss, metrics)
    return loss, metrics, y_pred, y_true


def score_test_split(model, criterion, data_path, *, checkpoint, limit=None):
    """`evaluate_test_split` for a study: prints nothing, returns the metrics alone."""
    _, metrics, _, _ = evaluate_test_split(
        model, checkpoint, data_path, criterion, default_device(), limit=limit, quiet=True
    )
    return metrics


def fit(
    model, criterion, data_path, *, epochs, checkpoint, log_dir=None, batch_size=16, lr=1e-3,
    limit=None, progress=False, quiet=False,
):  # fmt: skip
    """Train a model as the baseline is trained; its history, with the best weights on disk.

    Adam, cosine annealing over all steps. `limit` keeps the first utterances of each split;
    `log_dir` is the TensorBoard run directory; the rest as in `train_model`.
    """
    device = default_device()
    model.to(device)
    train_loader = make_loader(data_path, 'train', batch_size, limit)
    valid_loader = make_loader(data_path, 'valid', batch_size, limit)
    fused = device.type == 'cuda'  # on a GPU one kernel updates all parameters
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=fused)
    train_loader, valid_loader = (ResidentLoader(x, device) for x in (train_loader, valid_loader))
    scheduler = CosineAnnealingLR(optimizer, T_max=epochs * len(train_loader))
    log = RunWriter(log_dir) if log_dir else nullcontext()
    with log as writer, captured(model, train_loader):
        return train_model(
            model, train_loader, valid_loader, criterion, optimizer, scheduler, device, epochs,
            checkpoint=checkpoint, writer=writer, progress=progress, quiet=quiet,
        )  # fmt: skip


def main(
    data_path='./mosi_raw.pkl', epochs=20, *, build=None, batch_size=16, lr=1e-3, seed=42,
    limit=None, checkpoint='best_model.pth', log_dir=None, progress=False,
):  # fmt: skip
    """Train the baseline, reload its best weights, test it: (model, history, test metrics).

    MSE loss; `build` gives another model to train in its place; the rest as in `fit`.
    """
    device = default_device()
    print(f'Device: {device}')
    set_seed(seed)
    dims = feature_dims(data_path)  # {} unless the widths differ from the models' defaults
    model = (build or MultimodalSentimentAnalysisModel)(**dims)
    criterion = nn.MSELoss()
    history = fit(
        model, criterion, data_path, epochs=epochs, checkpoint=checkpoint, log_dir=log_dir,
        batch_size=batch_size, lr=lr, limit=limit, progress=progress,
    )  # fmt: skip
    _, metrics, _, _ = evaluate_test_split(
        model, checkpoint, data_path, criterion, device, batch_size=batch_size, limit=limit
    )
    return model, history, metrics


if __name__ == '__main__':
    sys.exit(command_line(sys.argv[1:], main))
