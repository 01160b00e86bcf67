"""OpenVINO and ONNX Runtime, imported so that they report nothing to anybody; knows nothing of networks.

Both report to their makers by themselves: OpenVINO that it was imported, ONNX Runtime under a number that it gives the
machine and keeps in the user's cache folder. Whoever needs one of them imports it here.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any

from unetscope.errors import SpecError


def load_openvino() -> ModuleType:
    """Import OpenVINO without its telemetry, a package of its own that OpenVINO can do without.

    The package cannot be imported any more in this process. The one part of OpenVINO that would, which converts models
    of other programs, is left out, which makes the import several times faster. It can still be imported by its own
    name, `openvino.tools.ovc`, and reports nothing then either.

    Returns:
        The module `openvino`.

    Raises:
        SpecError: It is not installed.
    """
    modules: dict[str, Any] = sys.modules
    modules.setdefault("openvino_telemetry", None)  # what None stands for cannot be imported
    modules.setdefault("openvino.tools.ovc", None)
    try:
        import openvino
    except ImportError as error:
        raise _missing("openvino") from error
    finally:
        if modules["openvino.tools.ovc"] is None:
            del modules["openvino.tools.ovc"]
    module: ModuleType = openvino
    return module


def load_onnxruntime() -> ModuleType:
    """Import ONNX Runtime with its telemetry off: its switch is a variable that it reads once, on import.

    Returns:
        The module `onnxruntime`.

    Raises:
        SpecError: It is not installed.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        import onnxruntime
    except ImportError as error:
        raise _missing("onnxruntime") from error
    onnxruntime.disable_telemetry_events()  # for one that was imported before
    module: ModuleType = onnxruntime
    return module


def _missing(library: str) -> SpecError:
    return SpecError(
        f"the network was to be computed by {library}, which is not installed; run pip install 'unetscope[fast]', or "
        "segment with the run that train wrote and --engine torch"
    )
