"""The definitions of EXP_MSA.ipynb, in its order. Written by `make mirror`: do not edit it.

`python msa_utils.py [FILE]` trains and tests the baseline, `... inspect FILE` describes a file.
Besides definitions the module holds the imports that they use, and no others; `dir()` hides those.
"""

import math
import sys
import warnings
from contextlib import contextmanager, nullcontext

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import f1_score
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader, Dataset, Subset
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from msa_lab.data import (
    METRICS,
    MODALITIES,
    STEPS,
    feature_dims,
    list_videos,
    load_split,
    padding_mask,
)
from msa_lab.data.command_line import command_line
from msa_lab.data.reviews import encode
from msa_lab.files.checkpoints import load_checkpoint, save_checkpoint
from msa_lab.files.tensorboard_logs import new_log_dir
from msa_lab.models import (
    masked_mean,
    read_sequence,
)
from msa_lab.speed import default_device, faster
from msa_lab.study import set_seed


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


warnings.filterwarnings('ignore', message='dropout option adds dropout after all but last')


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


def best_index(history):
    """Index of the record with the highest validation Corr, the first of equals; nan is lowest."""
    corrs = [record['Corr'] for record in history]
    return max(range(len(corrs)), key=lambda i: -math.inf if math.isnan(corrs[i]) else corrs[i])


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
    first epoch always saves. `writer` is a `RunWriter`; `progress` shows one bar in place of lines,
    `quiet` nothing. Returns the history, a dict per epoch: `epoch` (from 1), `lr` at its start,
    `train_loss`, `valid_loss` (unweighted means over batches) and the six validation metrics.
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
        if best_index(history) == epoch:
            save_checkpoint(model, checkpoint)
        if writer is not None:
            writer.log_epoch(history[-1])
        bar.set_postfix(loss=record['train_loss'], val_corr=metrics['Corr'])
        if not (progress or quiet):
            print(f'Epoch [{epoch + 1}/{epochs}], Loss: {record["train_loss"]:.4f}')
            print_result('Validation', record['valid_loss'], metrics)
    best = best_index(history)
    if not quiet:
        print(f'Best model saved with val_corr {history[best]["Corr"]} at epoch {best}.')
    return history


def make_loader(data_path, split, batch_size=16):
    """A DataLoader over one split: shuffled for 'train', in file order for 'valid' and 'test'."""
    dataset = MOSIDataset(data_path, split)
    return DataLoader(dataset, batch_size=batch_size, shuffle=split == 'train')


def evaluate_split(model, data_path, split, criterion, checkpoint, batch_size=16):
    """Loss, metrics and predictions of one split, of the model with the weights in `checkpoint`.

    The predictions are a DataFrame with a row for every utterance and the columns `video`, `y_true`
    and `y_pred`.
    """
    device = default_device()
    load_checkpoint(model.to(device), checkpoint)
    loader = make_loader(data_path, split, batch_size)
    loss, metrics, y_pred, y_true = evaluate(model, loader, criterion, device)
    videos = list_videos(loader.dataset.ids)
    return loss, metrics, pd.DataFrame({'video': videos, 'y_true': y_true, 'y_pred': y_pred})


def evaluate_valid_split(model, data_path, criterion, checkpoint):
    """Metrics and predictions of the validation split, as in `evaluate_split`."""
    return evaluate_split(model, data_path, 'valid', criterion, checkpoint)[1:]


def evaluate_test_split(model, data_path, criterion, checkpoint, *, batch_size=16, quiet=False):
    """Metrics and predictions of the test split, as in `evaluate_split`.

    The only reader of the test split: it takes the weights from the disk, so everything that was
    to be chosen has been chosen. Prints loss and metrics, unless `quiet`.
    """
    loss, metrics, predictions = evaluate_split(
        model, data_path, 'test', criterion, checkpoint, batch_size
    )
    if not quiet:
        print('========== test results: ==========')
        print_result('Test', loss, metrics)
    return metrics, predictions


def fit(
    model,
    data_path,
    criterion,
    *,
    epochs,
    checkpoint,
    log_dir=None,
    batch_size=16,
    lr=1e-3,
    **options,
):
    """Train a model as the baseline is trained; its history, with the best weights on disk.

    Adam, cosine annealing over all steps. `log_dir` is the TensorBoard run directory; the
    `options` (`progress`, `quiet`) and the rest are as in `train_model`.
    """
    device = default_device()
    model.to(device)
    train_loader = make_loader(data_path, 'train', batch_size)
    valid_loader = make_loader(data_path, 'valid', batch_size)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    scheduler = CosineAnnealingLR(optimizer, T_max=epochs * len(train_loader))
    log = RunWriter(new_log_dir(log_dir)) if log_dir else nullcontext()
    with log as writer, faster(model, train_loader, valid_loader) as (train_loader, valid_loader):
        return train_model(
            model, train_loader, valid_loader, criterion, optimizer, scheduler, device, epochs,
            checkpoint=checkpoint, writer=writer, **options,
        )  # fmt: skip


def main(
    data_path='./mosi_raw.pkl',
    epochs=20,
    *,
    build=None,
    seed=42,
    batch_size=16,
    checkpoint='best_model.pth',
    **options,
):
    """Train the baseline, reload its best weights, test it: (model, history, test metrics).

    MSE loss; `build` gives another model to train in its place; the `options` (`lr`, `log_dir`,
    `progress`, `quiet`) and the rest are as in `fit`.
    """
    print(f'Device: {default_device()}')
    set_seed(seed)
    dims = feature_dims(data_path)  # {} unless the widths differ from the models' defaults
    model = (build or MultimodalSentimentAnalysisModel)(**dims)
    criterion = nn.MSELoss()
    training = dict(epochs=epochs, checkpoint=checkpoint, batch_size=batch_size, **options)
    history = fit(model, data_path, criterion, **training)
    metrics, _ = evaluate_test_split(model, data_path, criterion, checkpoint, batch_size=batch_size)
    return model, history, metrics


def make_encoder(encoder, position):
    """What reads a sequence (B, T, 128) step by step: 'lstm', or 'transformer' with `position`."""
    if encoder == 'lstm':
        return nn.LSTM(128, 128, batch_first=True)
    if encoder == 'transformer':
        return TransformerEncoder(position)
    raise ValueError(f"encoder must be 'lstm' or 'transformer'; got {encoder!r}")


def make_fusion(fusion, num_modalities):
    """What makes one vector of all sequences: a list of (B, T, 128), bool (B, T) -> (B, 128)."""
    if fusion == 'average':
        return AverageFusion()
    if fusion == 'self_attention':
        return SelfAttentionFusion(num_modalities)
    if fusion == 'cross_attention':
        return CrossAttentionFusion(num_modalities)
    raise ValueError(f"no fusion {fusion!r}: 'sum', 'average', 'self_attention', 'cross_attention'")


class AverageFusion(nn.Module):
    """The sequences added, and the mean of the true steps: no second encoder, no attention."""

    def forward(self, sequences, padding):
        return masked_mean(sum(sequences), padding)  # (B, 128)


class AblationModel(nn.Module):
    """The baseline with one thing changed; the defaults give the baseline from its weights."""

    capturable = True  # matters to the speed on a GPU alone

    def __init__(self, encoder='lstm', fusion='sum', layer_norm=True, position=True,
                 modalities=MODALITIES, vision_dim=35, text_dim=300, audio_dim=74):  # fmt: skip
        super().__init__()
        self.modalities = tuple(modalities)
        widths = {'vision': vision_dim, 'text': text_dim, 'audio': audio_dim}
        for name in self.modalities:
            norm = nn.LayerNorm(widths[name]) if layer_norm else nn.Identity()
            self.add_module(f'{name}_norm', norm)
        for name in self.modalities:
            self.add_module(f'{name}_fc', nn.Linear(widths[name], 128))
        for name in self.modalities:
            self.add_module(f'{name}_lstm', make_encoder(encoder, position))
        if fusion == 'sum':
            self.mm_lstm = make_encoder(encoder, position)
        else:
            self.fusion = make_fusion(fusion, len(self.modalities))
        self.fc = nn.Linear(128, 1)

    def forward(self, vision, text, audio):
        padding = padding_mask(vision, text, audio)
        features, sequences = {'vision': vision, 'text': text, 'audio': audio}, []
        for name in self.modalities:
            x = self.get_submodule(f'{name}_norm')(features[name])
            x = torch.relu(self.get_submodule(f'{name}_fc')(x))  # (B, T, 128)
            sequences.append(read_sequence(self.get_submodule(f'{name}_lstm'), x, padding))
        if hasattr(self, 'mm_lstm'):
            fused = read_sequence(self.mm_lstm, sum(sequences), padding)[:, -1]  # the last step
        else:
            fused = self.fusion(sequences, padding)  # (B, 128)
        return 6 * torch.sigmoid(self.fc(fused)) - 3  # (B, 1)


class PositionEncoding(nn.Module):
    """Adds the sinusoids of Vaswani et al. (2017), section 3.5: (B, T, dim) -> (B, T, dim)."""

    def __init__(self, dim=128, max_steps=500):
        super().__init__()
        position = torch.arange(max_steps).unsqueeze(1)  # (T, 1)
        frequency = torch.exp(-math.log(10000.0) * torch.arange(0, dim, 2) / dim)  # (dim / 2,)
        table = torch.zeros(max_steps, dim)
        table[:, 0::2] = torch.sin(position * frequency)
        table[:, 1::2] = torch.cos(position * frequency)
        self.register_buffer('table', table, persistent=False)

    def forward(self, sequence):
        return sequence + self.table[: sequence.shape[1]]


class TransformerEncoder(nn.Module):
    """One Transformer layer in place of an LSTM: (B, T, 128) -> (B, T, 128); padding is masked."""

    def __init__(self, position=True, dim=128, num_heads=4, dropout=0.1):
        super().__init__()
        layer = nn.TransformerEncoderLayer(dim, num_heads, 2 * dim, dropout, batch_first=True)
        self.position = PositionEncoding(dim) if position else nn.Identity()
        self.encoder = nn.TransformerEncoder(layer, num_layers=1, enable_nested_tensor=False)

    def forward(self, sequence, padding):
        sequence = self.position(sequence)  # (B, T, 128)
        return self.encoder(sequence, src_key_padding_mask=padding)


def spread_within_steps(data_path):
    """Standard deviation within every true step, without and with LayerNorm: two dicts."""
    data = load_split(data_path, 'train')
    features = [torch.tensor(getattr(data, name)) for name in MODALITIES]
    true_step = ~padding_mask(*features)
    before, after = {}, {}
    for name, x in zip(MODALITIES, features, strict=True):
        steps = x[true_step]  # (number of true steps, D)
        normed = nn.functional.layer_norm(steps, steps.shape[1:])
        before[name], after[name] = (s.std(dim=1, correction=0).numpy() for s in (steps, normed))
    return before, after


def feature_statistics(data_path):
    """Mean and standard deviation of every feature over the frames of the training split."""
    statistics = {}
    for name in MODALITIES:
        values = getattr(load_split(data_path, 'train'), name)
        frames = values[values.any(-1)]  # (frames, D): without padding, without missing faces
        sd = frames.std(axis=0)
        statistics[name] = frames.mean(axis=0), np.where(sd > 0, sd, 1).astype(np.float32)
    return statistics


class Standardised(nn.Module):
    """A model that reads every feature standardised over the frames of the training split.

    `statistics` is {modality: (mean (D,), standard deviation (D,))}. A frame of zeros stays zero.
    """

    def __init__(self, model, statistics):
        super().__init__()
        self.model = model
        for name, (mean, sd) in statistics.items():
            self.register_buffer(f'{name}_mean', torch.as_tensor(mean))
            self.register_buffer(f'{name}_sd', torch.as_tensor(sd))

    def forward(self, vision, text, audio):
        features = {'vision': vision, 'text': text, 'audio': audio}
        for name, x in features.items():
            mean, sd = self.get_buffer(f'{name}_mean'), self.get_buffer(f'{name}_sd')
            features[name] = (x - mean) / sd * x.any(-1, keepdim=True)
        return self.model(**features)


def build_standardised(statistics, **dims):
    """The baseline with standardised features in place of LayerNorm."""
    return Standardised(AblationModel(layer_norm=False, **dims), statistics)


class SelfAttentionFusion(nn.Module):
    """All sequences joined into one of M * T steps; every step attends to every other."""

    def __init__(self, num_modalities, dim=128):
        super().__init__()
        self.modality = nn.Parameter(0.02 * torch.randn(num_modalities, dim))
        self.encoder = TransformerEncoder(position=False, dim=dim)

    def forward(self, sequences, padding):
        tagged = [s + tag for s, tag in zip(sequences, self.modality, strict=True)]
        joined, mask = torch.cat(tagged, dim=1), padding.repeat(1, len(tagged))  # (B, M * T, 128)
        return masked_mean(self.encoder(joined, mask), mask)


class CrossAttentionFusion(nn.Module):
    """Every modality asks the others: its steps are queries, theirs are keys and values."""

    def __init__(self, num_modalities, dim=128, num_heads=4, dropout=0.1):
        super().__init__()
        if num_modalities < 2:
            raise ValueError('cross-attention needs at least two modalities')
        attention = [
            nn.MultiheadAttention(dim, num_heads, dropout, batch_first=True)
            for _ in range(num_modalities)
        ]
        self.attention, self.norm = nn.ModuleList(attention), nn.LayerNorm(dim)

    def forward(self, sequences, padding):
        fused = []
        for i, (query, attention) in enumerate(zip(sequences, self.attention, strict=True)):
            others = torch.cat([s for j, s in enumerate(sequences) if j != i], dim=1)
            mask = padding.repeat(1, len(sequences) - 1)  # (B, (M - 1) * T)
            answer, _ = attention(query, others, others, mask, need_weights=False)
            fused.append(self.norm(query + answer))  # (B, T, 128)
        return masked_mean(sum(fused), padding)


class WordDropout(nn.Module):
    """Hides whole words while training, each with probability `p`: (B, T, D) -> (B, T, D)."""

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, sequence):
        if not self.training:
            return sequence
        kept = torch.rand(sequence.shape[:2], device=sequence.device) >= self.p
        return sequence * kept.unsqueeze(-1)


class UtteranceSummary(nn.Module):
    """Vision or audio in one vector: (B, T, D), missing (B, T) -> (B, 32).

    Every feature is standardised over the frames that are there (BatchNorm, with its learned scale
    and shift) and clipped to [-3, 3]; Linear and ReLU; the mean over the frames that are there, 0
    without any.
    While training, an utterance loses the modality with probability `p_modality`.
    """

    def __init__(self, width, dim=32, dropout=0.3, p_modality=0.2):
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.fc = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, dim), nn.ReLU())
        self.p_modality = p_modality

    def forward(self, sequence, missing):
        summary = masked_mean(self.fc(self.standardize(sequence, missing)), missing)  # (B, 32)
        present = ~missing.all(1, keepdim=True)  # (B, 1)
        if self.training:
            present = present & (
                torch.rand(present.shape, device=present.device) >= self.p_modality
            )
        return summary * present

    def standardize(self, sequence, missing):
        frames = sequence[~missing]  # (number of frames, D)
        self.norm.train(self.training and len(frames) > 1)  # one frame has no spread of its own
        standard = torch.zeros_like(sequence)
        standard[~missing] = self.norm(frames).clamp(-3, 3)
        return standard


class ImprovedSentimentModel(nn.Module):
    """The improved model of question 3, chosen without the test split.

    `forward(vision, text, audio)` takes float tensors (B, T, 35), (B, T, 300), (B, T, 74) and
    returns (B, 1), a score in (-3, 3). The feature widths are keyword arguments.
    """

    def __init__(self, vision_dim=35, text_dim=300, audio_dim=74):
        super().__init__()
        self.text_norm = nn.LayerNorm(text_dim)
        self.text_dropout = nn.Sequential(WordDropout(0.1), nn.Dropout(0.3))
        self.text_fc = nn.Sequential(nn.Linear(text_dim, 256), nn.ReLU())
        self.vision_summary = UtteranceSummary(vision_dim)
        self.audio_summary = UtteranceSummary(audio_dim)
        self.fc = nn.Sequential(
            *(nn.Dropout(0.5), nn.Linear(256 + 2 * 32, 64), nn.ReLU()),
            *(nn.Dropout(0.25), nn.Linear(64, 1)),
        )

    def forward(self, vision, text, audio):
        padding = padding_mask(vision, text, audio)
        words = self.text_fc(self.text_dropout(self.text_norm(text)))  # (B, T, 256)
        text = masked_mean(words, padding)  # (B, 256)
        vision = self.vision_summary(vision, ~vision.any(-1))  # (B, 32)
        audio = self.audio_summary(audio, ~audio.any(-1))
        joined = torch.cat([text, vision, audio], dim=1)  # (B, 320)
        return 3 * torch.tanh(self.fc(joined))

    def criterion(self):
        """The loss that the model is trained with, ready for `train_model`."""
        return nn.L1Loss()


def without(modality):
    """A corruption: the modality is missing (all zeros) in every utterance."""

    def corrupt(vision, text, audio):
        features = {'vision': vision, 'text': text, 'audio': audio}
        features[modality] = torch.zeros_like(features[modality])
        return tuple(features.values())

    return corrupt


def with_lost_frames(share, seed=0):
    """A corruption: every frame of vision and of audio is lost with probability `share`."""
    generator = torch.Generator().manual_seed(seed)

    def corrupt(vision, text, audio):
        kept = [torch.rand(x.shape[:2], generator=generator) >= share for x in (vision, audio)]
        vision, audio = (
            x * k.unsqueeze(-1).to(x.device) for x, k in zip((vision, audio), kept, strict=True)
        )
        return vision, text, audio

    return corrupt


def with_noise(level, vision_sd, audio_sd, seed=0):
    """A corruption: Gaussian noise on every frame of vision and audio that is there.

    Its standard deviation is `level` times that of each feature, (35,) and (74,).
    """
    generator = torch.Generator().manual_seed(seed)

    def add(x, sd):
        noise = torch.randn(x.shape, generator=generator) * sd
        return x + level * noise.to(x.device) * x.any(-1, keepdim=True)

    def corrupt(vision, text, audio):
        return add(vision, vision_sd), text, add(audio, audio_sd)

    return corrupt


@contextmanager
def corrupted(model, corrupt):
    """In its `with` block the model sees `corrupt(vision, text, audio)` of what it is shown."""
    hook = model.register_forward_pre_hook(lambda module, features: corrupt(*features))
    try:
        yield model
    finally:
        hook.remove()


def sweep(models, corruptions, score):
    """What every model makes of every corruption, a DataFrame: `model`, `seed`, `level`, metrics.

    `models` is {(name, seed): (model, checkpoint)}; `corruptions` is {level: make}, where `make()`
    gives a corruption, made anew for each model so that all meet the same accidents;
    `score(model, checkpoint=...)` returns the metrics, a dict, and something else.
    """
    rows = []
    for (name, seed), (model, checkpoint) in models.items():
        for level, make in corruptions.items():
            with corrupted(model, make()):
                metrics, _ = score(model, checkpoint=checkpoint)
            rows.append({'model': name, 'seed': seed, 'level': level, **metrics})
    return pd.DataFrame(rows)


def train_on_part(model, data_path, share, *, seed, epochs, checkpoint):
    """Train a model on a share of the training utterances, chosen by the seed; (number, metrics).

    The metrics are those of the best epoch on the whole validation split.
    """
    set_seed(seed)
    dataset = MOSIDataset(data_path, 'train')
    chosen = torch.randperm(len(dataset))[: max(int(share * len(dataset)), 16)]
    part = DataLoader(Subset(dataset, chosen), batch_size=16, shuffle=True)
    valid = make_loader(data_path, 'valid')
    device = default_device()
    optimizer = torch.optim.Adam(model.to(device).parameters(), lr=1e-3)
    scheduler = CosineAnnealingLR(optimizer, T_max=epochs * len(part))
    loss = model.criterion() if hasattr(model, 'criterion') else nn.MSELoss()
    history = train_model(
        model, part, valid, loss, optimizer, scheduler, device, epochs,
        checkpoint=checkpoint, quiet=True,
    )  # fmt: skip
    return len(chosen), history[best_index(history)]


def word_influence(model, vision, text, audio):
    """How far each word moves the score: features of a batch -> float (B, T), 0 on padding.

    The influence of a word is the score of its utterance minus the score when that step of the
    text is all zeros (Li et al., 2016). The model is put into eval mode.
    """
    padding = padding_mask(vision, text, audio)
    influence = torch.zeros(padding.shape, device=text.device)
    model.eval()
    with torch.no_grad():
        score = model(vision, text, audio)  # (B, 1)
        for step in range(text.shape[1]):
            hidden = text.clone()
            hidden[:, step] = 0
            influence[:, step] = (score - model(vision, hidden, audio)).squeeze(-1)
    return influence.masked_fill(padding, 0)


def read_sentence(model, sentence, data_path):
    """What a model makes of a sentence alone, without voice and face.

    Words are looked up among those of the data file. Returns (words, influence (L,), caption), as
    `figures.word_influence` takes them; words without a vector are named on stdout.
    """
    encoded, data = encode(sentence, data_path), load_split(data_path, 'train')
    if encoded.unknown:
        print('词表里没有：', *encoded.unknown)
    vision, audio = (torch.zeros(1, STEPS, x.shape[-1]) for x in (data.vision, data.audio))
    device = next(model.parameters()).device
    features = [x.to(device) for x in (vision, torch.from_numpy(encoded.text)[None], audio)]
    influence = word_influence(model, *features)[0, STEPS - len(encoded.words) :]
    with torch.no_grad():
        score = model(*features).item()
    return encoded.words, influence.cpu().numpy(), f'predicted {score:+.1f}'


def __dir__():
    """The definitions alone, without what they import."""
    values = globals().items()
    return [name for name, value in values if getattr(value, '__module__', '') == __name__]


if __name__ == '__main__':
    sys.exit(command_line(sys.argv[1:], main))
