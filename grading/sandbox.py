"""Where a submission's kernel runs: a sandbox of bubblewrap where the machine has it, and limits.

Only the kernel is locked in. nbgrader, the gradebook, the other submissions and the solutions stay
outside: the sandbox sees the system's programs, this Python and `msa_lab`, all read-only, the data
file, and an empty, size-limited working directory in memory; it has no network. Kernel and grader
speak through Unix sockets in one folder.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import psutil
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from grading.tasks import ROOT

SYSTEM = ('/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/etc/ld.so.cache', '/etc/fonts')
KERNEL = 'msa-grading'
UNPROTECTED = (
    'no sandbox on this machine (bubblewrap is not installed or may not be used): submissions can '
    'reach the network, read every file that you can, delete or change your files, and tamper '
    'with their own grade; time, memory and output are limited all the same'
)


def _limit(default, meaning):
    return field(default=default, metadata={'help': meaning})


@dataclass(frozen=True)
class Limits:
    """What one submission may use; `help` in a field's metadata says what it is and its unit."""

    seconds: float = _limit(300.0, 'seconds for a whole submission')
    cell_seconds: int = _limit(45, 'seconds for a self-check; any other cell may take twice that')
    memory: float = _limit(4.0, 'GiB of memory')
    processes: int = _limit(64, 'processes at once')
    disk: float = _limit(0.5, 'GiB of files')


@cache
def available() -> bool:
    """Whether a process can be locked in: bubblewrap is there, and the machine lets it work."""
    program = shutil.which('bwrap')
    if program is None:
        return False
    command = [program, '--ro-bind', '/', '/', '--unshare-all', '--dev', '/dev', 'true']
    return subprocess.run(command, capture_output=True, timeout=30).returncode == 0


def _sandbox_command(folder, runtime, data, limits):
    """The command that stands before the kernel's own and locks it in.

    `folder` is the kernel's working directory, `runtime` the folder of its sockets.
    """
    command = [shutil.which('bwrap'), '--unshare-all', '--die-with-parent', '--cap-drop', 'ALL']
    for path in SYSTEM:
        if os.path.islink(path):
            command += ['--symlink', os.readlink(path), path]
        elif os.path.exists(path):
            command += ['--ro-bind', path, path]
    command += ['--proc', '/proc', '--dev', '/dev']
    size = str(int(limits.disk * 2**30))
    command += ['--size', size, '--tmpfs', '/dev/shm', '--size', size, '--tmpfs', '/tmp']
    prefixes = (sys.base_prefix, sys.prefix)
    for path in dict.fromkeys((*prefixes, *map(os.path.realpath, prefixes))):  # `.venv` may be
        command += ['--ro-bind', path, path]  # a link: Python uses both of its names
    command += ['--size', size, '--tmpfs', str(folder)]
    lab = ROOT / 'msa_lab'
    binds = [(lab, lab), (lab, folder / 'msa_lab'), (ROOT / 'images', folder / 'images')]
    for source, target in (*binds, (data, data)):
        command += ['--ro-bind', str(source), str(target)]
    command += ['--bind', str(runtime), str(runtime)]
    return [*command, '--chdir', str(folder)]


def write_kernel(
    where: str | Path,
    folder: Path,
    runtime: Path,
    data: str | Path,
    limits: Limits,
    sandboxed: bool,
) -> None:
    """Write a kernel specification under `where` whose kernel runs in `folder`, locked in or not.

    `runtime` is the folder for its sockets, `data` the data file. In the environment of the kernel
    are the settings of the lab and no variable of the grader's.
    """
    environment = {
        'PATH': os.pathsep.join((str(Path(sys.executable).parent), '/usr/bin', '/bin')),
        'HOME': '/tmp',
        'LANG': 'C.UTF-8',
        'MSA_DATA': str(data),
        'MSA_PROFILE': 'smoke',
        'OMP_NUM_THREADS': '1',
        'LOKY_MAX_CPU_COUNT': '1',
        'TQDM_DISABLE': '1',
    }
    command = [sys.executable, '-m', 'ipykernel_launcher', '-f', '{connection_file}']
    command = ['/usr/bin/env', '-i', *(f'{k}={v}' for k, v in environment.items()), *command]
    if sandboxed:
        command = [*_sandbox_command(folder, runtime, data, limits), *command]
    spec = {
        'argv': command,
        'display_name': KERNEL,
        'language': 'python',
        'interrupt_mode': 'message',
    }
    path = Path(where) / 'kernels' / KERNEL / 'kernel.json'
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(spec), encoding='utf-8')


def try_kernel(code: str, data: Path, limits: Limits, seconds: float) -> None:
    """Check that a kernel starts as for a submission and runs `code`; each may take `seconds`.

    Raises RuntimeError if that fails, with the last line of output of the kernel or of the program
    that should have started it.
    """
    with tempfile.TemporaryDirectory(prefix='msa-') as work:
        folder, runtime, log = (Path(work, name) for name in ('c', 'r', 'log'))
        folder.mkdir()
        runtime.mkdir()
        write_kernel(work, folder, runtime, data, limits, available())
        manager = KernelManager(
            kernel_name=KERNEL,
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[f'{work}/kernels']),
            transport='ipc',
            connection_file=str(runtime / 'k.json'),
        )
        with log.open('wb') as output:
            manager.start_kernel(stdout=output, stderr=output, cwd=str(folder))
        client = manager.client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=seconds)
            answer = client.execute(code, reply=True, timeout=seconds)['content']
        except (RuntimeError, TimeoutError) as error:
            output = log.read_text(encoding='utf-8', errors='replace').strip()
            raise RuntimeError(output.split('\n')[-1] or str(error)) from error
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
        if answer['status'] != 'ok':
            raise RuntimeError(f'{answer["ename"]}: {answer["evalue"]}')


class Watchdog(threading.Thread):
    """Ends every child of this process as soon as all together use more than the limits allow.

    `reason` says which limit it was, in Chinese, for the student; it is empty as long as none was.
    """

    def __init__(self, limits: Limits, interval: float = 0.2) -> None:
        super().__init__(daemon=True)
        self.limits, self.interval, self.reason = limits, interval, ''
        self.stopped = threading.Event()

    def __enter__(self) -> 'Watchdog':
        self.start()
        return self

    def __exit__(self, *exc_info) -> None:
        self.stopped.set()
        self.join()
        self.kill()

    def run(self) -> None:
        """Look at the children every `interval` seconds, until the `with` block ends."""
        waited, me = 0.0, psutil.Process()
        while not self.stopped.wait(self.interval):
            waited += self.interval
            children = me.children(recursive=True)
            if len(children) > self.limits.processes:
                self.reason = f'进程超过 {self.limits.processes} 个'
            elif sum(map(resident, (me, *children))) > self.limits.memory * 2**30:
                self.reason = f'内存超过 {self.limits.memory:.1f} GiB'
            elif waited > self.limits.seconds:
                self.reason = f'总时间超过 {self.limits.seconds:.0f} 秒'
            if self.reason:
                self.kill()

    def kill(self) -> None:
        """End the children, and again what they started meanwhile."""
        while children := psutil.Process().children(recursive=True):
            for child in children:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
            psutil.wait_procs(children, timeout=5)


def end(process: subprocess.Popen) -> None:
    """End a process and everything below it: held still first, so that it starts nothing more."""
    try:
        process = psutil.Process(process.pid)
        process.suspend()
        family = [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.kill()


def resident(process: psutil.Process) -> int:
    """Memory of a process in bytes, what it shares counted in proportion; 0 once it is gone."""
    try:
        memory = process.memory_full_info()
        return getattr(memory, 'pss', memory.rss)
    except psutil.Error:
        return 0
