"""Ways to segment a file: this package with each engine, and MONAI's sliding window with the same weights.

Each is prepared in a process of its own and then starts from the file on disk, which it maps, normalizes, and ends with
one byte of class a pixel in memory. What a process need not have is imported where it is used, for its memory counts.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from unetscope.data.normalization import Normalization
    from unetscope.engines.choice import Wanted
    from unetscope.engines.engine import Precision
    from unetscope.model.unet import UNet

Segmented = tuple[np.ndarray, str]
"""Classes, ([z,] y, x), and how they were computed."""

WINDOWS_AT_ONCE = 4  # what MONAI's documentation uses
REFERENCE_TILE = {2: 1024, 3: 128}


def open_mapped(path: Path, ndim: int) -> np.ndarray:
    """An image on disk, (channels, [z,] y, x)."""
    from unetscope.data.images import read_image

    return np.load(path, mmap_mode="r") if path.suffix == ".npy" else read_image(path, ndim)


def prepare_ours(run: Path, image: Path, engine: Wanted, precision: Precision = "auto") -> Callable[[], Segmented]:
    """This package, with an engine by name or "auto"."""
    from unetscope.checkpoint import Checkpoint
    from unetscope.segmentation import Segmenter, Tiling

    segmenter = Segmenter(Checkpoint.load(run), Tiling(engine=engine, precision=precision))
    how = " ".join(segmenter.engine.describe().values())
    return lambda: (segmenter.labels(open_mapped(image, segmenter.spec.ndim)), how)


def prepare_reference(run: Path, image: Path) -> Callable[[], Segmented]:
    """The whole image at once in torch and float32 where memory allows it, otherwise in large tiles.

    Tiles are exact up to rounding for the networks here, whose norms do not look at the tile.
    """
    from unetscope.checkpoint import Checkpoint
    from unetscope.machine import available_memory
    from unetscope.segmentation import Segmenter, Tiling

    checkpoint, pixels = Checkpoint.load(run), np.load(image, mmap_mode="r")
    whole = Tiling(whole=True, engine="torch", precision="float32")
    tile = REFERENCE_TILE[checkpoint.spec.ndim]
    tiles = Tiling(tile=tile, engine="torch", precision="float32")
    fits = Segmenter(checkpoint, whole).plan(pixels.shape[1:]).peak_bytes < available_memory() / 2
    segmenter = Segmenter(checkpoint, whole if fits else tiles)
    how = "float32 torch, " + ("the whole image at once" if fits else f"tiles of {tile}")
    return lambda: (segmenter.labels(pixels), how)


def prepare_monai(
    run: Path, image: Path, window: int, overlap: float, mode: str, tuned: bool, device: str
) -> Callable[[], Segmented]:
    """MONAI's `sliding_window_inference`.

    Args:
        run: Run folder.
        image: File of the image.
        window: Pixels per axis.
        overlap: Share of a window that its neighbor covers too.
        mode: "constant" or "gaussian" weights where windows overlap.
        tuned: With the two lines that everybody can add: autocast to bfloat16, and channels last.
        device: "cpu" or "cuda".
    """
    import torch
    from monai.inferers import sliding_window_inference

    from unetscope.checkpoint import Checkpoint
    from unetscope.machine import count_threads

    torch.set_num_threads(count_threads())
    checkpoint = Checkpoint.load(run)
    network = checkpoint.network().to(device)
    if tuned:
        network.to(memory_format=torch.channels_last if checkpoint.ndim == 2 else torch.channels_last_3d)  # type: ignore[call-overload]
    predict, roi = fit_to_window(network, window), (window,) * checkpoint.ndim
    how = f"torch {'bfloat16, channels last' if tuned else 'float32'}"

    def segment() -> Segmented:
        pixels = normalize(open_mapped(image, checkpoint.ndim), checkpoint.normalization)
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=tuned):
            batch = torch.from_numpy(pixels)[None].to(device)
            scores = sliding_window_inference(batch, roi, WINDOWS_AT_ONCE, predict, overlap=overlap, mode=mode)
            return scores[0].argmax(0).to(torch.uint8).cpu().numpy(), how

    return segment


def normalize(image: np.ndarray, normalization: Normalization) -> np.ndarray:
    """The whole image as the network wants it, float32, in as few passes as NumPy allows."""
    pixels = image.astype(np.float32)
    one_each = (-1,) + (1,) * (image.ndim - 1)
    if normalization.window:
        low, high = (np.reshape(limit, one_each) for limit in zip(*normalization.window, strict=True))
        np.clip(pixels, low, high, out=pixels)
    axes = tuple(range(1, image.ndim))
    pixels -= np.reshape(normalization.shift, one_each) if normalization.shift else pixels.mean(axes, keepdims=True)
    pixels /= np.reshape(normalization.scale, one_each) if normalization.scale else pixels.std(axes, keepdims=True)
    return pixels


def fit_to_window(network: UNet, window: int) -> Callable[[Tensor], Tensor]:
    """The network as MONAI wants it: scores of exactly the window; a valid network sees it with a mirrored margin."""
    from torch.nn.functional import pad

    from unetscope.model.geometry import fitting_shape, margin
    from unetscope.model.unet import class_scores

    spec = network.spec
    margins = margin(spec)
    inputs = fitting_shape(spec, tuple(window + 2 * lost for lost in margins))
    pads = [n for lost, size in zip(margins, inputs, strict=True) for n in (size - window - lost, lost)][::-1]
    kept = (slice(None), slice(None), *(slice(window),) * spec.ndim)

    def predict(windows: Tensor) -> Tensor:
        seen = pad(windows, pads, mode="reflect") if any(pads) else windows
        scores: Tensor = class_scores(network(seen))
        return scores[kept]

    return predict
