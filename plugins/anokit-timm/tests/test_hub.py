"""Pretrained weights: from the cache without a network, and a quick refusal without either."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from anokit.errors import CheckpointError
from anokit_timm import hub

REPOSITORY = "timm/test_efficientnet.r160_in1k"


@pytest.fixture(autouse=True)
def no_hub(monkeypatch, tmp_path: Path):
    """Point the hub to a port that nobody listens on, and its cache to an empty folder."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return constants


@pytest.fixture
def silent_server():
    """Listen on a port, and never answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_without_a_network_the_refusal_is_quick_and_says_what_to_do(build):
    build()  # imports
    began = time.perf_counter()
    with pytest.raises(CheckpointError, match=r"not in the cache .* cannot be reached .*copy that"):
        build(weights="pretrained")
    assert time.perf_counter() - began < 5


def test_a_hub_that_never_answers_is_given_up_on(silent_server):
    began = time.perf_counter()
    assert "no answer in 0.2 s" in hub.unreachable(silent_server, 0.2)
    assert time.perf_counter() - began < 2


def test_a_refusal_is_an_answer():
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    class Refuse(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_error(403)

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Refuse) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        assert hub.unreachable(f"http://127.0.0.1:{server.server_port}") == ""
        thread.join()


def test_offline_mode_asks_nobody(monkeypatch, no_hub):
    monkeypatch.setattr(no_hub, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "unreachable", lambda url: pytest.fail("asked the network"))
    with pytest.raises(CheckpointError, match="HF_HUB_OFFLINE is set"):
        hub.pretrained_file(REPOSITORY)


def test_what_the_cache_holds_needs_no_network(build, images, monkeypatch, tmp_path: Path):
    import timm

    state = timm.create_model("test_efficientnet").state_dict()
    folder = tmp_path / "models--timm--test_efficientnet.r160_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc").mkdir(parents=True)
    save_file(state, folder / "snapshots" / "abc" / "model.safetensors")
    monkeypatch.setattr(hub, "unreachable", lambda url: pytest.fail("asked the network"))
    own = build(weights="pretrained").network.state_dict()
    assert own
    assert all(torch.equal(value, state[key]) for key, value in own.items())


def test_only_pretrained_asks_for_a_file(build, monkeypatch):
    from anokit_timm import catalogue

    monkeypatch.setattr(
        catalogue, "pretrained_file", lambda *args: pytest.fail("asked for weights")
    )
    build()
