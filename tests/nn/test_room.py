"""Free memory is asked of the system."""

import torch

from anokit.nn import available_bytes, room


def test_free_memory_is_what_the_system_says(monkeypatch, tmp_path):
    file = tmp_path / "meminfo"
    file.write_text("MemTotal: 9 kB\nMemAvailable:   3 kB\n")
    monkeypatch.setattr(room, "MEMINFO", file)
    assert available_bytes(torch.device("cpu")) == 3072
    monkeypatch.setattr(room, "MEMINFO", tmp_path / "none")
    assert available_bytes(torch.device("cpu")) is None
