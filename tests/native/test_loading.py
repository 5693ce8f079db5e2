from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from tests.conftest import ROOT

FAULTS = """
import resource, torch
from seqtool.native.loading import keep_freed_memory
keep_freed_memory()
def step():
    held = [torch.ones(size) for size in range(30_000, 900_001, 30_000)]
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_memory_that_is_freed_serves_again():
    """Ten times 56 MB in pieces are asked for; given back in between, each time costs thousands of page faults."""
    ran = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, cwd=ROOT, check=True)
    assert int(ran.stdout) < 10 * 56_000_000 / resource.getpagesize() / 10
