"""Right and wrong solutions of the TODOs: bodies of the regions that a student writes.

Shared by the tests of the self-checks and of the grading. The first lines are a right solution of
every region; the tables WRONG and CORRECT say what stands there in its place.
"""
# ruff: noqa: E501 (a table: one variant, one entry)

from dataclasses import dataclass

import torch

from tests.regions import Region, region

BASELINE = ('MultimodalSentimentAnalysisModel',)
CHECKS = {  # task: the check in msa_lab.checks, and what it takes, by the names in the notebook
    '1': ('check_dataset', ('MOSIDataset',)),
    '2': ('check_lstms', BASELINE),
    '3': ('check_layer_norms', BASELINE),
    '4': ('check_fusion', BASELINE),
    '5': ('check_output', BASELINE),
    '6': ('check_accuracy', ('multiclass_acc',)),
    '7': ('check_evaluate', ('evaluate',)),
    '8': ('check_train_epoch', ('train_epoch',)),
    '9': ('check_logging', ('RunWriter',)),
    '10.1': ('check_loader', ('make_loader',)),
    '10.2': ('check_fit', ('fit',)),
    '10.3': ('check_main', ('main',)),
    '11.1': ('check_positions', ('PositionEncoding',)),
    '11.2': ('check_transformer', ('TransformerEncoder',)),
    '12.1': ('check_self_attention', ('SelfAttentionFusion',)),
    '12.2': ('check_cross_attention', ('CrossAttentionFusion',)),
    '13': ('check_modalities', ('AblationModel',)),
    '14.1': ('check_encoder_experiments', ('encoder_experiments',)),
    '14.2': ('check_norm_experiments', ('norm_experiments',)),
    '14.3': ('check_modality_experiments', ('modality_experiments',)),
    '14.4': ('check_loss_experiments', ('loss_experiments',)),
    '14.5': ('check_fusion_experiments', ('fusion_experiments',)),
    '15': ('check_improved', ('ImprovedSentimentModel',)),
}

LENGTH = region('1', 'mosi-dataset', result='return len(self.labels)')
LSTMS = region(
    '2',
    'model-class',
    settings='lstm = dict(num_layers=1, dropout=0.1, batch_first=True)',
    vision='self.vision_lstm = nn.LSTM(128, 128, **lstm)',
    text='self.text_lstm = nn.LSTM(128, 128, **lstm)',
    audio='self.audio_lstm = nn.LSTM(128, 128, **lstm)',
    mm='self.mm_lstm = nn.LSTM(128, 128, **lstm)',
)
NORMS = region(
    '3',
    'model-class',
    vision='vision = self.vision_norm(vision)',
    text='text = self.text_norm(text)',
    audio='audio = self.audio_norm(audio)',
)
FUSION = region('4', 'model-class', feature='feature = vision + text + audio')
OUTPUT = region('5', 'model-class', result='return 6 * torch.sigmoid(output) - 3')
ACCURACY = region(
    '6', 'multiclass-acc', result='return float(np.mean(np.round(y_pred) == np.round(y_true)))'
)
EVALUATED = region(
    '7', 'evaluate', result='return loss, eval_mosi_regression(y_pred, y_true), y_pred, y_true'
)
BATCH = region(
    '8',
    'train-epoch',
    output='output = model(*(x.to(device) for x in features)).squeeze(-1)',
    loss='loss = criterion(output, label.to(device))',
    zero='optimizer.zero_grad()',
    backward='loss.backward()',
    step='optimizer.step()',
)
LOG = region(
    '9',
    'run-writer',
    train="self.train.add_scalar('loss', record['train_loss'], step)",
    valid="self.valid.add_scalar('loss', record['valid_loss'], step)",
)
LOADER = region(
    '10.1',
    'make-loader',
    dataset='dataset = MOSIDataset(data_path, split)',
    loader="return DataLoader(dataset, batch_size=batch_size, shuffle=split == 'train')",
)
OPTIMIZER = region(
    '10.2',
    'fit',
    train="train_loader = make_loader(data_path, 'train', batch_size)",
    valid="valid_loader = make_loader(data_path, 'valid', batch_size)",
    optimizer='optimizer = torch.optim.Adam(model.parameters(), lr=lr)',
)
TRAINING = region(
    '10.2',
    'fit',
    index=1,
    begin='return train_model(',
    arguments='    model, train_loader, valid_loader, criterion, optimizer, scheduler, device, epochs,',
    settings='    checkpoint=checkpoint, writer=writer, **options,',
    end=')',
)
MODEL = region(
    '10.3',
    'main',
    model='model = (build or MultimodalSentimentAnalysisModel)(**dims)',
    criterion='criterion = nn.MSELoss()',
)
POSITIONS = region(
    '11.1',
    'position-encoding',
    position='position = torch.arange(max_steps).unsqueeze(1)',
    frequency='frequency = torch.exp(-math.log(10000.0) * torch.arange(0, dim, 2) / dim)',
    table='table = torch.zeros(max_steps, dim)',
    sine='table[:, 0::2] = torch.sin(position * frequency)',
    cosine='table[:, 1::2] = torch.cos(position * frequency)',
)
ENCODER = region(
    '11.2',
    'transformer-encoder',
    position='sequence = self.position(sequence)',
    result='return self.encoder(sequence, src_key_padding_mask=padding)',
)
SELF_ATTENTION = region(
    '12.1',
    'self-attention',
    tagged='tagged = [s + tag for s, tag in zip(sequences, self.modality, strict=True)]',
    joined='joined, mask = torch.cat(tagged, dim=1), padding.repeat(1, len(tagged))',
    result='return masked_mean(self.encoder(joined, mask), mask)',
)
CROSS_ATTENTION = region(
    '12.2',
    'cross-attention',
    begin='fused = []',
    loop='for i, (query, attention) in enumerate(zip(sequences, self.attention, strict=True)):',
    others='    others = torch.cat([s for j, s in enumerate(sequences) if j != i], dim=1)',
    mask='    mask = padding.repeat(1, len(sequences) - 1)',
    answer='    answer, _ = attention(query, others, others, mask, need_weights=False)',
    residual='    fused.append(self.norm(query + answer))',
    result='return masked_mean(sum(fused), padding)',
)
NORM = region(
    '13',
    'ablation-model',
    norm='norm = nn.LayerNorm(widths[name]) if layer_norm else nn.Identity()',
)
SEQUENCES = region(
    '13',
    'ablation-model',
    index=1,
    norm="x = self.get_submodule(f'{name}_norm')(features[name])",
    fc="x = torch.relu(self.get_submodule(f'{name}_fc')(x))",
    lstm="sequences.append(read_sequence(self.get_submodule(f'{name}_lstm'), x, padding))",
)
ENCODERS = region(
    '14.1',
    'encoder-experiments',
    begin='encoder_experiments = [',
    transformer="    Experiment('transformer', partial(AblationModel, encoder='transformer')),",
    no_position="    Experiment('transformer, no position', partial(AblationModel, encoder='transformer', position=False)),",
    averaged="    Experiment('averaged', partial(AblationModel, fusion='average')),",
    both="    Experiment('transformer, averaged', partial(AblationModel, encoder='transformer', fusion='average')),",
    end=']',
)
NO_NORM = region(
    '14.2',
    'norm-experiments',
    list="norm_experiments = [Experiment('no LayerNorm', partial(AblationModel, layer_norm=False))]",
)
SUBSETS = region(
    '14.3',
    'modality-experiments',
    begin='modality_experiments = [',
    text="    Experiment('text', partial(AblationModel, modalities=('text',))),",
    vision="    Experiment('vision', partial(AblationModel, modalities=('vision',))),",
    audio="    Experiment('audio', partial(AblationModel, modalities=('audio',))),",
    text_vision="    Experiment('text + vision', partial(AblationModel, modalities=('text', 'vision'))),",
    text_audio="    Experiment('text + audio', partial(AblationModel, modalities=('text', 'audio'))),",
    end=']',
)
LOSSES = region(
    '14.4',
    'loss-experiments',
    begin='loss_experiments = [',
    mae="    Experiment('MAE loss', AblationModel, nn.L1Loss()),",
    huber="    Experiment('Huber loss', AblationModel, nn.HuberLoss(delta=1.0)),",
    end=']',
)
FUSIONS = region(
    '14.5',
    'fusion-experiments',
    begin='fusion_experiments = [',
    self_attention="    Experiment('self-attention', partial(AblationModel, fusion='self_attention')),",
    cross_attention="    Experiment('cross-attention', partial(AblationModel, fusion='cross_attention')),",
    end=']',
)
PARTS = region(
    '15',
    'improved-model',
    norm='self.text_norm = nn.LayerNorm(text_dim)',
    dropout='self.text_dropout = nn.Sequential(WordDropout(0.1), nn.Dropout(0.3))',
    words='self.text_fc = nn.Sequential(nn.Linear(text_dim, 256), nn.ReLU())',
    vision='self.vision_summary = UtteranceSummary(vision_dim)',
    audio='self.audio_summary = UtteranceSummary(audio_dim)',
    fc='self.fc = nn.Sequential(nn.Dropout(0.5), nn.Linear(256 + 2 * 32, 64), nn.ReLU(), nn.Dropout(0.25), nn.Linear(64, 1))',
)
SCORE = region(
    '15',
    'improved-model',
    index=1,
    padding='padding = padding_mask(vision, text, audio)',
    words='words = self.text_fc(self.text_dropout(self.text_norm(text)))',
    text='text = masked_mean(words, padding)',
    vision='vision = self.vision_summary(vision, ~vision.any(-1))',
    audio='audio = self.audio_summary(audio, ~audio.any(-1))',
    joined='joined = torch.cat([text, vision, audio], dim=1)',
    result='return 3 * torch.tanh(self.fc(joined))',
)
LOSS = region('15', 'improved-model', index=2, loss='return nn.L1Loss()')
REGIONS = [value for value in vars().values() if isinstance(value, Region)]
ZERO_LAST = (
    PARTS.lines['fc'] + '\nnn.init.zeros_(self.fc[-1].weight)\nnn.init.zeros_(self.fc[-1].bias)'
)


@dataclass(frozen=True)
class Variant:
    """One solution: the right one of every region, with the bodies of `edits` in their places.

    All edits belong to one task. For a wrong solution `says` is a regular expression that the
    message of the check matches.
    """

    name: str
    edits: tuple
    says: str = ''

    @property
    def task(self):
        return self.edits[0].task


def _wrong(name, says, *edits):
    return Variant(name, edits, says)


WRONG = [
    _wrong('counts the steps', r'50.*步数', LENGTH('return self.vision.shape[1]')),
    _wrong('batch_first forgotten', 'batch_first', LSTMS(settings='lstm = {}')),
    _wrong('audio not normalised', 'audio_norm.*没有用上', NORMS(audio='')),
    _wrong('concatenated', '拼接', FUSION('feature = torch.cat([vision, text, audio], -1)')),
    _wrong('scaled to (0, 6)', r'\(0, 6\)', OUTPUT('return 6 * torch.sigmoid(output)')),
    _wrong('accuracy per class', '每一类', ACCURACY("""\
p, t = np.round(y_pred), np.round(y_true)
return float(np.mean([np.mean(p[t == c] == c) for c in np.unique(t)]))""")),
    _wrong('metrics of labels against predictions', '传给.*反了',
           EVALUATED('return loss, eval_mosi_regression(y_true, y_pred), y_pred, y_true')),
    _wrong('gradients never zeroed', '清空', BATCH(zero='')),
    _wrong('different tags', '同名',
           LOG(train="self.train.add_scalar('train_loss', record['train_loss'], step)",
               valid="self.valid.add_scalar('valid_loss', record['valid_loss'], step)")),
    _wrong('not shuffled', '没有打乱', LOADER(loader='return DataLoader(dataset, batch_size=batch_size)')),
    _wrong('trained with the validation split', '验证集用了两次',
           OPTIMIZER(train="train_loader = make_loader(data_path, 'valid', batch_size)")),
    _wrong('L1 in place of MSE', '绝对误差', MODEL(criterion='criterion = nn.L1Loss()')),
    _wrong('sine and cosine swapped', 'sin 和 cos',
           POSITIONS(sine='table[:, 0::2] = torch.cos(position * frequency)',
                     cosine='table[:, 1::2] = torch.sin(position * frequency)')),
    _wrong('padding not masked', '没有\\*\\*屏蔽', ENCODER(result='return self.encoder(sequence)')),
    _wrong('mean over padding', '算进了平均', SELF_ATTENTION(result='return self.encoder(joined, mask).mean(1)')),
    _wrong('attends to itself too', '把\\*\\*自己\\*\\*也算进',
           CROSS_ATTENTION(others='    others = torch.cat(list(sequences), dim=1)',
                           mask='    mask = padding.repeat(1, len(sequences))')),
    _wrong('always normalised', '仍然建了', NORM('norm = nn.LayerNorm(widths[name])')),
    _wrong('no position left in', '同样的',
           ENCODERS(no_position="    Experiment('transformer, no position', partial(AblationModel, encoder='transformer')),")),
    _wrong('LayerNorm left on', "'no LayerNorm' 与它的名字不符：layer_norm 应是 False，得到 True",
           NO_NORM("norm_experiments = [Experiment('no LayerNorm', partial(AblationModel, layer_norm=True))]")),
    _wrong('comma forgotten', '逗号',
           SUBSETS(text="    Experiment('text', partial(AblationModel, modalities=('text'))),")),
    _wrong('losses swapped', "'MAE loss' 的损失应是 MAE；得到的是 Huber",
           LOSSES(mae="    Experiment('MAE loss', AblationModel, nn.HuberLoss()),",
                  huber="    Experiment('Huber loss', AblationModel, nn.L1Loss()),")),
    _wrong('fusions swapped', "'self-attention' 与它的名字不符：fusion 应是 'self_attention'",
           FUSIONS(self_attention="    Experiment('self-attention', partial(AblationModel, fusion='cross_attention')),",
                   cross_attention="    Experiment('cross-attention', partial(AblationModel, fusion='self_attention')),")),
    _wrong('scores without bounds', r'\(-3, 3\)', SCORE(result='return self.fc(joined)')),
    _wrong('test split chooses', '测试集.*当成了验证集',
           OPTIMIZER(valid="valid_loader = make_loader(data_path, 'test', batch_size)")),
    # The grading's tests take the first 24; one per task stands in front.
    _wrong('loss broadcast', r'广播成了 \(B, B\)',
           BATCH(output='output = model(*(x.to(device) for x in features))')),
    _wrong('hidden states summed', '最后隐藏状态', FUSION('feature = (vision + text + audio)[:, -1:]')),
    _wrong('GRU', 'text_lstm.*GRU', LSTMS(text='self.text_lstm = nn.GRU(128, 128, batch_first=True)')),
    _wrong('rounded half up', '偶数',
           ACCURACY('return float(np.mean(np.floor(y_pred + 0.5) == np.floor(y_true + 0.5)))')),
    _wrong('metrics of the last batch', '最后一批',
           EVALUATED('return loss, eval_mosi_regression(output, label), y_pred, y_true')),
    _wrong('norm unused', 'forward. 里没有用', SEQUENCES(norm='x = features[name] + 0')),
    _wrong('one too few', '恰好差 1', LENGTH('return len(self.labels) - 1')),
    _wrong('counts the features', '维数', LENGTH('return self.vision.shape[-1]')),
    _wrong('counts the fields', '几个部分', LENGTH('return len(self[0])')),
    _wrong('counts the cells', '元素', LENGTH('return self.vision.size')),
    _wrong('length is no number', '整数.*形状', LENGTH('return self.labels')),
    _wrong('length not returned', 'return', LENGTH('len(self.labels)')),
    _wrong('reads an unknown attribute', 'AttributeError.*label.*出错的一行', LENGTH('return len(self.label)')),
    _wrong('wrong hidden size', 'vision_lstm.*hidden_size.*64',
           LSTMS(vision='self.vision_lstm = nn.LSTM(128, 64, **lstm)')),
    _wrong('wrong input size', 'text_lstm.*input_size.*300',
           LSTMS(text='self.text_lstm = nn.LSTM(300, 128, **lstm)')),
    _wrong('mm_lstm reads 384', 'mm_lstm.*input_size.*384', LSTMS(mm='self.mm_lstm = nn.LSTM(384, 128, **lstm)')),
    _wrong('audio_lstm missing', '没有 `audio_lstm`', LSTMS(audio='self.audio_rnn = nn.LSTM(128, 128, **lstm)')),
    _wrong('two layers', 'num_layers',
           LSTMS(settings='lstm = dict(num_layers=2, dropout=0.1, batch_first=True)')),
    _wrong('bidirectional', '双向', LSTMS(mm='self.mm_lstm = nn.LSTM(128, 128, bidirectional=True, **lstm)')),
    _wrong('one LSTM for all', '同一个', LSTMS(text='self.text_lstm = self.vision_lstm')),
    _wrong('LSTM not registered', '登记',
           LSTMS(audio="self.__dict__['audio_lstm'] = nn.LSTM(128, 128, **lstm)")),
    _wrong('LSTM badly built', 'TypeError', LSTMS(mm='self.mm_lstm = nn.LSTM(128, **lstm)')),
    _wrong('norm result dropped', 'text_norm.*没有用上', NORMS(text='self.text_norm(text)')),
    _wrong('norm after fc', 'vision 的顺序反了', NORMS(vision='vision = self.vision_norm(self.vision_fc(vision))')),
    _wrong('norm of the wrong modality', '配错了：把 vision', NORMS(vision='vision = self.text_norm(vision)')),
    _wrong('normalised twice', '两次', NORMS(text='text = self.text_norm(self.text_norm(text))')),
    _wrong('norm without its weights', '可学习',
           NORMS(audio='audio = nn.functional.layer_norm(audio, audio.shape[-1:])')),
    _wrong('mean of the three', '平均', FUSION('feature = (vision + text + audio) / 3')),
    _wrong('product', '乘积', FUSION('feature = vision * text * audio')),
    _wrong('audio left out', '漏了 audio', FUSION('feature = vision + text')),
    _wrong('text twice', 'text 加了两次', FUSION('feature = vision + text + text + audio')),
    _wrong('joined along time', '拼接', FUSION('feature = torch.cat([vision, text, audio], dim=1)')),
    _wrong('no sigmoid', '原样返回', OUTPUT('return output')),
    _wrong('sigmoid alone', r'\(0, 1\)', OUTPUT('return torch.sigmoid(output)')),
    _wrong('scaled to (0, 3)', r'\(0, 3\)', OUTPUT('return 3 * torch.sigmoid(output)')),
    _wrong('scaled to (-6, 6)', r'\(-6, 6\)', OUTPUT('return 12 * torch.sigmoid(output) - 6')),
    _wrong('tanh', 'tanh.*斜率是.*两倍', OUTPUT('return 3 * torch.tanh(output)')),
    _wrong('clamped', '截断', OUTPUT('return output.clamp(-3, 3)')),
    _wrong('linear', '线性', OUTPUT('return 6 * output - 3')),
    _wrong('sigmoid of -z', '方向反了', OUTPUT('return 6 / (1 + torch.exp(output)) - 3')),
    _wrong('squeezed', r'\(B, 1\).*\(6,\)', OUTPUT('return (6 * torch.sigmoid(output) - 3).squeeze(-1)')),
    _wrong('score not returned', 'return', OUTPUT('output = 6 * torch.sigmoid(output) - 3')),
    _wrong('not rounded', '没有取整', ACCURACY('return float(np.mean(y_pred == y_true))')),
    _wrong('floor', 'floor', ACCURACY('return float(np.mean(np.floor(y_pred) == np.floor(y_true)))')),
    _wrong('truncated', '截断', ACCURACY('return float(np.mean(y_pred.astype(int) == y_true.astype(int)))')),
    _wrong('count of hits', '个数', ACCURACY('return float(np.sum(np.round(y_pred) == np.round(y_true)))')),
    _wrong('error rate', '错误率', ACCURACY('return float(np.mean(np.round(y_pred) != np.round(y_true)))')),
    _wrong('per cent', '百分数', ACCURACY('return float(np.mean(np.round(y_pred) == np.round(y_true))) * 100')),
    _wrong('within half a point', '小于 0.5', ACCURACY('return float(np.mean(np.abs(y_pred - y_true) < 0.5))')),
    _wrong('predictions not rounded', r'\*\*预测\*\*没有取整', ACCURACY('return float(np.mean(y_pred == np.round(y_true)))')),
    _wrong('labels not rounded', r'\*\*真实分数\*\*没有取整', ACCURACY('return float(np.mean(np.round(y_pred) == y_true))')),
    _wrong('hits not averaged', '每个样本', ACCURACY('return np.round(y_pred) == np.round(y_true)')),
    _wrong('returned in the wrong order', '返回的.*反了',
           EVALUATED('return loss, eval_mosi_regression(y_pred, y_true), y_true, y_pred')),
    _wrong('loss summed', r'\*\*和\*\*',
           EVALUATED('return loss * 3, eval_mosi_regression(y_pred, y_true), y_pred, y_true')),
    _wrong('loss of all utterances', '每句的平均',
           EVALUATED('return criterion(y_pred, y_true).item(), eval_mosi_regression(y_pred, y_true), y_pred, y_true')),
    _wrong('metrics first', '顺序是固定',
           EVALUATED('return eval_mosi_regression(y_pred, y_true), loss, y_pred, y_true')),
    _wrong('two results', '四样', EVALUATED('return loss, eval_mosi_regression(y_pred, y_true)')),
    _wrong('predictions of the last batch', '最后一批',
           EVALUATED('return loss, eval_mosi_regression(y_pred, y_true), output, label')),
    _wrong('no backward', '反向传播', BATCH(backward='')),
    _wrong('no step', '走一步', BATCH(step='')),
    _wrong('zeroed before use', r'`optimizer\.step\(\)` \*\*之前\*\*被清掉',
           BATCH(zero='', backward='loss.backward()\noptimizer.zero_grad()')),
    _wrong('step before backward', r'`optimizer\.step\(\)` 在反向传播',
           BATCH(backward='optimizer.step()', step='loss.backward()')),
    _wrong('arguments in another order', r'\(vision, text, audio\).*\(3, 2, 4\)',
           BATCH(output='output = model(*(x.to(device) for x in (features[1], features[0], features[2]))).squeeze(-1)')),
    _wrong('absolute error', '绝对误差', BATCH(loss='loss = (output - label.to(device)).abs().mean()')),
    _wrong('scheduler twice', 'scheduler.*6 次', BATCH(step='optimizer.step()\nscheduler.step()')),
    _wrong('uphill', '变大', BATCH(backward='(-loss).backward()')),
    _wrong('both in one directory', '同一个目录',
           LOG(valid="self.train.add_scalar('valid_loss', record['valid_loss'], step)")),
    _wrong('both in one directory and one tag', '同一个目录',
           LOG(valid="self.train.add_scalar('loss', record['valid_loss'], step)")),
    _wrong('losses of the log swapped', '\\*\\*反\\*\\*',
           LOG(train="self.train.add_scalar('loss', record['valid_loss'], step)",
               valid="self.valid.add_scalar('loss', record['train_loss'], step)")),
    _wrong('no step number', 'step 却总是', LOG(train="self.train.add_scalar('loss', record['train_loss'])")),
    _wrong('steps from 0', r'\[0, 1, 2\]', LOG(valid="self.valid.add_scalar('loss', record['valid_loss'], step - 1)")),
    _wrong('validation loss not logged', 'valid_loss.*找不到', LOG(valid='')),
    _wrong('loaders swapped', '传反',
           TRAINING(arguments='    model, valid_loader, train_loader, criterion, optimizer, scheduler, device, epochs,')),
    _wrong('valid is train', '训练集用了两次',
           OPTIMIZER(valid="valid_loader = make_loader(data_path, 'train', batch_size)")),
    _wrong('validation data in the training data', r'应给出训练集；现在给的是训练集、验证集。', LOADER(dataset="""\
dataset = MOSIDataset(data_path, split)
if split == 'train':
    dataset = torch.utils.data.ConcatDataset([dataset, MOSIDataset(data_path, 'valid')])""")),
    _wrong('trained with the validation data too', '混进了', OPTIMIZER(train="""\
both = torch.utils.data.ConcatDataset([MOSIDataset(data_path, split) for split in ('train', 'valid')])
train_loader = DataLoader(both, batch_size, shuffle=True)""")),
    _wrong('trained with the test split', r'训练数据里有\*\*测试集',
           OPTIMIZER(train="train_loader = make_loader(data_path, 'test', batch_size)")),
    _wrong('tested on the validation split', r"'test'\) 应给出测试集；现在给的是验证集",
           LOADER(dataset="dataset = MOSIDataset(data_path, 'train' if split == 'train' else 'valid')")),
    _wrong('SGD', 'SGD', OPTIMIZER(optimizer='optimizer = torch.optim.SGD(model.parameters(), lr=lr)')),
    _wrong('AdamW', 'AdamW', OPTIMIZER(optimizer='optimizer = torch.optim.AdamW(model.parameters(), lr=lr)')),
    _wrong('learning rate 0.01', '学习率应是 0.001；得到 0.01',
           OPTIMIZER(optimizer='optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)')),
    _wrong('learning rate fixed', '写死',
           OPTIMIZER(optimizer='optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)')),
    _wrong('batches of 32', '训练集的批大小应是 16；得到 32',
           LOADER(loader="return DataLoader(dataset, batch_size=32, shuffle=split == 'train')")),
    _wrong('no DataLoader', '还没有套上 DataLoader', LOADER(loader='return dataset')),
    _wrong('batch size fixed', '批大小写死了：batch_size=5.*得到 16',
           LOADER(loader="return DataLoader(dataset, batch_size=16, shuffle=split == 'train')")),
    _wrong('batch size not passed', '批大小写死了：batch_size=5 时训练集',
           OPTIMIZER(train="train_loader = make_loader(data_path, 'train')")),
    _wrong('another file', '应读传进来的 data_path；实际读了 mosi_raw.pkl',
           LOADER(dataset="dataset = MOSIDataset('mosi_raw.pkl', split)")),
    _wrong('all shuffled', '验证集被打乱',
           LOADER(loader='return DataLoader(dataset, batch_size=batch_size, shuffle=True)')),
    _wrong('test shuffled', '测试集被打乱',
           LOADER(loader="return DataLoader(dataset, batch_size=batch_size, shuffle=split != 'valid')")),
    _wrong('last batch dropped', 'drop_last',
           LOADER(loader="return DataLoader(dataset, batch_size, shuffle=split == 'train', drop_last=True)")),
    _wrong('epochs fixed', '轮数',
           TRAINING(arguments='    model, train_loader, valid_loader, criterion, optimizer, scheduler, device, 20,')),
    _wrong('checkpoint not passed', 'checkpoint', TRAINING(settings='    writer=writer, **options,')),
    _wrong('log in place of the writer', '传给 train_model 的是 writer，不是 log',
           TRAINING(settings='    checkpoint=checkpoint, writer=log, **options,')),
    _wrong('writer not passed', 'writer', TRAINING(settings='    checkpoint=checkpoint, **options,')),
    _wrong('options not passed', r'`progress` 没有传下去.*\*\*options',
           TRAINING(settings='    checkpoint=checkpoint, writer=writer,')),
    _wrong('parameters of another model', '另一个',
           OPTIMIZER(optimizer='optimizer = torch.optim.Adam(MultimodalSentimentAnalysisModel().parameters(), lr=lr)')),
    _wrong('only the last layer', '全部 3 组',
           OPTIMIZER(optimizer='optimizer = torch.optim.Adam(model.fc.parameters(), lr=lr)')),
    _wrong('build ignored', '`build` 没有用上', MODEL(model='model = MultimodalSentimentAnalysisModel(**dims)')),
    _wrong('dims not passed', r'没有传 `\*\*dims`',
           MODEL(model='model = (build or MultimodalSentimentAnalysisModel)()')),
    _wrong('dims without stars', '没有传 .*带两个星号',
           MODEL(model='model = (build or MultimodalSentimentAnalysisModel)(dims)')),
    _wrong('build not called', '`build` 没有用上.*先选类，再加括号造',
           MODEL(model='model = build or MultimodalSentimentAnalysisModel(**dims)')),
    _wrong('sines alone', '所有的维都用了 sin',
           POSITIONS(cosine='table[:, 1::2] = torch.sin(position * frequency)')),
    _wrong('base 1000', '底数.*1000。',
           POSITIONS(frequency='frequency = torch.exp(-math.log(1000.0) * torch.arange(0, dim, 2) / dim)')),
    _wrong('exponent j/d', '指数不对：应是 2j/d，现在像是 j/d',
           POSITIONS(frequency='frequency = torch.exp(-math.log(10000.0) * torch.arange(dim // 2) / dim)')),
    _wrong('exponent 4j/d', '指数不对：应是 2j/d，现在像是 4j/d',
           POSITIONS(frequency='frequency = 10000.0 ** (-2 * torch.arange(0, dim, 2) / dim)')),
    _wrong('positions from 1', '从 0 数起',
           POSITIONS(position='position = torch.arange(1, max_steps + 1).unsqueeze(1)')),
    _wrong('halves not interleaved', '交错',
           POSITIONS(sine='table[:, : dim // 2] = torch.sin(position * frequency)',
                     cosine='table[:, dim // 2 :] = torch.cos(position * frequency)')),
    _wrong('mask inverted', '屏蔽\\*\\*反了',
           ENCODER(result='return self.encoder(sequence, src_key_padding_mask=~padding)')),
    _wrong('position not added', '没有加', ENCODER(position='')),
    _wrong('position after the encoder', '之后',
           ENCODER(position='', result='return self.position(self.encoder(sequence, src_key_padding_mask=padding))')),
    _wrong('position added twice', r'加了\*\*两次', ENCODER(position='sequence = self.position(self.position(sequence))')),
    _wrong('position after cutting', '单独算', ENCODER("""\
shared = int(padding.sum(1).min())
output = self.position(sequence[:, shared:])
output = self.encoder(output, src_key_padding_mask=padding[:, shared:])
return nn.functional.pad(output, (0, 0, shared, 0))""")),
    _wrong('padding cut off', '同形状', ENCODER(result="""\
shared = int(padding.sum(1).min())
return self.encoder(sequence[:, shared:], src_key_padding_mask=padding[:, shared:])""")),
    _wrong('only the last step', '同形状',
           ENCODER(result='return self.encoder(sequence, src_key_padding_mask=padding)[:, -1]')),
    _wrong('mask of one sequence', 'SelfAttention.*接了几条序列，padding 也要重复几次',
           SELF_ATTENTION(joined='joined, mask = torch.cat(tagged, dim=1), padding')),
    _wrong('joined along the features', r'SelfAttention.*\(3, 384\)（沿\*\*特征\*\*那一维拼接了？）',
           SELF_ATTENTION(joined='joined, mask = torch.cat(tagged, dim=-1), padding')),
    _wrong('three modalities in self-attention', '2 个模态时出错：个数写死了',
           SELF_ATTENTION(tagged='tagged = [sequences[m] + self.modality[m] for m in range(3)]')),
    _wrong('mask repeated along the batch', r'SelfAttention.*标记沿\*\*批次\*\*重复了',
           SELF_ATTENTION(joined='joined, mask = torch.cat(tagged, dim=1), padding.repeat(len(tagged), 1)')),
    _wrong('joined along the features, mask repeated', r'序列接在了\*\*特征\*\*那一维上',
           SELF_ATTENTION(joined='joined, mask = torch.cat(tagged, dim=-1), padding.repeat(1, len(tagged))')),
    _wrong('three masks in self-attention', '填充标记的步数与序列不同',
           SELF_ATTENTION(joined='joined, mask = torch.cat(tagged, dim=1), padding.repeat(1, 3)')),
    _wrong('a sum without the last modality', '改变第 2 个模态的第 0 步，结果却不变',
           SELF_ATTENTION(tagged='', joined='joined, mask = sum(sequences[:2]), padding')),
    _wrong('the last step of a sum', '第 0 步，结果却不变',
           SELF_ATTENTION("""\
joined = sum(sequences)
return joined[:, -1]""")),
    _wrong('a sum over padding', 'SelfAttention.*随填充处的内容而变',
           SELF_ATTENTION(tagged='', joined='joined, mask = sum(sequences), torch.zeros_like(padding)')),
    _wrong('mask of one of the others', 'CrossAttention.*padding 也要重复几次',
           CROSS_ATTENTION(mask='    mask = padding')),
    _wrong('query and key exchanged', r'查询和键\*\*反\*\*了',
           CROSS_ATTENTION(answer='    answer, _ = attention(others, query, query, padding, need_weights=False)')),
    _wrong('query and key exchanged, mask left', r'查询和键\*\*反\*\*了',
           CROSS_ATTENTION(answer='    answer, _ = attention(others, query, query, mask, need_weights=False)')),
    _wrong('query and key exchanged throughout', r'查询和键\*\*反\*\*了',
           CROSS_ATTENTION(mask='    mask = padding',
                           answer='    answer, _ = attention(others, query, query, mask, need_weights=False)',
                           residual='    fused.append(self.norm(others + answer))',
                           result='return masked_mean(sum(fused), padding.repeat(1, len(sequences) - 1))')),
    _wrong('three modalities in cross-attention', '2 个模态时出错：个数写死了',
           CROSS_ATTENTION(loop='for i in range(3):\n    query, attention = sequences[i], self.attention[i]')),
    _wrong('mask of cross-attention inverted', r'True 处遮住；现在恰好\*\*反\*\*了',
           CROSS_ATTENTION(mask='    mask = ~padding.repeat(1, len(sequences) - 1)')),
    _wrong('mask of cross-attention repeated along the batch', r'CrossAttention.*标记沿\*\*批次\*\*重复了',
           CROSS_ATTENTION(mask='    mask = padding.repeat(len(sequences) - 1, 1)')),
    _wrong('two masks in cross-attention', 'CrossAttention.*填充标记的步数与序列不同',
           CROSS_ATTENTION(mask='    mask = padding.repeat(1, 2)')),
    _wrong('self-attention over padding', 'SelfAttention.*填充标记.*0 处',
           SELF_ATTENTION(joined='joined, mask = torch.cat(tagged, dim=1), torch.zeros_like(padding).repeat(1, len(tagged))')),
    _wrong('modalities not told apart', 'self.modality', SELF_ATTENTION(tagged='tagged = sequences')),
    _wrong('self-attention without a mean', r'SelfAttention.*\(B, 128\)',
           SELF_ATTENTION(result='return self.encoder(joined, mask)')),
    _wrong('cross-attention over padding', 'CrossAttention.*没有\\*\\*屏蔽',
           CROSS_ATTENTION(answer='    answer, _ = attention(query, others, others)')),
    _wrong('attends to itself only', '只问了\\*\\*自己',
           CROSS_ATTENTION(others='    others = query', mask='    mask = padding')),
    _wrong('attends to one other only', '其余所有',
           CROSS_ATTENTION(others='    others = torch.cat([s for j, s in enumerate(sequences) if j != i][:1], dim=1)',
                           mask='    mask = padding')),
    _wrong('no residual', '残差', CROSS_ATTENTION(residual='    fused.append(self.norm(answer))')),
    _wrong('no norm', '归一化', CROSS_ATTENTION(residual='    fused.append(query + answer)')),
    _wrong('cross mean over padding', 'CrossAttention.*算进了平均',
           CROSS_ATTENTION(result='return sum(fused).mean(1)')),
    _wrong('mean over modalities', '相加',
           CROSS_ATTENTION(result='return masked_mean(sum(fused) / len(fused), padding)')),
    _wrong('one attention for all', '各用自己',
           CROSS_ATTENTION(answer='    answer, _ = self.attention[0](query, others, others, mask, need_weights=False)')),
    _wrong('never normalised', '没有可学习的归一化', NORM('norm = nn.Identity()')),
    _wrong('no ReLU', 'ReLU', SEQUENCES(fc="x = self.get_submodule(f'{name}_fc')(x)")),
    _wrong('uses one modality for all', 'shapes cannot be multiplied|normalized_shape',
           SEQUENCES(norm="x = self.get_submodule(f'{name}_norm')(text)")),
    _wrong('sequences not collected', r'应装着 3 个模态的序列（sequences.append\(...\)）；是空的',
           SEQUENCES(lstm="read_sequence(self.get_submodule(f'{name}_lstm'), x, padding)")),
    _wrong('tuples collected', '元组：要用 read_sequence',
           SEQUENCES(lstm="sequences.append(self.get_submodule(f'{name}_lstm')(x))")),
    _wrong('not encoded', 'vision_lstm` 没有被调用', SEQUENCES(lstm='sequences.append(x)')),
    _wrong('modalities mixed up', "'text \\+ audio'.*modalities",
           SUBSETS(text_audio="    Experiment('text + audio', partial(AblationModel, modalities=('vision', 'audio'))),")),
    _wrong('averaged mixed up', "'averaged' 与它的名字不符：encoder 应是 'lstm'，得到 'transformer'",
           ENCODERS(averaged="    Experiment('averaged', partial(AblationModel, encoder='transformer', fusion='average')),",
                    both="    Experiment('transformer, averaged', partial(AblationModel, fusion='average')),")),
    _wrong('averaged without a fusion', "'averaged' 与它的名字不符：fusion 应是 'average'，得到 'sum'",
           ENCODERS(averaged="    Experiment('averaged', AblationModel),")),
    _wrong('two changes at once', "'no LayerNorm' 与它的名字不符：encoder 应是 'lstm'",
           NO_NORM("norm_experiments = [Experiment('no LayerNorm', partial(AblationModel, layer_norm=False, encoder='transformer'))]")),
    _wrong('an experiment in place of a list', '清单应是列表',
           NO_NORM("norm_experiments = Experiment('no LayerNorm', partial(AblationModel, layer_norm=False))")),
    _wrong('an experiment missing', "缺 1 个实验：'audio'", SUBSETS(audio='')),
    _wrong('a name misspelt', "'no layernorm'",
           NO_NORM("norm_experiments = [Experiment('no layernorm', partial(AblationModel, layer_norm=False))]")),
    _wrong('a model in place of build', '造好的模型',
           NO_NORM("norm_experiments = [Experiment('no LayerNorm', AblationModel(layer_norm=False))]")),
    _wrong('a loss without brackets', '括号',
           LOSSES(mae="    Experiment('MAE loss', AblationModel, nn.L1Loss),")),
    _wrong('another delta', r'Huber（Huber 的 delta 应是 1）',
           LOSSES(huber="    Experiment('Huber loss', AblationModel, nn.HuberLoss(delta=0.5)),")),
    _wrong('a loss forgotten', "'Huber loss' 的损失应是 Huber；得到的是 MSE",
           LOSSES(huber="    Experiment('Huber loss', AblationModel),")),
    _wrong('a name twice', "名字不能重复：'self-attention'",
           FUSIONS(cross_attention="    Experiment('self-attention', partial(AblationModel, fusion='cross_attention')),")),
    _wrong('random in eval mode', 'self.training',
           SCORE(words='words = self.text_fc(nn.functional.dropout(self.text_norm(text), 0.3))')),
    _wrong('batch statistics in eval mode', '同一批里', SCORE(words='words = self.text_fc(self.text_norm(text - text.mean(0)))')),
    _wrong('width not from the argument', '不要写死', PARTS(vision='self.vision_summary = UtteranceSummary(35)')),
    _wrong('text unused', '文本',
           SCORE(words='words = self.text_fc(self.text_norm(torch.zeros_like(text)))')),
    _wrong('squeezed score', r'\(B, 1\)',
           SCORE(result='return 3 * torch.tanh(self.fc(joined)).squeeze(-1)')),
    _wrong('gradient cut off', '梯度',
           SCORE(result='return 3 * torch.tanh(self.fc(joined)).detach()')),
    _wrong('too large', '3 倍',
           PARTS(words='self.text_fc = nn.Sequential(nn.Linear(text_dim, 256), nn.ReLU())\nself.extra = nn.Linear(2000, 2000)')),
    _wrong('MSE by formula in the loop', '写死', BATCH(loss='loss = ((output - label.to(device)) ** 2).mean()')),
    _wrong('MSELoss in the loop', '写死', BATCH(loss='loss = nn.MSELoss()(output, label.to(device))')),
    _wrong('criterion asked for show', '写死',
           BATCH(loss='loss = criterion(output, label)\nloss = nn.functional.mse_loss(output, label)')),
    _wrong('criterion with labels first', '两个参数反了：预测在前',
           BATCH(loss='loss = criterion(label.to(device), output)')),
    _wrong('twice the criterion, half the step', '换一种损失',
           BATCH(loss="""\
loss = criterion(output, label)
loss = loss + (criterion(output, label) - criterion(label, output)) / 2""")),
    _wrong('padding zeroed', '只是清成了零',
           ENCODER(result='return self.encoder(sequence.masked_fill(padding.unsqueeze(-1), 0))')),
    _wrong('padding as mask', 'padding` 传成了 mask',
           ENCODER(result='return self.encoder(sequence, mask=padding)')),
    _wrong('padding as mask, by position', 'padding` 传成了 mask',
           ENCODER(result='return self.encoder(sequence, padding)')),
    _wrong('hardtanh', '硬截断', OUTPUT('return nn.functional.hardtanh(output, -3, 3)')),
    _wrong('logits added to a sigmoid', 'z 到分数是', OUTPUT('return torch.sigmoid(output) + 3 * output')),
    _wrong('GroupNorm', r'应是 nn\.LayerNorm\(维数\)，其余用默认值；得到 GroupNorm。',
           NORM('norm = nn.GroupNorm(1, widths[name]) if layer_norm else nn.Identity()')),
    *([
        _wrong('RMSNorm', r'应是 nn\.LayerNorm\(维数\)，其余用默认值；得到 RMSNorm。',
               NORM('norm = nn.RMSNorm(widths[name]) if layer_norm else nn.Identity()')),
    ] if hasattr(torch.nn, 'RMSNorm') else []),  # torch 2.4 and newer
    _wrong('LayerNorm without a bias', r'其余用默认值；得到 LayerNorm\(\.\.\., bias=False\)。',
           NORM('norm = nn.LayerNorm(widths[name], bias=False) if layer_norm else nn.Identity()')),
    _wrong('a model without brackets', '得到的是类（少了一对括号）',
           MODEL(model='model = build or MultimodalSentimentAnalysisModel')),
    _wrong('no loader returned', 'make_loader 返回了 None',
           LOADER(loader="DataLoader(dataset, batch_size=batch_size, shuffle=split == 'train')")),
    _wrong('split not passed', r"'valid'\) 应给出验证集；现在给的是训练集（有没有把 split 传给",
           LOADER(dataset='dataset = MOSIDataset(data_path)')),
    _wrong('build always called', 'build 是 None 时用基线', MODEL(model='model = build(**dims)')),
    _wrong('progress not passed', '`progress` 没有传下去',
           TRAINING(settings="    checkpoint=checkpoint, writer=writer, quiet=options.get('quiet', False),")),
    _wrong('quiet not passed', '`quiet` 没有传下去',
           TRAINING(settings="    checkpoint=checkpoint, writer=writer, progress=options.get('progress', False),")),
    _wrong('always quiet', '`quiet` 没有传下去',
           TRAINING(settings='    checkpoint=checkpoint, writer=writer, **(options | {"quiet": True}),')),
    _wrong('no settings passed', 'checkpoint', TRAINING(settings='')),
    _wrong('NumPy arrays', 'NumPy 数组，应是张量',
           EVALUATED('return loss, eval_mosi_regression(y_pred, y_true), y_pred.numpy(), y_true.numpy()')),
    _wrong('a loss that is not made', '括号', LOSS(loss='return nn.L1Loss')),
    _wrong('softmax over nothing', '与人脸无关：softmax',
           SCORE(text="""\
weights = torch.softmax(words.mean(-1).masked_fill(padding, float('-inf')), dim=0)
text = (weights.unsqueeze(-1) * words).sum(1)""")),
    _wrong('mean over no face', '有一句没有人脸',
           SCORE(vision="""\
face = vision.any(-1, keepdim=True)
vision = self.vision_summary.fc((vision * face).sum(1) / face.sum(1))""")),
    _wrong('no score returned', r'\(B, 1\).*忘了 return',
           SCORE(result='score = 3 * torch.tanh(self.fc(joined))')),
    _wrong('text unused, last layer at zero', '文本', PARTS(fc=ZERO_LAST),
           SCORE(words='words = self.text_fc(self.text_norm(torch.zeros_like(text)))')),
]  # fmt: skip


def _right(name, *edits):
    return Variant(name, edits)


CORRECT = [
    _right('fusion by einsum',
           FUSION("feature = torch.einsum('mbtd->btd', torch.stack([vision, text, audio]))")),
    _right('sigmoid by formula', OUTPUT('return 6 / (1 + torch.exp(-output)) - 3')),
    _right('accuracy by a loop', ACCURACY("""\
hits = 0
for p, t in zip(y_pred.ravel(), y_true.ravel(), strict=True):
    hits += int(round(float(p)) == round(float(t)))
return hits / y_pred.size""")),
    _right('labels unsqueezed',
           BATCH(output='output = model(*(x.to(device) for x in features))',
                 loss='loss = criterion(output, label.to(device).unsqueeze(-1))')),
    _right('functional layer norm', NORMS("""\
norm = nn.functional.layer_norm
vision = norm(vision, vision.shape[-1:], self.vision_norm.weight, self.vision_norm.bias)
text = norm(text, text.shape[-1:], self.text_norm.weight, self.text_norm.bias)
audio = norm(audio, audio.shape[-1:], self.audio_norm.weight, self.audio_norm.bias)""")),
    _right('LSTMs by keyword, no dropout', LSTMS("""\
self.vision_lstm = nn.LSTM(input_size=128, hidden_size=128, batch_first=True)
self.text_lstm = nn.LSTM(input_size=128, hidden_size=128, batch_first=True)
self.audio_lstm = nn.LSTM(input_size=128, hidden_size=128, batch_first=True)
self.mm_lstm = nn.LSTM(input_size=128, hidden_size=128, batch_first=True)""")),
    _right('experiments by lambdas', SUBSETS(
        text_vision="    Experiment('text + vision', lambda: AblationModel(modalities=['vision', 'text'])),")),
    _right('MSE by formula in main', MODEL(criterion='criterion = lambda p, y: ((p - y) ** 2).mean()')),
    # The grading's tests take the first 8.
    _right('shape of the labels', LENGTH('return self.vision.shape[0]')),
    _right('length as a NumPy integer', LENGTH('return np.int64(self.labels.size)')),
    _right('LSTMs in a ModuleDict', LSTMS(
        vision="self.lstms = nn.ModuleDict({n: nn.LSTM(128, 128, **lstm) for n in ('vision', 'text', 'audio')})",
        text="self.vision_lstm, self.text_lstm = self.lstms['vision'], self.lstms['text']",
        audio="self.audio_lstm = self.lstms['audio']")),
    _right('norms in a loop', NORMS("""\
vision, text, audio = (
    getattr(self, f'{n}_norm')(x)
    for n, x in (('vision', vision), ('text', text), ('audio', audio)))""")),
    _right('fusion in place', FUSION("""\
feature = torch.zeros_like(vision)
for sequence in (vision, text, audio):
    feature += sequence""")),
    _right('tanh of half', OUTPUT('return 3 * torch.tanh(output / 2)')),
    _right('last step of the sequence', OUTPUT("""\
sequence, _ = self.mm_lstm(feature)
return (torch.sigmoid(self.fc(sequence[:, -1, :])) * 6 - 3).view(-1, 1)""")),
    _right('accuracy as a NumPy number', ACCURACY('return (np.rint(y_pred) == np.rint(y_true)).mean()')),
    _right('own metrics', EVALUATED("""\
p, t = y_pred.double().numpy(), y_true.double().numpy()
counted = t != 0
metrics = {
    'Non0_acc_2': np.mean((p[counted] > 0) == (t[counted] > 0)),
    'Non0_F1_score': f1_score(p[counted] > 0, t[counted] > 0, average='weighted'),
    'Mult_acc_5': multiclass_acc(p.clip(-2, 2), t.clip(-2, 2)),
    'Mult_acc_7': multiclass_acc(p.clip(-3, 3), t.clip(-3, 3)),
    'MAE': np.abs(p - t).mean(),
    'Corr': np.corrcoef(p, t)[0, 1],
}
return loss, {k: round(float(v), 4) for k, v in metrics.items()}, y_pred, y_true""")),
    _right('metrics in a variable', EVALUATED("""\
metrics = eval_mosi_regression(y_pred=y_pred, y_true=y_true)
return (loss, metrics, y_pred, y_true)""")),
    _right('bare squeeze', BATCH(output='output = model(*(x.to(device) for x in features)).squeeze()')),
    _right('reshaped',
           BATCH(output='output = model(*(x.to(device) for x in features)).reshape(label.shape)')),
    _right('zeroed first, by the model',
           BATCH(output='model.zero_grad()\noutput = model(*(x.to(device) for x in features)).squeeze(-1)', zero='')),
    _right('zeroed last', BATCH(zero='', step='optimizer.step()\noptimizer.zero_grad()')),
    _right('arguments by name', BATCH(
        output='vision, text, audio = features\noutput = model(audio=audio, vision=vision, text=text)[:, 0]',
        loss='loss = criterion(output, label)')),
    _right('scalars by keyword', LOG(
        train="self.train.add_scalar(tag='loss', scalar_value=record['train_loss'], global_step=step)",
        valid="self.valid.add_scalar('loss', np.float32(record['valid_loss']), record['epoch'])")),
    _right('a sampler', LOADER(loader="""\
sampler = torch.utils.data.RandomSampler(dataset) if split == 'train' else None
return DataLoader(dataset, batch_size, sampler=sampler)""")),
    _right('everything by keyword', TRAINING("""\
return train_model(
    model=model, train_loader=train_loader, valid_loader=valid_loader, epochs=epochs,
    criterion=criterion, optimizer=optimizer, scheduler=scheduler, device=device,
    checkpoint=checkpoint, writer=writer, **options,
)""")),
    _right('options by name', TRAINING(settings="""\
    checkpoint=checkpoint, writer=writer,
    progress=options.get('progress', False), quiet=options.get('quiet', False),""")),
    _right('loaders without make_loader', OPTIMIZER("""\
train_set, valid_set = MOSIDataset(data_path), MOSIDataset(data_path, 'valid')
train_loader = DataLoader(train_set, batch_size, shuffle=True)
valid_loader = DataLoader(valid_set, batch_size)
optimizer = torch.optim.Adam([{'params': model.parameters(), 'lr': lr}])""")),
    _right('build asked by an if',
           MODEL(model='model = MultimodalSentimentAnalysisModel(**dims) if build is None else build(**dims)')),
    _right('table by a loop', POSITIONS("""\
frequency = 1 / 10000 ** (torch.arange(0, dim, 2) / dim)
table = torch.zeros(max_steps, dim)
for t in range(max_steps):
    table[t, 0::2] = torch.sin(t * frequency)
    table[t, 1::2] = torch.cos(t * frequency)""")),
    _right('padding of all cut off', ENCODER(result="""\
shared = int(padding.sum(1).min())
output = self.encoder(sequence[:, shared:], src_key_padding_mask=padding[:, shared:])
return nn.functional.pad(output, (0, 0, shared, 0))""")),
    _right('mask as numbers', ENCODER(result="""\
mask = torch.zeros(padding.shape).masked_fill(padding, float('-inf'))
return self.encoder(sequence, src_key_padding_mask=mask)""")),
    _right('self-attention by a loop', SELF_ATTENTION("""\
tagged = [sequences[i] + self.modality[i] for i in range(len(sequences))]
joined, mask = torch.cat(tagged, 1), torch.cat([padding] * len(tagged), 1)
encoded = self.encoder(joined, mask).masked_fill(mask.unsqueeze(-1), 0)
return encoded.sum(1) / (~mask).sum(1, keepdim=True)""")),
    _right('self-attention over the sum', SELF_ATTENTION("""\
return masked_mean(self.encoder(sum(sequences), padding), padding)""")),
    _right('cross-attention by keyword', CROSS_ATTENTION(
        answer='    answer = attention(query=query, key=others, value=others, key_padding_mask=mask)[0]',
        result='return sum(masked_mean(f, padding) for f in fused)')),
    _right('norm by if', NORM("""\
if layer_norm:
    norm = nn.LayerNorm(widths[name])
else:
    norm = nn.Sequential()""")),
    _right('modules by getattr', SEQUENCES("""\
norm, fc, lstm = (getattr(self, f'{name}_{part}') for part in ('norm', 'fc', 'lstm'))
x = fc(norm(features[name])).clamp(min=0)
sequences += [read_sequence(lstm, x, padding)]""")),
    _right('encoders by lambdas', ENCODERS(
        transformer="    Experiment('transformer', lambda: AblationModel(encoder='transformer')),",
        averaged="    Experiment('averaged', lambda: AblationModel('lstm', 'average')),")),
    _right('no norm as a number', NO_NORM("""\
norm_experiments = [Experiment('no LayerNorm', partial(AblationModel, layer_norm=0))]""")),
    _right('Huber by another name', LOSSES(
        huber="    Experiment('Huber loss', AblationModel, nn.SmoothL1Loss()),")),
    _right('fusions by a comprehension', FUSIONS("""\
fusion_experiments = [
    Experiment(f'{kind}-attention', partial(AblationModel, fusion=f'{kind}_attention'))
    for kind in ('cross', 'self')
]""")),
    _right('another improved model',
           PARTS("""\
self.norm = nn.LayerNorm(text_dim)
self.gru = nn.GRU(text_dim, 48, batch_first=True)
self.head = nn.Linear(48, 1)"""),
           SCORE("""\
states, _ = self.gru(self.norm(text))
return 3 * torch.tanh(self.head(states[:, -1]))""")),
    _right('last layer starts at zero', PARTS(fc=ZERO_LAST)),
    _right('criterion by keyword', BATCH(loss='loss = criterion(target=label.to(device), input=output)')),
]  # fmt: skip
