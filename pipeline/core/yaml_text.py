"""Load YAML more strictly than PyYAML: duplicate keys and characters that no file can hold are errors, and
4e-3 is a number, not text."""

import re
from typing import Any

import yaml
from yaml.nodes import MappingNode, ScalarNode

NO_TEXT = re.compile("[\0\ud800-\udfff]")
"""Characters that YAML can escape and neither UTF-8 nor a file's name can hold."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without two of its habits: it takes the last of two equal keys, and reads 4e-3 as
    text, as YAML 1.1 says."""

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:
        names: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in names and name != "<<":
                raise yaml.constructor.ConstructorError(
                    None, None, f"'{name}' is given twice; leave one of them", key.start_mark
                )
            names.add(name)
        return super().construct_mapping(node, deep)

    def construct_scalar(self, node: ScalarNode | MappingNode) -> Any:
        value = super().construct_scalar(node)
        if isinstance(value, str) and (wrong := NO_TEXT.search(value)):
            raise yaml.constructor.ConstructorError(
                None, None, f"U+{ord(wrong[0]):04X} is no character of a text; remove it", node.start_mark
            )
        return value


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d[\d_]*(\.[\d_]*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def load(text: str) -> Any:
    """Return the content of YAML text. yaml.YAMLError if it is not valid YAML or gives a key twice."""
    return yaml.load(text, _Loader)


def mistake(error: yaml.YAMLError) -> str:
    """Return what is wrong and where, to be put after a file's name: ` line 3 is not valid YAML: ...`."""
    problem = getattr(error, "problem", None) or ""
    # For a line without a colon, `context_mark` is that line; `problem_mark` is the one after it.
    marks = (getattr(error, name, None) for name in ("context_mark", "problem_mark"))
    first = next((mark for mark in marks if mark is not None), None)
    where = f" line {first.line + 1}" if first else ""
    if "given twice" in problem or "no character" in problem:
        return f"{where}: {problem}"
    return f"{where} is not valid YAML: check indentation, colons and quotes"
