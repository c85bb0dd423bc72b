"""What the lab needs and a student does not write: data, figures, checks, studies."""

import os

# On a GPU, recurrent networks give the same numbers every time only with this; it must be set
# before the GPU is first used. On the CPU it means nothing.
os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')  # PyTorch warns of the smaller one
