"""timm's pretrained weights: from the local cache of the hub, or fetched, or a quick refusal."""

from __future__ import annotations

import threading
import urllib.request
from pathlib import Path
from urllib.error import HTTPError

from anokit.errors import CheckpointError

DEADLINE = 5.0
"""Seconds within which the hub must answer. Its own client tries each of several files six times,
with pauses, before it gives up on a machine without a network: three quarters of a minute."""

SAFE = {
    "pytorch_model.bin": "model.safetensors",
    "open_clip_pytorch_model.bin": "open_clip_model.safetensors",
}
"""The safetensors file that a repository offers beside, or instead of, the pickled one."""


def pretrained_file(repository: str, name: str | None = None) -> Path:
    """Return the local file of a model's weights, downloaded first where the cache has none.

    Parameters
    ----------
    repository
        On the Hugging Face hub, such as ``timm/resnet18.a1_in1k``.
    name
        Of the file; None for the usual one. A safetensors file is preferred.

    Raises
    ------
    CheckpointError
        Where the file is not in the cache and the hub cannot be reached (within `DEADLINE`), or
        does not have it.
    """
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    usual = name or "pytorch_model.bin"
    candidates = [SAFE[usual], usual] if usual in SAFE else [usual]
    for candidate in candidates:
        try:
            return Path(hf_hub_download(repository, candidate, local_files_only=True))
        except LocalEntryNotFoundError:
            continue
    where = f"weights = 'pretrained': {repository} is not in the cache {constants.HF_HUB_CACHE}"
    if constants.HF_HUB_OFFLINE:
        raise CheckpointError(f"{where} and HF_HUB_OFFLINE is set; {_advice(repository)}")
    if reason := unreachable(constants.ENDPOINT):
        raise CheckpointError(
            f"{where} and {constants.ENDPOINT} cannot be reached ({reason}); {_advice(repository)}"
        )
    for candidate in candidates:
        try:
            return Path(hf_hub_download(repository, candidate, etag_timeout=DEADLINE))
        except LocalEntryNotFoundError as error:
            raise CheckpointError(f"{where} and the download failed: {error}") from error
        except EntryNotFoundError:
            continue
        except (HfHubHTTPError, OSError) as error:
            raise CheckpointError(f"{where} and the download failed: {error}") from error
    raise CheckpointError(f"{where}, and the hub has none of its files {', '.join(candidates)}")


def unreachable(url: str, seconds: float = DEADLINE) -> str:
    """Return why ``url`` does not answer within ``seconds``; an empty string where it does.

    Any answer counts, even a refusal. Proxies of the environment are used. The question is asked in
    a thread, since looking up a name has no time limit of its own.
    """
    outcome = [f"no answer in {seconds:g} s"]

    def ask() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")
            with urllib.request.urlopen(request, timeout=seconds):
                outcome[0] = ""
        except HTTPError as error:
            error.close()
            outcome[0] = ""
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            if not isinstance(reason, TimeoutError):  # that one is said already
                outcome[0] = str(reason)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return outcome[0]


def _advice(repository: str) -> str:
    return (
        f"run once with a network, or copy that folder from a machine that has one (there: hf "
        f"download {repository}), or set weights to a .safetensors file, or to "
        "'package:efficientnet-lite0'"
    )
