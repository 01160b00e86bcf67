"""Plans for networks of other libraries, in the arguments that build them there; knows modules, imports no library.

nnU-Net's and MONAI's U-Nets are built from numbers per level. What else is decided (a layer's own width, a skip that
goes, the depth where it is fixed) they cannot be told, and the plan says so in words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import nn

from unetscope.errors import SlimError
from unetscope.information.findings import LINEAR, Kind, Part
from unetscope.information.profile import Profile
from unetscope.scores.difference import MARGIN
from unetscope.slimming.rules import Rule
from unetscope.slimming.weighing import check_measured, count_directions, weigh


@dataclass(frozen=True)
class LevelDecisions:
    """What a smaller network shall be like.

    Attributes:
        widths: Channels of the levels that stay, the finest first and the bottleneck last.
        dropped_skips: Levels whose skip shall go, 0 for the finest.
        layers: Layers that shall have another width than their level's.
    """

    widths: tuple[int, ...]
    dropped_skips: tuple[int, ...] = ()
    layers: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ForeignPlan:
    """A smaller network in the words of its own library.

    Attributes:
        network: Path of its class.
        arguments: What its constructor is given; where it is MONAI's, only the arguments that change.
        entry: What a file is given: a configuration for `configurations` in nnUNetPlans.json, or class and arguments.
        words: What changes, with the evidence where there is a profile, and how to use the entry.
        limits: What was decided and cannot be said in arguments.
    """

    network: str
    arguments: Mapping[str, Any]
    entry: Mapping[str, Any]
    words: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class _Form:
    """A network as its library builds it.

    Attributes:
        network: Path of its class.
        widths: Channels by level, as they are.
        places: Where the encoder of every level stands among the modules.
        least: The narrowest that each level can be.
        argue: The arguments for given widths.
        fixed_depth: Whether the constructor knows one depth only.
    """

    network: str
    widths: tuple[int, ...]
    places: tuple[str, ...]
    least: tuple[int, ...]
    argue: Callable[[Sequence[int]], dict[str, Any]]
    fixed_depth: bool = False

    @property
    def name(self) -> str:
        """The name of its class."""
        return self.network.rpartition(".")[2]


BY_REDUNDANCY = Rule("what is redundant, widths by rank", "2026-11-22", "bits", "bits", "rank", narrowest=1)
"""The rule for networks of other libraries, which no race tries: it is not frozen, and ranks widths."""


def decide_levels(
    module: nn.Module, profile: Profile, rule: Rule = BY_REDUNDANCY, max_dice_loss: float = MARGIN
) -> LevelDecisions:
    """What a profile suggests for a network of another library.

    The depth ends at the finest level whose gate needs nothing from below, by the interval; skips go likewise. A level
    is as wide as its layer with the most directions: this ranks levels and is to be tried, not trusted.

    Args:
        module: The network: MONAI's BasicUNet or UNet, nnU-Net's PlainConvUNet or ResidualEncoderUNet.
        profile: Of this network.
        rule: How evidence decides.
        max_dice_loss: Dice that may be lost, where the rule goes by that.

    Returns:
        The decisions.

    Raises:
        SlimError: The network is none of these, the profile is of another, or the rule goes by what it does not have.
    """
    form = _find_form(module)
    _check_profile(form, profile)
    check_measured(profile, rule)

    def can_go(level: int, kind: Kind) -> bool:
        by = rule.depth_by if kind == "up" else rule.skips_by
        found = [part for part in _parts(form, profile, level) if part.kind == kind and not part.is_flat]
        return any(weigh(part, by, max_dice_loss) == (True, "ok") for part in found)

    gated = range(len(form.widths) - 1)
    depth = max(1, min((level for level in gated if can_go(level, "up")), default=len(gated)))
    needed = [rule.count_channels(_most(form, profile, level, rule), form.widths[level]) for level in range(depth + 1)]
    return LevelDecisions(
        tuple(max(least, width) for least, width in zip(form.least, needed, strict=False)),
        tuple(level for level in range(depth) if can_go(level, "skip")),
    )


def express(
    module: nn.Module,
    decisions: LevelDecisions,
    profile: Profile | None = None,
    name: str = "slim",
    inherits_from: str | None = None,
) -> ForeignPlan:
    """A smaller network as its own library is told to build it.

    Args:
        module: The network: MONAI's BasicUNet or UNet, nnU-Net's PlainConvUNet or ResidualEncoderUNet.
        decisions: What the smaller one shall be like.
        profile: Of this network, whose figures are then told.
        name: What to call the configuration of nnU-Net.
        inherits_from: The configuration that it takes all else from; "2d" or "3d_fullres" if None. The architecture is
            complete, since nnU-Net inherits whole entries only.

    Returns:
        The plan.

    Raises:
        SlimError: The network is none of these, the profile is of another, or the decisions are no smaller network.

    Example:
        >>> express(nn.Conv2d(1, 2, 3), LevelDecisions((8, 8)))
        Traceback (most recent call last):
            ...
        unetscope.errors.SlimError: a plan for Conv2d cannot be expressed; give one of ...

    Source:
        Configurations of nnU-Net v2: Isensee et al. 2021 and its documentation of plans files.
    """
    form = _find_form(module)
    _check_decisions(form, decisions, module)
    if profile is not None:
        _check_profile(form, profile)
    widths = _fill_depth(form, decisions.widths)
    arguments = form.argue(widths)
    return ForeignPlan(
        form.network,
        arguments,
        _make_entry(form.network, arguments, name, inherits_from),
        (_say_widths(form, widths), *(_say_evidence(form, profile) if profile else ()), _say_use(arguments, name)),
        _find_limits(form, decisions),
    )


def _make_entry(network: str, arguments: dict[str, Any], name: str, inherits_from: str | None) -> dict[str, Any]:
    """What a file is given."""
    if "conv_op" not in arguments:
        return {"class": network, "arguments": arguments}
    parent = inherits_from or ("2d" if arguments["conv_op"].endswith("2d") else "3d_fullres")
    architecture = {"network_class_name": network, "arch_kwargs": arguments, "_kw_requires_import": list(_CLASSES)}
    return {name: {"inherits_from": parent, "architecture": architecture}}


def _find_form(module: nn.Module) -> _Form:
    """How a network is built."""
    kind = type(module)
    build = _FORMS.get(f"{kind.__module__.partition('.')[0]}.{kind.__name__}")
    if build is None:
        known = ", ".join(sorted(_FORMS))
        raise SlimError(f"a plan for {kind.__name__} cannot be expressed; give one of {known}")
    return build(module, f"{kind.__module__}.{kind.__name__}")


def _basic_form(module: Any, network: str) -> _Form:
    """MONAI's BasicUNet: five levels, and the last map's width."""
    places = ("conv_0", *(f"down_{level}.convs" for level in range(1, 5)))
    widths = tuple(module.get_submodule(place).conv_0.conv.out_channels for place in places)
    last = module.upcat_1.convs.conv_0.conv.out_channels

    def argue(chosen: Sequence[int]) -> dict[str, Any]:
        return {"features": [*chosen, max(1, round(last * chosen[0] / widths[0]))]}

    # Upsampling halves the channels of levels 2 to 4 (each deconvolution needs one at least).
    return _Form(network, widths, places, (1, 1, 2, 2, 2), argue, fixed_depth=True)


def _monai_form(module: Any, network: str) -> _Form:
    """MONAI's UNet: one entry of its channels a level; its bottleneck is no coarser than the level above."""
    widths, strides = tuple(module.channels), list(module.strides)
    inner = ["model.1.submodule" + ".1.submodule" * level for level in range(len(widths) - 1)]
    places = ("model.0", *(f"{path}.0" for path in inner[:-1]), inner[-1])

    def argue(chosen: Sequence[int]) -> dict[str, Any]:
        count = len(chosen)
        return {"channels": [*chosen], "strides": strides[: count - 1], "num_res_units": module.num_res_units}

    return _Form(network, widths, places, (1,) * len(widths), argue)


def _nnunet_form(module: Any, network: str) -> _Form:
    """nnU-Net's networks: one stage a level."""
    widths = tuple(module.encoder.output_channels)
    places = tuple(f"encoder.stages.{level}" for level in range(len(widths)))
    return _Form(network, widths, places, (1,) * len(widths), lambda chosen: _nnunet_arguments(module, chosen))


def _nnunet_arguments(module: Any, widths: Sequence[int]) -> dict[str, Any]:
    """The whole constructor but for channels of the image and classes, which nnU-Net adds."""
    encoder, count = module.encoder, len(widths)
    shared = ("conv_bias", "norm_op_kwargs", "dropout_op_kwargs", "nonlin_kwargs")
    decoders = [len(stage.convs) for stage in module.decoder.stages]
    return {
        "n_stages": count,
        "features_per_stage": [*widths],
        "kernel_sizes": [_per_axis(size, encoder.strides[0]) for size in encoder.kernel_sizes[:count]],
        "strides": [[*stride] for stride in encoder.strides[:count]],
        **_nnunet_stages(encoder, count),
        "n_conv_per_stage_decoder": decoders[len(decoders) - (count - 1) :],
        **{entry: getattr(encoder, entry) for entry in shared},
        **{entry: _locate(getattr(encoder, entry)) for entry in _CLASSES},
    }


_CLASSES = ("conv_op", "norm_op", "dropout_op", "nonlin")
"""Arguments that are classes; nnU-Net imports them by their paths."""


def _nnunet_stages(encoder: Any, count: int) -> dict[str, Any]:
    """What the stages of the encoder are made of."""
    stages = [*encoder.stages][:count]
    if hasattr(stages[0], "blocks"):
        if any(hasattr(block, "conv3") for stage in stages for block in stage.blocks):
            raise SlimError(
                "its blocks are bottlenecks, whose inner widths no plan knows; use a network of basic blocks"
            )
        stem = encoder.stem.output_channels
        own = {} if stem == encoder.output_channels[0] else {"stem_channels": stem}
        return {"n_blocks_per_stage": [len(stage.blocks) for stage in stages], **own}
    kinds = [type(part) for part in stages[0][-1].convs[0].all_modules]
    swapped = {encoder.nonlin, encoder.norm_op} <= {*kinds} and kinds[-1] is encoder.norm_op
    own = {"nonlin_first": True} if swapped else {}
    return {"n_conv_per_stage": [len(stage[-1].convs) for stage in stages], **own}


def _per_axis(size: Any, like: Sequence[int]) -> list[int]:
    return [size] * len(like) if isinstance(size, int) else [*size]


def _locate(kind: type | None) -> str | None:
    """The path under which a class is imported."""
    return None if kind is None else f"{kind.__module__}.{kind.__name__}"


_FORMS: Mapping[str, Callable[[Any, str], _Form]] = {
    "monai.BasicUNet": _basic_form,
    "monai.UNet": _monai_form,
    "dynamic_network_architectures.PlainConvUNet": _nnunet_form,
    "dynamic_network_architectures.ResidualEncoderUNet": _nnunet_form,
}
"""Networks for which plans can be expressed, by library and class."""


def _check_profile(form: _Form, profile: Profile) -> None:
    """Refuse a profile of another network."""
    known = [layer.layer for layer in profile.layers]
    absent = next((place for place in form.places if not any(_is_in(layer, place) for layer in known)), None)
    if absent:
        raise SlimError(
            f"the profile of {profile.name!r} has no layer of {absent}, which {form.name} begins a level with; profile "
            "this network, all of its layers"
        )


def _check_decisions(form: _Form, decisions: LevelDecisions, module: nn.Module) -> None:
    """Refuse what is no smaller network."""
    before, after = form.widths, decisions.widths
    if not 2 <= len(after) <= len(before):
        raise SlimError(f"{len(after)} levels were decided for {form.name} of {len(before)}; use 2 to {len(before)}")
    for level, (width, chosen) in enumerate(zip(before, after, strict=False)):
        if not form.least[level] <= chosen <= width:
            raise SlimError(f"level {level} was to be {chosen} wide; use {form.least[level]} to {width} channels")
    if outside := [level for level in decisions.dropped_skips if level not in range(len(after) - 1)]:
        raise SlimError(f"level {outside[0]} has no skip to drop; use levels 0 to {len(after) - 2}")
    known = {name for name, _ in module.named_modules()}
    if unknown := [layer for layer in decisions.layers if layer not in known]:
        raise SlimError(f"{form.name} has no layer {unknown[0]!r}; use the names of the profile")


def _fill_depth(form: _Form, widths: Sequence[int]) -> list[int]:
    """The widths of all levels that have to be there."""
    rest = range(len(widths), len(form.widths)) if form.fixed_depth else ()
    return [*widths, *(max(form.least[level], min(form.widths[level], widths[-1])) for level in rest)]


def _find_limits(form: _Form, decisions: LevelDecisions) -> tuple[str, ...]:
    """What was decided and cannot be expressed."""
    count, limits = len(decisions.widths), list[str]()
    if form.fixed_depth and count < len(form.widths):
        limits.append(
            f"{form.name} always has {len(form.widths)} levels, and {count} were decided: the others stay, no wider "
            f"than {decisions.widths[-1]}; MONAI's UNet can be built with fewer"
        )
    limits += [
        f"the skip of level {level} was to go, and {form.name} is always built with all of its skips"
        for level in sorted(set(decisions.dropped_skips))
    ]
    limits += [
        f"{layer} was to be {width} wide, and {form.name} knows one width a level only"
        for layer, width in decisions.layers.items()
    ]
    return tuple(limits)


def _say_widths(form: _Form, widths: Sequence[int]) -> str:
    before, after = ("-".join(map(str, numbers)) for numbers in (form.widths, widths))
    return f"{form.name} with {len(widths)} levels of {after} channels instead of {len(form.widths)} of {before}"


def _say_use(arguments: Mapping[str, Any], name: str) -> str:
    if "conv_op" not in arguments:
        return "build it with these arguments, and all others as before"
    return (
        f"put the entry under 'configurations' in nnUNetPlans.json and train with -c {name}; it shares the "
        "preprocessed images of the configuration that it inherits from"
    )


def _say_evidence(form: _Form, profile: Profile) -> list[str]:
    """What the profile says, level by level."""
    said = []
    for level, width in enumerate(form.widths):
        rank = _most(form, profile, level, BY_REDUNDANCY)
        parts = "".join(f"; {_say_part(part)}" for part in _parts(form, profile, level))
        said.append(f"level {level}: its layers use up to {rank:.1f} directions in {width} channels (relative){parts}")
    return said


def _say_part(part: Part) -> str:
    added, lost = part.added[LINEAR], part.lost_dice
    path = "its skip" if part.kind == "skip" else "what comes up into it"
    return (
        f"{path} is judged {part.status.word!r}, as it adds {added.value:.3f} \u00b1 {added.interval.half_width:.3f} "
        f"bits, and {lost.value:.3f} Dice are lost without it"
    )


def _parts(form: _Form, profile: Profile, level: int) -> tuple[Part, ...]:
    """The skip of a level, and what meets it from below; none where no gate was measured."""
    for gate in profile.gates:
        if any(part.kind == "skip" and _is_in(part.source, form.places[level]) for part in gate.parts):
            return gate.part("skip"), gate.part("up")
    return ()


def _most(form: _Form, profile: Profile, level: int, rule: Rule) -> float:
    """The most directions of a layer of a level, on both sides; the output is none of them."""
    layers = [one for one in profile.layers[:-1] if _level_of(form, profile, one.layer) == level]
    return max(count_directions(one, rule) for one in layers)


def _level_of(form: _Form, profile: Profile, layer: str) -> int | None:
    """The level of a layer: where it stands in the encoder, or else by its stride."""
    strides = profile.wiring.strides
    ends = [[one for one in profile.wiring.layers if _is_in(one, place)][-1] for place in form.places]
    within = [level for level, place in enumerate(form.places) if _is_in(layer, place)]
    alike = [level for level, end in enumerate(ends) if strides[end] == strides[layer]]
    return next(iter((*within, *alike)), None)


def _is_in(layer: str, place: str) -> bool:
    return layer == place or layer.startswith(f"{place}.")
