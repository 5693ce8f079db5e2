from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from tests.conftest import ROOT

FAULTS = """
import resource, torch
from seqtool.native import keep_freed_memory
keep_freed_memory()
def step():
    for _ in range(4):
        torch.ones(1_000_000)
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_memory_that_is_freed_serves_again():
    """Forty times 4 MB are asked for; given back in between, each would cost a thousand page faults (of 4 KB)."""
    ran = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, cwd=ROOT, check=True)
    assert int(ran.stdout) < 40 * 4_000_000 / resource.getpagesize() / 4
