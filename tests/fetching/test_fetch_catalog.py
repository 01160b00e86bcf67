import json
import re
from urllib.parse import urlsplit

import pytest

from unetscope.errors import DataError
from unetscope.fetching.catalog import SETS, PublicSet, find_set
from unetscope.fetching.publishers import PLANS

every_set = pytest.mark.parametrize("public", SETS, ids=lambda public: public.name)


def test_names_are_unique_and_all_can_be_converted() -> None:
    assert len({public.name for public in SETS}) == len(SETS)
    assert {public.name for public in SETS} == PLANS.keys()
    assert PLANS.keys() >= {"bbbc038", "bbbc039", "isbi2012", "hippocampus", "drive", "camvid"}


@every_set
def test_every_set_says_what_a_user_must_know(public: PublicSet) -> None:
    assert public.name == public.name.lower()
    assert all((public.title, public.page, public.license, public.citation, public.content, public.splits))
    text = "\n".join(public.lines())
    assert all(each in text for each in (public.title, public.license, public.citation, public.splits, public.page))
    assert bool(public.files) != bool(public.registration)
    assert public.files or "--from" in public.registration
    assert json.loads(json.dumps(public.to_json()))["citation"] == public.citation


@every_set
def test_every_address_is_whole(public: PublicSet) -> None:
    for file in public.files:
        assert file.addresses
        for address in file.addresses:
            parts = urlsplit(address)
            assert parts.scheme in ("http", "https")
            assert "." in parts.netloc
            assert parts.path.endswith(f"/{file.name}")


@every_set
def test_every_checksum_has_the_length_of_its_kind(public: PublicSet) -> None:
    for file in public.files:
        assert re.fullmatch("|sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", file.checksum)


def test_the_size_of_a_set_is_that_of_its_files_where_all_are_known() -> None:
    assert find_set("bbbc039").megabytes == pytest.approx(80.82)
    assert find_set("isbi2012").megabytes is None
    assert find_set("drive").megabytes is None


@pytest.mark.parametrize("name", ["BBBC038", "bbbc038"])
def test_sets_are_found_in_any_case(name: str) -> None:
    assert find_set(name) is SETS[0]


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(DataError, match=r"hipocampus is not a set.*camvid can be; did you mean hippocampus\?"):
        find_set("hipocampus")
    with pytest.raises(DataError, match=r"camvid can be$"):
        find_set("imagenet")
