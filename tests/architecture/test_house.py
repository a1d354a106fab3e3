"""The house rules that can be counted; ``make house`` prints them with the figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house.__main__ import ALLOWED, broken, reason
from tests.house.names import (
    Vocabulary,
    derived_tags,
    expressions_stated_twice,
    names_stated_twice,
    sets_stated_twice,
    wire_names_stated_twice,
)
from tests.house.raising import raising, untold
from tests.house.rooms import Rooms, contracts
from tests.house.sizes import LARGEST_FILE, LARGEST_FUNCTION, measured, too_large
from tests.house.source import Finding, Module, modules


def test_the_rules_are_kept() -> None:
    found = list(broken(modules()))
    assert [f"{rule}: {finding}" for rule, finding in found if reason(finding) is None] == []


def test_every_exception_from_them_is_needed() -> None:
    findings = [finding for _, finding in broken(modules())]
    for place in ALLOWED:
        assert any(finding.where.startswith(place) for finding in findings), place


def module(text: str, name: str = "app.made_up") -> Module:
    return Module(name, name.replace(".", "/") + ".py", text)


def wheres(findings: list[Finding]) -> list[str]:
    return [finding.where for finding in findings]


def test_a_large_file_and_a_large_function_are_seen() -> None:
    body = "    x = 1\n" * (LARGEST_FUNCTION + 1)
    long = module(f'def f():\n    """What."""\n{body}' + "x = 1\n" * LARGEST_FILE)
    found = list(too_large(measured([long])))
    assert wheres(found) == ["app/made_up.py", "app/made_up.py:f"]


def test_functions_inside_a_function_do_not_count_as_its_own() -> None:
    inner = "    def g():\n" + "        x = 1\n" * LARGEST_FUNCTION
    assert list(too_large(measured([module(f"def f():\n{inner}    return g\n")]))) == []


TABLE = Vocabulary("made up", frozenset({"azl", "rfc-layer"}), frozenset({"app.table"}))


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("x = 'rfc-layer'", True),
        ("if x == 'azl': pass", True),
        ("if 'azl' in x: pass", True),
        ("match x:\n    case 'azl': pass", True),
        ("x = ['azl', 'rfc-layer']", True),
        ("x = {'azl': 1, 'rfc-layer': 2}", True),
        ("x = f('azl')", False),
        ("'rfc-layer'", False),
    ],
)
def test_a_name_of_a_table_elsewhere_is_seen(text: str, seen: bool) -> None:
    assert bool(list(names_stated_twice([module(text)], [TABLE]))) is seen
    assert list(names_stated_twice([module(text, "app.table")], [TABLE])) == []


def test_words_that_mean_other_things_too_count_only_in_lists_of_them() -> None:
    words = Vocabulary("states", frozenset({"failed", "dead"}), frozenset(), words=True)
    assert not list(names_stated_twice([module("x == 'failed' or x in ('failed', 'ok')")], [words]))
    assert len(list(names_stated_twice([module("x in ('failed', 'dead')")], [words]))) == 2


def test_a_closed_set_that_is_listed_again_is_seen() -> None:
    stated = "Order = Literal['up', 'down']\n"
    for again in ("x = ('down', 'up')", "x: Literal['up', 'down']", "x = Choice(['up', 'down'])"):
        assert wheres(list(sets_stated_twice([module(stated + again)]))) == ["app/made_up.py:1"]
    for other in ("x = ('up', 'left')", "x = get_args(Order)", "x = ('up', 'down', y)"):
        assert not list(sets_stated_twice([module(stated + other)]))


def test_an_expression_and_a_wire_name_in_two_places_are_seen() -> None:
    twice = [
        module(
            "import re\n"
            "A = re.compile(r'[a-z]+')\n"
            "B = 'application/vnd.made-up+json'\n"
            "C = Field(pattern=r'[a-z]+')\n"
            "D = 'application/vnd.made-up+json'\n"
        )
    ]
    assert wheres(list(expressions_stated_twice(twice))) == ["app/made_up.py:2"]
    assert wheres(list(wire_names_stated_twice(twice))) == ["app/made_up.py:3"]


def test_a_derived_tag_outside_its_module_is_seen() -> None:
    for text in ("x = f'sha256-{y}'", "x = re.compile(r'sha(?:256|512)-[0-9a-f]+')"):
        assert len(list(derived_tags([module(text)]))) == 1
        assert not list(derived_tags([module(text, "app.oci.derived_tags")]))
    assert not list(derived_tags([module("x = 'sha256:00', 'sha256-256'")]))


RAISES = """
class FormatError(ValueError): pass
class Short(FormatError): pass
class Protocol:
    def told(self): '''Raises ``Short``.'''
class Public:
    def told(self):
        '''See ``Protocol``.'''
        raise Short()
    def untold(self):
        '''Reads.'''
        raise Short()
    def _private(self): raise Short()
def by_parent():
    '''Raises ``FormatError``.'''
    raise Short()
def other(): raise ValueError
"""


def test_an_error_that_no_docstring_tells_is_seen() -> None:
    found = raising([module(RAISES)])
    assert [each.where.split()[1] for each in found] == [
        "Public.told",
        "Public.untold",
        "by_parent",
    ]
    assert [where.split()[1] for where in wheres(list(untold(found)))] == [
        "Public.untold",
        "by_parent",
    ]


def test_circles_and_arrows_upward_are_seen() -> None:
    rooms = Rooms({"app.oci": frozenset({"app.jobs"}), "app.jobs": frozenset({"app.oci"})})
    assert set(rooms.circle()) == {"app.oci", "app.jobs"}
    assert list(rooms.upward(contracts())) == [("app.oci", "app.jobs")]


def test_no_source_is_an_error_and_not_a_clean_house(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no sources"):
        modules(tmp_path)
