"""Pretrained weights of timm and torchvision, from their caches or the network."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import timm
import torch
import torchvision
from huggingface_hub import constants as hub
from timm.data import resolve_model_data_config
from torch import Tensor

from ccrop.checkpoint.layouts import Normalization

TIMEOUT = 10  # seconds without an answer

Pretrained = tuple[dict[str, Tensor], Normalization]


def timm_weights(name: str) -> Pretrained:
    """State dict of a timm model, ``ARCHITECTURE`` or ``ARCHITECTURE.TAG``, and how its images are normalized.

    Raises:
        ValueError: timm has no such model, or no weights of it.
        ConnectionError: they are not in the cache and cannot be downloaded.
    """
    if not timm.is_model(name):
        raise ValueError(f"timm has no model {name!r}: see timm.list_models()")
    if not timm.is_model_pretrained(name):
        raise ValueError(f"timm has no pretrained weights of {name}: see timm.list_pretrained()")
    try:
        with time_limit(), hub_within_reach():
            network = timm.create_model(name, pretrained=True)
    except Exception as error:  # the hub, its HTTP client and timm raise errors of their own
        raise not_available(f"timm:{name}", hub.HF_HUB_CACHE, hub.ENDPOINT) from error
    known = resolve_model_data_config(network)
    return network.state_dict(), Normalization(tuple(known["mean"]), tuple(known["std"]))


def torchvision_weights(name: str) -> Pretrained:
    """State dict of a torchvision model, ``NAME`` or ``NAME.WEIGHTS``, and how its images are normalized.

    Without ``WEIGHTS``, such as ``IMAGENET1K_V1``, they are the best ones.

    Raises:
        ValueError: torchvision has no such model or no such weights.
        ConnectionError: they are not in the cache and cannot be downloaded.
    """
    network, _, kind = name.partition(".")
    if network not in torchvision.models.list_models(torchvision.models):
        raise ValueError(f"torchvision has no classifier {network!r}: see torchvision.models.list_models()")
    known = torchvision.models.get_model_weights(network)
    if kind and kind not in known.__members__:
        raise ValueError(f"torchvision has no weights {kind} of {network}: it has {', '.join(known.__members__)}")
    weights = known[kind] if kind else known.DEFAULT
    cache = Path(torch.hub.get_dir(), "checkpoints")
    try:
        with time_limit():
            state = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (URLError, TimeoutError) as error:
        raise not_available(f"torchvision:{name}", cache, weights.url) from error
    images = weights.transforms()
    return dict(state), Normalization(tuple(images.mean), tuple(images.std))


def not_available(source: str, cache: str | Path, url: str) -> ConnectionError:
    """The error that says how to obtain the weights otherwise."""
    return ConnectionError(
        f"the weights {source} are not in {cache} and could not be downloaded from {url}: check the connection, or "
        "download them elsewhere and pass the file"
    )


def is_reachable(url: str) -> bool:
    """Whether a server answers at all within :data:`TIMEOUT`, through the system's proxies."""
    try:
        urlopen(Request(url, method="HEAD"), timeout=TIMEOUT).close()
    except HTTPError:
        return True
    except OSError:
        return False
    return True


@contextmanager
def time_limit() -> Iterator[None]:
    """A context whose new sockets wait at most :data:`TIMEOUT` for an answer."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@contextmanager
def hub_within_reach() -> Iterator[None]:
    """Only the Hugging Face hub's cache if the hub itself is unreachable: it would retry for a minute."""
    before = hub.HF_HUB_OFFLINE
    hub.HF_HUB_OFFLINE = before or not is_reachable(hub.ENDPOINT)
    try:
        yield
    finally:
        hub.HF_HUB_OFFLINE = before
