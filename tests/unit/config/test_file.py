from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config.file import load_config, parse_config
from app.errors import ConfigurationError

GOOD = """\
registries:
  - id: main
    url: https://registry.example
    webhook: {dialect: distribution, secrets: [{value: s}]}
rules:
  - name: all
"""


def mistake(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        parse_config(text, "f.yaml")
    return caught.value.message.splitlines()


def test_a_good_file() -> None:
    config = parse_config(GOOD, "f.yaml")
    assert config.registries[0].reference_host == "registry.example"
    assert parse_config("", "f.yaml").registries == ()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a: [", ["f.yaml:1:5: not YAML"]),
        ("- 1", ["f.yaml:1:1: the document must be a mapping"]),
        ("regstries: []", ["f.yaml:1:1: regstries: unknown key 'regstries'"]),
        ("registries:\n  - id: main", ["f.yaml:2:5: registries[0].url: key 'url' is missing"]),
        (GOOD + "    tagz: [x]\n", ["f.yaml:7:5: rules[0].tagz: unknown key 'tagz'"]),
        (
            GOOD.replace("https://", "ftp://"),
            ["f.yaml:3:5: registries[0].url: String should match pattern"],
        ),
        (
            GOOD.replace("dialect: distribution", "dialect: x"),
            ["f.yaml:4:15: registries[0].webhook.dialect: Input should be"],
        ),
        (
            GOOD.replace(", secrets: [{value: s}]", ""),
            ["f.yaml:4:5: registries[0].webhook: auth header needs secrets"],
        ),
        (
            GOOD + "  - name: all\n    signer: k\ndefaults: {signer: j}\n",
            [
                "f.yaml:7:5: rules[1].name: rule name used twice: all",
                "f.yaml:8:5: rules[1].signer: signer not configured: k",
                "f.yaml:9:12: defaults.signer: signer not configured: j",
            ],
        ),
        (GOOD + "rules: []\n", ["f.yaml:7:1: key 'rules' is given twice"]),
        ("version: 2", ["f.yaml:1:1: version: Input should be 1"]),
        ("? [a]\n: 1", ["f.yaml:1:3: a key must be a plain word"]),
        ("a: !!python/object:os.system {}", ["f.yaml"]),
        ("a: 2026-13-45", ["f.yaml:1:4: "]),
    ],
)
def test_mistakes_are_told_with_their_place(text: str, lines: list[str]) -> None:
    found = mistake(text)
    assert len(found) == len(lines)
    for told, expected in zip(found, lines, strict=True):
        assert told.startswith(expected), found


def test_secrets_are_not_in_messages() -> None:
    text = GOOD.replace("value: s", "valeu: hunter2-hunter2")
    assert "hunter2" not in "".join(mistake(text))
    assert "hunter2" not in repr(parse_config(GOOD.replace("value: s", "value: hunter2"), "f"))


def test_anchors_and_merges_work_and_bombs_do_not() -> None:
    text = """\
registries:
  - &one {id: one, url: https://one.example}
  - {<<: *one, id: two}
"""
    assert [r.id for r in parse_config(text, "f").registries] == ["one", "two"]
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
    )
    assert "too large" in mistake(bomb)[0]
    assert "too" in mistake("a: " + "[" * 60 + "]" * 60)[0]
    assert "too large or too deeply" in mistake("a: &a [*a]")[0]


def test_many_mistakes_are_cut() -> None:
    found = mistake("\n".join(f"k{n}: 1" for n in range(100)))
    assert len(found) == 21
    assert found[-1] == "and 80 more"


@given(st.text(max_size=200))
def test_any_text_is_a_configuration_or_a_configuration_error(text: str) -> None:
    with contextlib.suppress(ConfigurationError):
        parse_config(text, "f")


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read"):
        load_config(tmp_path, {})
    (tmp_path / "latin").write_bytes(b"a: \xff")
    with pytest.raises(ConfigurationError, match="cannot read"):
        load_config(tmp_path / "latin", {})
    with pytest.raises(ConfigurationError, match="does not exist"):
        load_config(tmp_path / "absent", {})
    (tmp_path / "large").write_bytes(b"#" * (5 << 20))
    with pytest.raises(ConfigurationError, match="more than"):
        load_config(tmp_path / "large", {})
