"""The wiring of any network, found by following one pass; knows modules and what they are fed, no measures.

A layer is one convolution with its norm and activation, named by the path of the module that sees its input and puts
out its result: the largest that holds no other layer. Where no module does both, a layer of one source is named by the
activation that follows it; a layer of several sources by its convolution alone, so that a join is always seen whole.
A residual block (anything that adds) is one layer, named by the smallest module that puts out the sum; what is inside
does not appear. A gate (a factor of one channel or of one pixel, as attention has) is no source; what it weighs is.
What does not reach the first output (deep supervision) does not appear. The last layer of the wiring is the output.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

import torch
from torch import Tensor, nn

from unetscope.errors import SpecError
from unetscope.information.provenance import Form, Node, Value, meet, nested_tensors
from unetscope.information.recording import Call, Recording, record
from unetscope.information.subject import Subject, device_of
from unetscope.wiring import IMAGE, Wiring

REMEDY = "name modules to be taken whole (names=[...]), or build a Subject with a Wiring of your own"


def describe_module(
    module: nn.Module, example: Tensor, names: Collection[str] | None = None, name: str = ""
) -> Subject:
    """Any network as what is measured: its wiring is found by following the channels of an example.

    Args:
        module: The network; it is left as it was.
        example: (batch, channels, [z,] y, x), of a size that the network takes; its values do not matter.
        names: Paths of modules, in any order, each taken whole as one layer. Then only these layers appear, and the
            joins with what they read; a layer whose source does not appear is said to read what that one reads.
            None: all layers.
        name: What to call it; its class if empty.

    Returns:
        The network in its eval mode (a copy, where it was training or puts out several tensors, of which the copy
        returns the first), with its wiring and an untrained twin.

    Raises:
        SpecError: The network cannot take the example, has no such module, or feeds a layer in a way that is no
            concatenation of layers; the message names the module.

    Example:
        >>> chain = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Conv2d(4, 2, 1))
        >>> subject = describe_module(chain, torch.zeros(1, 1, 9, 9))
        >>> subject.wiring.sources
        {'1': ('image',), '2': ('1',)}
        >>> subject.wiring.strides["2"]
        (2, 2)
    """
    if example.ndim not in (4, 5):
        raise SpecError(
            f"an example of shape {tuple(example.shape)} came; give one of (batch, channels, y, x) or "
            "(batch, channels, z, y, x)"
        )
    if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        raise SpecError(
            f"{type(module).__name__} holds TorchScript, which cannot be traced; give the Python module itself"
        )
    fixed = copy.deepcopy(module).eval() if any(part.training for part in module.modules()) else module
    recording = record(fixed, example)
    if not recording.single:
        fixed = copy.deepcopy(fixed)
        fixed.register_forward_hook(lambda _module, _inputs, output: next(nested_tensors(output)))
    layers = Tracer(fixed, recording, frozenset(names or ())).layers()
    wiring = _wire(layers, example.shape[1])
    return Subject(name or type(module).__name__, fixed, restrict(wiring, names) if names else wiring, twins_of(fixed))


def twins_of(module: nn.Module) -> Callable[[int], nn.Module]:
    """For a seed, the module with fresh weights.

    Args:
        module: The network.

    Returns:
        A function that makes, for a seed, a copy in which every submodule has reset its parameters and running
        statistics itself. The global random state stays as it was. It raises SpecError for a submodule that has
        parameters of its own and no `reset_parameters`.
    """

    def twin(seed: int) -> nn.Module:
        fresh = copy.deepcopy(module).cpu()  # where one seed gives the same weights, whatever the network computes on
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            for path, part in fresh.named_modules():
                _reset(path, part)
        return fresh.to(device_of(module)).eval()

    return twin


def _reset(path: str, part: nn.Module) -> None:
    """Let a module draw its own parameters anew."""
    reset = getattr(part, "reset_parameters", None) or getattr(part, "_reset_parameters", None)
    if callable(reset):
        reset()
    elif any(True for _ in part.parameters(recurse=False)):
        raise SpecError(
            f"module {path!r} ({type(part).__name__}) has parameters and no reset_parameters(), which an untrained "
            "twin needs; give it one, or build a Subject with a twin of your own"
        )


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer that was found.

    Attributes:
        name: The path of its module.
        node: Where its channels are made.
        inputs: The forms that it reads, in order.
        output: What its module puts out.
    """

    name: str
    node: Node
    inputs: Value
    output: Form


@dataclass
class Tracer:
    """Finds the layers of a recorded pass, from the output backwards.

    Attributes:
        module: The network.
        recording: Its pass.
        whole: Paths of modules that are layers by the user's word.
    """

    module: nn.Module
    recording: Recording
    whole: frozenset[str]
    _reads: dict[Node, list[Form]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Sort out the modules that can be layers: run once, one tensor of the image's kind put out."""
        calls = self.recording.calls
        runs = Counter(call.path for call in calls)
        self._usable = [call for call in calls if call.path and _only_map(call) and runs[call.path] == 1]
        self._chosen = {call.made.node: call for call in self._usable if call.path in self.whole}

    def layers(self) -> list[Layer]:
        """Every layer that the output depends on, in the order of the pass."""
        self._check_names()
        output = self.recording.output
        if output is None:
            raise SpecError(f"the output of the network {self._lost()}; {REMEDY}")
        waiting, inputs = list(output), dict[Node, Value]()
        while waiting:
            form = waiting.pop()
            self._reads.setdefault(form.node, []).append(form)
            if form.node.kind != "image" and form.node not in inputs:
                inputs[form.node] = self._inputs(form.node)
                waiting.extend(inputs[form.node])
        if len(output) > 1:
            raise SpecError(f"the output of the network joins {_places(output)} without a layer; return one of them")
        layers = [self._named(node, inputs[node]) for node in sorted(inputs, key=lambda node: node.time)]
        hidden = sorted(self.whole - {layer.name for layer in layers})
        if hidden:
            raise SpecError(
                f"module {hidden[0]!r} is no layer that the output reads, but part of one or beside the way; "
                f"use layers such as {', '.join(layer.name for layer in layers[:3])}"
            )
        return layers

    def _check_names(self) -> None:
        """Refuse names that cannot be layers."""
        known = {path for path, _ in self.module.named_modules()}
        for path in sorted(self.whole - {call.path for call in self._usable}):
            if path not in known:
                near = get_close_matches(path, known, n=3) or sorted(known - {""})[:3]
                raise SpecError(
                    f"the network has no module {path!r}; use one of its modules, such as {', '.join(near)}"
                )
            raise SpecError(
                f"module {path!r} does not put out one tensor (batch, channels, [z,] y, x) once in a pass; name one "
                "that does"
            )

    def _lost(self) -> str:
        """Where the trail ends."""
        lost = next((call for call in self.recording.calls if call.lost), None)
        where = f"module {lost.path!r} computes in a way" if lost and lost.path else "it is computed in a way"
        return f"cannot be traced to its image: {where} that cannot be followed"

    def _inputs(self, node: Node) -> Value:
        """What a layer reads: its convolution's input, or that of the block that adds."""
        call = self._chosen.get(node)
        if call is None and node.kind == "blend":
            call = self._chosen[node] = self._block(node)
        if call is None or not call.contains(node):
            given: Value | None = node.inputs
        else:
            given = call.given
        if not given:
            place = _quote(call.path if call else node.place)
            raise SpecError(f"module {place} is fed in a way that cannot be traced to the image; {REMEDY}")
        return given

    def _block(self, node: Node) -> Call:
        """The smallest module that puts out a sum and sees all that it is made of."""
        for call in self._usable:  # in the order of their ends: inner ones first
            if call.made.node is node and call.contains(node) and _is_closed(call, node):
                return call
        raise SpecError(
            f"module {_quote(node.place)} mixes the outputs of {_places(node.inputs)} other than by concatenation, and "
            f"no module that is one block around them puts out the result; {REMEDY}"
        )

    def _named(self, node: Node, inputs: Value) -> Layer:
        """The layer with the module that stands for it."""
        call = self._chosen.get(node) or self._module(node)
        if call is None:
            raise SpecError(
                f"no module puts out, as one map and once in a pass, what is read of {_quote(node.place)}; {REMEDY}"
            )
        width = call.made.width
        odd = next((form for form in self._reads[node] if form.width != width), None)
        if odd is not None:
            raise SpecError(
                f"layer {call.path!r} puts out {width} channels and {odd.width} made of them are read, while only "
                f"whole layers can be sources; {REMEDY}"
            )
        if len(inputs) > 1 and not _sees(call, inputs):
            raise SpecError(f"module {call.path!r} is not fed what its layer joins, {_places(inputs)}; {REMEDY}")
        return Layer(call.path, node, inputs, call.made)

    def _module(self, node: Node) -> Call | None:
        """The module that stands for a convolution; it may work on a finer grid, as one that enlarges does."""
        meeting = meet(self._reads[node])
        read = set(meeting.lineage())
        shown = [call for call in self._usable if call.made in read and call.made.width == meeting.width]
        both = [call for call in shown if call.contains(node) and _sees(call, node.inputs) and _coarser(call) <= 0]
        best = max(reversed(both), key=_depth, default=None)  # outer modules end later: the largest of equals
        alone = [call for call in shown if len(node.inputs) == 1 and _coarser(call) == 0]
        after = max(alone, key=_depth, default=None)
        if best is None or (after and _is_bare(best, node) and _depth(after) > _depth(best)):
            return after
        return best


def _only_map(call: Call) -> bool:
    """Whether a module put out one layer's map of pixels."""
    return call.output is not None and len(call.output) == 1 and call.output[0].is_map


def _depth(call: Call) -> int:
    """Steps from the node's first output to what the module puts out."""
    return len([*call.made.lineage()])


def _coarser(call: Call) -> int:
    """1 where a module puts out a coarser grid than its node did at first, -1 where a finer one, else 0."""
    before, after = sum(call.made.first.stride), sum(call.made.stride)
    return (after > before) - (after < before)


def _is_bare(call: Call, node: Node) -> bool:
    """Whether a module does nothing before its convolution and nothing after it."""
    return _depth(call) == 1 and call.given == node.inputs


def _sees(call: Call, inputs: Value) -> bool:
    """Whether a module's first input is, node by node, what a layer reads."""
    return call.given is not None and [f.node for f in call.given] == [f.node for f in inputs]


def _is_closed(call: Call, blend: Node) -> bool:
    """Whether a module sees all that its sum is made of, and goes no coarser inside than at its ends."""
    if not call.given:
        return False
    inside, outside = _ancestry(call, blend)
    ends = [max(strides) for strides in zip(call.given[0].stride, call.made.stride, strict=True)]
    maps = [form for node in inside for form in node.inputs if form.is_map and any(size > 1 for size in form.grid)]
    fine = all(stride <= end for form in maps for stride, end in zip(form.stride, ends, strict=True))
    return fine and outside <= {form.node for form in call.given}


def _ancestry(call: Call, node: Node) -> tuple[set[Node], set[Node]]:
    """What a node is made of: within a module, and where that begins."""
    inside, outside, waiting = set[Node](), set[Node](), [node]
    while waiting:
        here = waiting.pop()
        if not call.contains(here):
            outside.add(here)
        elif here not in inside:
            inside.add(here)
            waiting.extend(form.node for form in here.inputs)
    return inside, outside


def _places(forms: Value) -> str:
    """The modules that made some forms."""
    nodes = dict.fromkeys(form.node for form in forms)
    return " and ".join(dict.fromkeys(IMAGE if node.kind == "image" else _quote(node.place) for node in nodes))


def _quote(path: str) -> str:
    """A module in a message."""
    return repr(path) if path else "the network itself"


def _wire(layers: Sequence[Layer], channels: int) -> Wiring:
    """The layers as a wiring."""
    names = {layer.node: layer.name for layer in layers}
    sources = {}
    for layer in layers:
        sources[layer.name] = tuple(names.get(form.node, IMAGE) for form in layer.inputs)
        source, times = Counter(sources[layer.name]).most_common(1)[0]
        if times > 1:
            raise SpecError(f"layer {layer.name!r} reads {source!r} {times} times; {REMEDY}")
        odd = next((form for form in layer.inputs if form.node.kind == "image" and form.width != channels), None)
        if odd:
            raise SpecError(
                f"layer {layer.name!r} reads {odd.width} channels, made of the image's {channels} by no layer; {REMEDY}"
            )
    widths = {IMAGE: channels, **{layer.name: layer.output.width for layer in layers}}
    return Wiring(sources, {layer.name: _strides(layer) for layer in layers}, widths)


def _strides(layer: Layer) -> tuple[int, ...]:
    """The layer's stride in whole pixels of the image."""
    if any(stride.denominator != 1 for stride in layer.output.stride):
        shown = ", ".join(str(stride) for stride in layer.output.stride)
        raise SpecError(
            f"layer {layer.name!r} has a stride of {shown} pixels, and only whole numbers can be measured; give an "
            "example of a size that halves evenly, or a network that works no finer than its image"
        )
    return tuple(int(stride) for stride in layer.output.stride)


def restrict(wiring: Wiring, names: Collection[str]) -> Wiring:
    """A wiring with fewer layers.

    Args:
        wiring: All layers.
        names: Layers to keep, beside joins, what they read, and the output.

    Returns:
        The kept layers in their order. A layer whose source is left out reads what that one reads.

    Example:
        >>> chain = Wiring({"a": ("image",), "b": ("a",), "c": ("b",)}, {"c": (1,)}, {"image": 1, "c": 2})
        >>> restrict(chain, ["c"]).sources
        {'c': ('image',)}
    """
    joins = wiring.joins()
    read = {source for join in joins for source in wiring.sources[join]}
    kept = {*names, *joins, *read, wiring.layers[-1]}
    sources = {layer: tuple(_nearest(wiring, layer, kept)) for layer in wiring.layers if layer in kept}
    strides = {layer: stride for layer, stride in wiring.strides.items() if layer in kept}
    return Wiring(sources, strides, {layer: w for layer, w in wiring.widths.items() if layer in kept | {IMAGE}})


def _nearest(wiring: Wiring, layer: str, kept: Collection[str]) -> Iterator[str]:
    """The kept layers that a layer reads, directly or through layers that are left out."""
    for source in wiring.sources[layer]:
        if source in kept or source == IMAGE:
            yield source
        else:
            yield from _nearest(wiring, source, kept)
