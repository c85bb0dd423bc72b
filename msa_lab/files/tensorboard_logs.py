"""Reading what a training logged for TensorBoard, without a browser."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def new_log_dir(log_dir: str | Path) -> str | Path:
    """The run directory itself, if no training has written into it.

    Raises FileExistsError otherwise: TensorBoard would draw two trainings as one zigzag line.
    """
    if any(Path(log_dir).rglob('events.out.tfevents.*')):
        raise FileExistsError(f'{log_dir} 里已经有一次训练的日志，请换一个 log_dir')
    return log_dir


def read_scalars(log_dir: str | Path) -> dict[tuple[str, str], tuple[list[int], list[float]]]:
    """The scalars of a run directory: {(sub-directory, tag): (steps, values)}.

    The sub-directory is relative to `log_dir`: 'train' and 'valid' in the runs of the lab. Raises
    FileNotFoundError when there are no scalars.
    """
    scalars = {}
    for name, events in _read_event_files(log_dir):
        for tag in events.Tags()['scalars']:
            points = events.Scalars(tag)
            scalars[name, tag] = [p.step for p in points], [p.value for p in points]
    if not scalars:
        raise FileNotFoundError(f'no TensorBoard scalars in {log_dir}: train with log_dir first')
    return scalars


def read_graph(log_dir: str | Path) -> dict[str, int]:
    """Nodes of the logged model graph, counted for each sub-module of the model: {name: count}.

    Raises FileNotFoundError when no graph was logged.
    """
    for _, events in _read_event_files(log_dir):
        if events.Tags()['graph']:
            scopes = (node.name.split('/') for node in events.Graph().node)
            modules = (scope[1] for scope in scopes if len(scope) > 2)
            return dict(Counter(name.split('[')[-1].rstrip(']') for name in modules))
    raise FileNotFoundError(f'no model graph in {log_dir}: use RunWriter.add_graph first')


def _read_event_files(log_dir: str | Path) -> Iterator[tuple[str, EventAccumulator]]:
    """The name and the events of each folder of the run directory that has event files."""
    folders = sorted({file.parent for file in Path(log_dir).rglob('events.out.tfevents.*')})
    for folder in folders:
        name = folder.relative_to(log_dir).as_posix()
        yield name, EventAccumulator(str(folder), size_guidance={'scalars': 0}).Reload()
