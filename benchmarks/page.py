"""How soon a page that `report` wrote can be used, in a fresh browser each time, and how large it is.

    python benchmarks/page.py report.html [more.html ...] [--rounds 7] [--json FILE]

Ready is when the page's scripts have drawn everything and a click is answered. Beside it stands the processor time of
the page's main thread, which does not depend on what else the machine is doing.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from measuring import describe_run, format_table, summarize
from unetscope.files import write_json

READY = """async () => {
    const summary = document.querySelector("summary");
    const answered = new Promise((resolve) => summary.addEventListener("click", () => resolve(performance.now())));
    summary.click();
    return answered;
}"""
TARGETS = {"megabytes": 5.0, "ready, s": 1.0}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        measured = {str(page): measure(browser, page, given.rounds) for page in given.pages}
        browser.close()
    head = ["page", *(f"{name} (at most {most:g})" for name, most in TARGETS.items()), "main thread, s"]
    print(
        format_table(
            head,
            [
                [name, *(f"{summarize(values):.2f}" for values in columns.values())]
                for name, columns in measured.items()
            ],
        )
    )
    if given.json:
        write_json(given.json, {"run": describe_run({"rounds": given.rounds}), "pages": measured})


def measure(browser: Browser, page: Path, rounds: int) -> dict[str, list[float]]:
    """Megabytes, seconds until it is ready and seconds of its main thread, one of each for every round."""
    times = [open_once(browser, page) for _ in range(rounds)]
    ready, busy = zip(*times, strict=True)
    return {"megabytes": [page.stat().st_size / 1e6] * rounds, "ready": list(ready), "busy": list(busy)}


def open_once(browser: Browser, path: Path) -> tuple[float, float]:
    """Seconds from the navigation to the first answered click, and seconds that the main thread worked until then."""
    context = browser.new_context()
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(path.resolve().as_uri(), wait_until="domcontentloaded")
    ready = page.evaluate(READY) / 1000
    metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    context.close()
    return ready, metrics["TaskDuration"]


if __name__ == "__main__":
    main()
