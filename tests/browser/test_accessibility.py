"""What axe-core finds on a page: nothing serious, light on a wide screen and dark on a narrow one."""

import pytest
from axe_playwright_python.sync_playwright import Axe

GRAVE = {"serious", "critical"}


def faults(page, part: str = "body") -> list[str]:
    found = Axe().run(page, context=part).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in GRAVE]


@pytest.mark.parametrize(("width", "scheme"), ((1440, "light"), (390, "dark")))
def test_axe_finds_no_serious_fault(open_page, content, width: int, scheme: str) -> None:
    page = open_page(content, width=width, scheme=scheme, bypass_csp=True)
    page.locator("details").evaluate_all("all => all.forEach((one) => (one.open = true))")
    page.locator("g.layer.hollow").first.click()
    assert faults(page) == []
    page.locator(".tile").first.click()
    assert faults(page, ".viewer") == []
