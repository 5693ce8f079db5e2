from __future__ import annotations

import numpy as np
import pytest
import torch

from seqtool.errors import InputError, out_of_memory


def test_an_allocation_that_failed_is_told_apart_from_other_errors():
    with pytest.raises(RuntimeError) as of_torch:
        torch.empty(1 << 62, dtype=torch.uint8)
    with pytest.raises(MemoryError) as of_numpy:
        np.empty(1 << 62, np.uint8)
    assert out_of_memory(of_torch.value)
    assert out_of_memory(of_numpy.value)
    assert out_of_memory(MemoryError())
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))
    assert out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GB)"))
    with pytest.raises(RuntimeError) as other:
        torch.ones(2) @ torch.ones(3)
    assert not out_of_memory(other.value)
    assert not out_of_memory(InputError("text is empty: there is no text to read"))
