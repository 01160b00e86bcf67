"""Profiles of networks that others wrote: MONAI's BasicUNet and nnU-Net's PlainConvUNet, trained by a plain loop.

    python benchmarks/foreign.py --data ../shared/data [--networks basic plain] [--effort brief] [--json FILE]

Both learn the nuclei at 128x128 (`population.py`), by Adam and cross-entropy. Which layer feeds which is found by
tracing one pass; nothing else is known of them. Weights and profiles are kept in --work, so that a second call only
prints.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_model
from torch import Tensor, nn
from torch.nn import functional

from instrument import Keeper, print_profile, tell
from measuring import collect_versions
from population import open_set
from unetscope.data.dataset import Dataset
from unetscope.files import digest, replacing, write_json
from unetscope.information.ablation import measure_dice
from unetscope.information.foreign import load_weights_file
from unetscope.information.profile import Profile
from unetscope.information.profiling import ProfileSettings, profile_network
from unetscope.information.tracing import describe_module
from unetscope.information.views import Views, view_arrays
from unetscope.slimming.foreign_plans import decide_levels, express

BATCH, RATE = 16, 1e-3
Arrays = tuple[list[np.ndarray], list[np.ndarray], list[str]]


def main() -> None:
    """Train, describe, profile and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--population", type=Path, default=Path("runs/population"), help="where the images are kept")
    parser.add_argument("--work", type=Path, default=Path("runs/foreign"))
    parser.add_argument("--networks", nargs="+", choices=list(BUILDERS), default=list(BUILDERS))
    parser.add_argument("--steps", type=int, default=300, help="steps of training, 16 images each")
    parser.add_argument("--images", type=int, help="images to profile; all that validate if not given")
    parser.add_argument("--effort", choices=["brief", "default", "thorough"], default="default")
    parser.add_argument("--threads", type=int, help="threads to compute with; all cores if not given")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    dataset = open_set("nuclei", arguments.data, arguments.population)
    found = {name: examine(name, dataset, arguments) for name in arguments.networks}
    if arguments.json:
        content = {name: each.to_json() for name, each in found.items()}
        write_json(arguments.json, {"versions": collect_versions(), "steps": arguments.steps, "profiles": content})


@dataclass(frozen=True)
class Course:
    """A plain training.

    Attributes:
        steps: How many batches.
        seed: Of weights, batches and flips.
    """

    steps: int
    seed: int = 0


def examine(name: str, dataset: Dataset, arguments: argparse.Namespace) -> Profile:
    """One network: trained where it was not yet, described, profiled and printed."""
    roles = dataset.split()
    weights = arguments.work / f"{name}-steps{arguments.steps}.safetensors"
    network = keep_network(BUILDERS[name], dataset, roles.train, Course(arguments.steps), weights)
    views = view_images(dataset, roles.validation[: arguments.images])
    subject = describe_module(network, torch.from_numpy(views[0].image)[None], name=type(network).__name__)
    print(f"\n{subject.name}: Dice {measure_dice(subject.module, views).mean:.4f} on {len(views)} validation images")
    facts = {"weights": digest(weights), "images": list(views.names), "effort": arguments.effort}
    keeper = Keeper(weights.with_name(f"{weights.stem}-{arguments.effort}.json"), facts)
    settings = ProfileSettings(effort=arguments.effort)
    found: Profile = keeper.make("profile", Profile, lambda: profile_network(subject, views, settings, tell))
    print_profile(found)
    print_plan(subject.module, found)
    return found


def print_plan(network: nn.Module, found: Profile) -> None:
    """A smaller network, in words and in the arguments of its own library."""
    plan = express(network, decide_levels(network, found), found)
    for sentence in (*plan.words, *plan.limits):
        print(f"- {sentence}")
    print(f"\n```json\n{json.dumps(plan.entry, indent=2)}\n```")


def build_basic() -> nn.Module:
    """MONAI's U-Net, a sixth of its usual width."""
    from monai.networks.nets import BasicUNet

    network: nn.Module = BasicUNet(spatial_dims=2, in_channels=3, out_channels=2, features=(16, 16, 32, 64, 128, 16))
    return network


def build_plain() -> nn.Module:
    """nnU-Net's U-Net with four levels, narrow."""
    from dynamic_network_architectures.architectures.unet import PlainConvUNet

    network: nn.Module = PlainConvUNet(
        input_channels=3,
        n_stages=4,
        features_per_stage=(16, 32, 64, 128),
        conv_op=nn.Conv2d,
        kernel_sizes=3,
        strides=(1, 2, 2, 2),
        n_conv_per_stage=2,
        num_classes=2,
        n_conv_per_stage_decoder=2,
        conv_bias=True,
        norm_op=nn.InstanceNorm2d,
        norm_op_kwargs={"affine": True, "eps": 1e-5},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
    )
    return network


BUILDERS: dict[str, Callable[[], nn.Module]] = {"basic": build_basic, "plain": build_plain}


def keep_network(
    build: Callable[[], nn.Module], dataset: Dataset, names: Sequence[str], course: Course, file: Path
) -> nn.Module:
    """The network with the weights of a file, trained first where there is none."""
    torch.manual_seed(course.seed)
    network = build()
    if not file.exists():
        print(f"training {type(network).__name__} for {course.steps} steps", flush=True)
        train_plainly(network, read_arrays(dataset, names), course)
        with replacing(file) as temporary:
            save_model(network, str(temporary))  # which keeps weights once that a network has under several names
    return load_weights_file(network, file)


def train_plainly(network: nn.Module, arrays: Arrays, course: Course) -> None:
    """Adam and cross-entropy on batches drawn at random, flipped at random.

    Args:
        network: The network, which learns.
        arrays: Images of one size with their labels.
        course: How long.
    """
    images, labels = torch.from_numpy(np.stack(arrays[0])), torch.from_numpy(np.stack(arrays[1]))
    chance = torch.Generator().manual_seed(course.seed)
    optimizer = torch.optim.Adam(network.parameters(), RATE)
    network.train()
    for step in range(course.steps):
        chosen = torch.randint(len(images), (BATCH,), generator=chance)
        flips = [axis for axis in (-2, -1) if torch.rand((), generator=chance) < 0.5]
        loss = functional.cross_entropy(network(images[chosen].flip(flips)), labels[chosen].flip(flips))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        tell_loss(step + 1, course.steps, loss)
    network.eval()


def tell_loss(step: int, steps: int, loss: Tensor) -> None:
    """A line every 50 steps."""
    if step % 50 == 0 or step == steps:
        print(f"  step {step} of {steps}: loss {loss.item():.4f}", flush=True)


def view_images(dataset: Dataset, names: Sequence[str]) -> Views:
    """Images of a dataset as these networks are fed them."""
    images, labels, known = read_arrays(dataset, names)
    return view_arrays(images, labels, dataset.classes, known)


def read_arrays(dataset: Dataset, names: Sequence[str]) -> Arrays:
    """Images, (channels, y, x) from 0 to 1, with labels (y, x) and names."""
    pairs = [dataset.read(dataset.item(name)) for name in names]
    images = [image.astype(np.float32) / 255 for image, _ in pairs]
    return images, [labels.astype(np.int64) for _, labels in pairs], list(names)


if __name__ == "__main__":
    main()
