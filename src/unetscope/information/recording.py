"""What one pass of a network does with its image: follows every tensor and hears every module; names no layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from unetscope.errors import SpecError, UnetscopeError
from unetscope.information.provenance import Form, Kind, Node, Step, Value, meet, nested_tensors


@dataclass(frozen=True)
class Call:
    """One run of a module.

    Attributes:
        path: The module's path.
        start: Nodes made before it.
        end: Nodes made until its end.
        given: Its first positional input, where that is one tensor that comes from the image.
        output: What it put out, where that is one tensor that comes from the image.
        lost: Whether a tensor of the image went in, and one came out that could not be followed.
    """

    path: str
    start: int
    end: int
    given: Value | None
    output: Value | None
    lost: bool

    @property
    def made(self) -> Form:
        """What it put out, where that is the output of one node."""
        assert self.output is not None and len(self.output) == 1
        return self.output[0]

    def contains(self, node: Node) -> bool:
        """Whether the node was made in this run."""
        return self.start <= node.time < self.end


@dataclass(frozen=True)
class Recording:
    """A pass.

    Attributes:
        calls: The runs of its modules, in the order in which they ended.
        output: The value of its output; of the first tensor, where several came out.
        single: Whether one tensor came out.
    """

    calls: tuple[Call, ...]
    output: Value | None
    single: bool


def record(module: nn.Module, example: Tensor) -> Recording:
    """Run a network once and follow the channels of its image.

    Args:
        module: Any network, in evaluation mode; it is left as it was.
        example: (batch, channels, [z,] y, x) of a size that the network takes.

    Returns:
        What happened.

    Raises:
        SpecError: The network cannot take the example.
    """
    follower = Follower(example)
    with _watched(module, follower), torch.no_grad(), follower:
        try:
            output = module(example)
        except UnetscopeError:
            raise
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0]
            raise SpecError(
                f"the network failed on an example of shape {tuple(example.shape)} ({type(error).__name__}: {reason}); "
                "give an example of a shape and type that it takes"
            ) from error
    first = next(nested_tensors(output), None)
    value = None if first is None else follower.values.get(first)
    return Recording(tuple(follower.calls), value, isinstance(output, Tensor))


@contextmanager
def _watched(module: nn.Module, follower: Follower) -> Iterator[None]:
    """Let the follower hear when each module starts and ends; the hooks are gone afterwards, whatever happens."""
    handles = []
    try:
        for path, part in module.named_modules():
            handles.append(part.register_forward_pre_hook(follower.entering(path)))
            handles.append(part.register_forward_hook(follower.leaving(path)))
        yield
    finally:
        for handle in handles:
            handle.remove()


@dataclass
class _Running:
    """A module that has started and not ended."""

    path: str
    start: int
    given: Value | None


@dataclass(eq=False)
class Follower(TorchFunctionMode):
    """Gives every tensor that a torch function returns its value.

    Attributes:
        image: The input.
        values: What is known of each living tensor.
        calls: Runs that have ended.
    """

    image: Tensor
    values: Any = field(default_factory=WeakTensorKeyDictionary)
    calls: list[Call] = field(default_factory=list)
    _running: list[_Running] = field(default_factory=list)
    _nodes: int = 0

    def __post_init__(self) -> None:
        """Begin with the image."""
        super().__init__()
        self._ndim = self.image.ndim - 2
        node = self._node("image", ())
        self.values[self.image] = (Form(node, tuple(self.image.shape), (Fraction(1),) * self._ndim),)

    def entering(self, path: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        """A hook for the start of a module."""

        def enter(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
            self._running.append(_Running(path, self._nodes, self._known(inputs[0] if inputs else None)))

        return enter

    def leaving(self, path: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        """A hook for the end of a module."""

        def leave(_module: nn.Module, _inputs: tuple[Any, ...], output: Any) -> None:
            while self._running[-1].path != path:  # left by an exception that was caught
                self._running.pop()
            run = self._running.pop()
            value = self._known(output)
            lost = run.given is not None and isinstance(output, Tensor) and value is None
            self.calls.append(Call(path, run.start, self._nodes, run.given, value, lost))

        return leave

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run a torch function and note what its results are made of."""
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "").strip("_")
        # Before the function, which may work in place.
        read = [(tuple(tensor.shape), self._known(tensor)) for tensor in nested_tensors((args, kwargs))]
        known = tuple((shape, value) for shape, value in read if value)
        result = func(*args, **kwargs)
        if known:
            step = Step(name, tuple(args), kwargs, known, self._ndim)
            for tensor in nested_tensors(args[0] if name == "setitem" else result):
                self.values[tensor] = self._follow(step, tuple(tensor.shape))
        return result

    def _follow(self, step: Step, shape: tuple[int, ...]) -> Value:
        """The value of a result."""
        if step.is_weighted:
            return self._made("layer", step.read[0][1], step, shape)
        step = step.carrying(shape)
        forms = step.forms
        if len({form.node for form in forms}) == 1:
            return (Form(forms[0].node, shape, step.stride(forms[0], shape), meet(forms)),)
        if step.keeps_channels(shape):
            parts = [(form, (*form.shape[:2], *shape[2:])) for form in forms]
            return tuple(Form(form.node, part, step.stride(form, part), form) for form, part in parts)
        return self._made("blend", forms, step, shape)

    def _made(self, kind: Kind, inputs: Value, step: Step, shape: tuple[int, ...]) -> Value:
        """The first form of a new node."""
        alike = next((form for form in inputs if form.grid == shape[2:]), inputs[0])
        return (Form(self._node(kind, inputs), shape, step.stride(alike, shape)),)

    def _node(self, kind: Kind, inputs: Value) -> Node:
        self._nodes += 1
        return Node(kind, inputs, self._nodes - 1, self._running[-1].path if self._running else "")

    def _known(self, thing: Any) -> Value | None:
        """The value of a tensor that comes from the image."""
        found: Value | None = self.values.get(thing) if isinstance(thing, Tensor) else None
        return found
