"""The command line: turns words into calls of the package and results into words; computes nothing itself.

Exits with 0 when all is well, 2 for what the user can mend, 1 for a fault of ours. Torch is imported only by the
commands that need it.
"""

from __future__ import annotations

from collections.abc import Sequence

from cyclopts import App, CycloptsError, MissingArgumentError, Parameter, UnusedCliTokensError

from unetscope import __version__, console
from unetscope.commands.calibrating import calibrate
from unetscope.commands.comparing import compare
from unetscope.commands.costs import cost
from unetscope.commands.exporting import export
from unetscope.commands.images import check, demo, fetch
from unetscope.commands.information import profile
from unetscope.commands.networks import evaluate, segment, train
from unetscope.commands.reporting import report
from unetscope.commands.serving import serve
from unetscope.commands.sizing import size
from unetscope.commands.slimming import propose, prove, shrink, slim
from unetscope.errors import UnetscopeError

STOPPED, UNREAD = 130, 141  # what shells say of programs that an interrupt or a closed pipe ended


def show_default(value: object) -> str | None:
    """What help says of a default: nothing of what is off or left to the program."""
    return None if value is None or value is False else str(value)


app = App(
    name="unetscope",
    help="""Train a U-Net on a few annotated images and see how information flows through it.

    See it all with `unetscope demo`, or go the way with your own images: check, train, evaluate, segment; then profile
    and report.""",
    version=__version__,
    default_parameter=Parameter(negative=(), show_default=show_default, consume_multiple=True),
    suppress_keyboard_interrupt=False,
)


app.command(demo, sort_key=1)
app.command(fetch, sort_key=2)
app.command(check, sort_key=3)
app.command(size, sort_key=4)
app.command(train, sort_key=5, usage="Usage: unetscope train DATASET --out PATH [OPTIONS]")
app.command(evaluate, sort_key=6)
app.command(segment, sort_key=7, usage="Usage: unetscope segment RUN IMAGE... --out PATH [OPTIONS]")
app.command(export, sort_key=8, usage="Usage: unetscope export RUN --out PATH [OPTIONS]")
app.command(profile, sort_key=9, usage="Usage: unetscope profile RUN DATASET --out PATH [OPTIONS]")
app.command(report, sort_key=10, usage="Usage: unetscope report SOURCE... [OPTIONS]")
app.command(propose, sort_key=11, usage="Usage: unetscope propose RUN PROFILE --out PATH [OPTIONS]")
app.command(slim, sort_key=12, usage="Usage: unetscope slim RUN PLAN DATASET --out PATH [OPTIONS]")
app.command(compare, sort_key=13, usage="Usage: unetscope compare RUN... DATASET [OPTIONS]")
app.command(shrink, sort_key=14, usage="Usage: unetscope shrink RUN DATASET --out PATH [OPTIONS]")
app.command(prove, sort_key=15, usage="Usage: unetscope prove RUN DATASET --out PATH [OPTIONS]")
app.command(serve, sort_key=16)
app.command(calibrate, sort_key=17)
app.command(cost, sort_key=18)


def main(words: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    try:
        app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except KeyboardInterrupt:
        console.say("stopped; finished files stay, and a training run goes on with --resume")
        return STOPPED
    except BrokenPipeError:
        console.abandon_output()
        return UNREAD
    except Exception as error:
        message = _explain(error)
        if message is None:
            console.fail_by_fault()
            return 1
        console.fail(message)
        return 2
    return 0


def _explain(error: Exception) -> str | None:
    """What the user can do about it, if anything."""
    if isinstance(error, CycloptsError):
        return _explain_words(error)
    if isinstance(error, UnetscopeError):
        return str(error)
    if isinstance(error, MemoryError) or any(sign in str(error) for sign in ("out of memory", "can't allocate memory")):
        return "the memory is used up; give a smaller --tile to segment, or a smaller --batch or --patch to train"
    if isinstance(error, OSError) and error.strerror:
        place = error.filename or "a file"
        return f"{place} cannot be used ({error.strerror}); check its name, its permissions and the free space"
    return None


def _explain_words(error: CycloptsError) -> str:
    """What is wrong with the words of a command, as one sentence."""
    if isinstance(error, UnusedCliTokensError):
        what = f"{' '.join(error.unused_tokens or ())} came, and nothing more was expected"
    elif isinstance(error, MissingArgumentError) and error.argument is not None:
        what = f"no value came for {error.argument.name}"
    else:
        what = str(error).rstrip(".")
    return f"{what} (see `{' '.join(('unetscope', *(error.command_chain or ())))} --help`)"
