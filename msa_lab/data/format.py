"""The names and numbers of CMU-MOSI: how its file is laid out and how its models are scored."""

MODALITIES = ('vision', 'text', 'audio')
WIDTHS = {'vision': 35, 'text': 300, 'audio': 74}  # features per step in mosi_raw.pkl
SPLITS = ('train', 'valid', 'test')
STEPS = 50  # per utterance, padding included
LABEL_RANGE = (-3.0, 3.0)
LABEL_RATERS = 5  # people whose mean score is the label of an utterance
METRICS = ('Non0_acc_2', 'Non0_F1_score', 'Mult_acc_5', 'Mult_acc_7', 'MAE', 'Corr')

DEFAULT_PATH = './mosi_raw.pkl'
DOWNLOAD_URL = 'https://box.nju.edu.cn/f/e500686621044fb8af0e/'
