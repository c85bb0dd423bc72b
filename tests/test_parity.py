"""The baseline gives the very numbers of a literal, naive completion of the lab's skeleton.

The completion below is written from the contract alone, as a student would: per-item conversion,
plain loaders, one loop. On the CPU both must print the same losses and metrics, digit for digit.
"""

import math
import pickle
import random
import re

import numpy as np
import torch
from sklearn.metrics import f1_score
from torch import nn
from torch.utils.data import DataLoader, Dataset

import msa_utils


class NaiveDataset(Dataset):
    def __init__(self, data_path, split='train'):
        with open(data_path, 'rb') as file:
            data = pickle.load(file)[split]
        self.vision = np.array(data['vision'])
        self.text = np.array(data['text'])
        self.audio = np.array(data['audio'])
        self.audio[self.audio == np.inf] = 0.0
        self.audio[self.audio == -np.inf] = 0.0
        self.labels = np.array(data['labels'])

    def __len__(self):
        return self.labels.shape[0]

    def __getitem__(self, index):
        return (
            torch.tensor(self.vision[index].tolist(), dtype=torch.float32),
            torch.tensor(self.text[index].tolist(), dtype=torch.float32),
            torch.tensor(self.audio[index].tolist(), dtype=torch.float32),
            torch.tensor(self.labels[index].tolist(), dtype=torch.float32).squeeze(),
        )


class NaiveModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.vision_norm = nn.LayerNorm(35)
        self.text_norm = nn.LayerNorm(300)
        self.audio_norm = nn.LayerNorm(74)
        self.vision_fc = nn.Linear(35, 128)
        self.text_fc = nn.Linear(300, 128)
        self.audio_fc = nn.Linear(74, 128)
        self.vision_lstm = nn.LSTM(128, 128, num_layers=1, dropout=0.1, batch_first=True)
        self.text_lstm = nn.LSTM(128, 128, num_layers=1, dropout=0.1, batch_first=True)
        self.audio_lstm = nn.LSTM(128, 128, num_layers=1, dropout=0.1, batch_first=True)
        self.mm_lstm = nn.LSTM(128, 128, num_layers=1, dropout=0.1, batch_first=True)
        self.fc = nn.Linear(128, 1)

    def forward(self, vision, text, audio):
        relu = nn.ReLU()
        vision_out, _ = self.vision_lstm(relu(self.vision_fc(self.vision_norm(vision))))
        text_out, _ = self.text_lstm(relu(self.text_fc(self.text_norm(text))))
        audio_out, _ = self.audio_lstm(relu(self.audio_fc(self.audio_norm(audio))))
        _, (hidden, _) = self.mm_lstm(vision_out + text_out + audio_out)
        return torch.sigmoid(self.fc(hidden[-1])) * 6 - 3


def naive_metrics(y_pred, y_true):
    keep = [i for i in range(len(y_true)) if y_true[i] != 0]
    positive = [bool(y_pred[i] > 0) for i in keep]
    truth = [bool(y_true[i] > 0) for i in keep]
    correct = {}
    for limit in (2, 3):
        rounded = [[round(min(limit, max(-limit, y))) for y in ys] for ys in (y_pred, y_true)]
        correct[limit] = [p == t for p, t in zip(*rounded, strict=True)]
    values = {
        'Non0_acc_2': np.mean([p == t for p, t in zip(positive, truth, strict=True)]),
        'Non0_F1_score': f1_score(positive, truth, average='weighted'),
        'Mult_acc_5': np.mean(correct[2]),
        'Mult_acc_7': np.mean(correct[3]),
        'MAE': np.mean(np.abs(np.array(y_pred) - np.array(y_true))),
        'Corr': np.corrcoef(y_pred, y_true)[0][1],
    }
    return {name: round(float(value), 4) for name, value in values.items()}


def naive_evaluate(model, loader, criterion):
    model.eval()
    total, predictions, labels = 0.0, [], []
    with torch.no_grad():
        for vision, text, audio, label in loader:
            output = model(vision, text, audio)[:, 0]
            total += criterion(output, label).item()
            predictions += output.tolist()
            labels += label.tolist()
    return total / len(loader), naive_metrics(predictions, labels)


def naive_main(data_path, epochs):
    random.seed(42)
    np.random.seed(42)
    torch.manual_seed(42)
    print('Device: cpu')
    model = NaiveModel()
    train_loader = DataLoader(NaiveDataset(data_path, 'train'), batch_size=16, shuffle=True)
    valid_loader = DataLoader(NaiveDataset(data_path, 'valid'), batch_size=16, shuffle=False)
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    steps = epochs * len(train_loader)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    best_corr, best_epoch, best_state = -math.inf, None, None
    for epoch in range(epochs):
        model.train()
        total = 0.0
        for vision, text, audio, label in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(vision, text, audio)[:, 0], label)
            loss.backward()
            optimizer.step()
            scheduler.step()
            total += loss.item()
        print(f'Epoch [{epoch + 1}/{epochs}], Loss: {total / len(train_loader):.4f}')
        loss, metrics = naive_evaluate(model, valid_loader, criterion)
        print(f'Validation Loss: {loss:.4f}')
        print(metrics)
        if metrics['Corr'] > best_corr:
            best_corr, best_epoch = metrics['Corr'], epoch
            best_state = {name: value.clone() for name, value in model.state_dict().items()}
    print(f'Best model saved with val_corr {best_corr} at epoch {best_epoch}.')
    model.load_state_dict(best_state)
    print('========== test results: ==========')
    test_loader = DataLoader(NaiveDataset(data_path, 'test'), batch_size=16, shuffle=False)
    loss, metrics = naive_evaluate(model, test_loader, criterion)
    print(f'Test Loss: {loss:.4f}')
    print(metrics)
    return metrics


def test_the_baseline_prints_what_a_naive_completion_prints(
    small_file, workdir, capsys, monkeypatch
):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    naive = naive_main(small_file, epochs=4)
    expected = capsys.readouterr().out
    _, _, metrics = msa_utils.main(small_file, epochs=4)
    assert capsys.readouterr().out == expected
    assert metrics == naive
    losses = re.findall(r'Loss: (\d\.\d{4})', expected)
    assert len(set(losses)) == 9  # four epochs of two losses and the test loss, none the same


if __name__ == '__main__':  # python -m tests.test_parity FILE EPOCHS: the same on a full-size file
    import contextlib
    import io
    import sys

    printed = []
    for run in (naive_main, msa_utils.main):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            run(sys.argv[1], int(sys.argv[2]))
        printed.append(out.getvalue())
    print(printed[0])
    print('the same, to the printed digit:', printed[0] == printed[1])
