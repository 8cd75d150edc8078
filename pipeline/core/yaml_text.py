"""YAML as its writers mean it: a key is given once, and 4e-3 is a number."""

import re
from typing import Any

import yaml
from yaml.nodes import MappingNode


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which takes the last of two equal keys and reads YAML 1.1's numbers."""

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen and name != "<<":
                raise yaml.constructor.ConstructorError(
                    None, None, f"'{name}' is given twice; leave one of them", key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d[\d_]*(\.[\d_]*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def load(text: str) -> Any:
    """Return the content of YAML text. yaml.YAMLError where it is none, and where a key is given twice."""
    return yaml.load(text, _Loader)


def mistake(error: yaml.YAMLError) -> str:
    """Return where and what is wrong, as it follows a file's name: ` line 3 is not valid YAML: ...`."""
    problem = getattr(error, "problem", None) or ""
    # Of a line without a colon the place is where it began, not where the next one shows it.
    marks = (getattr(error, name, None) for name in ("context_mark", "problem_mark"))
    first = next((mark for mark in marks if mark is not None), None)
    where = f" line {first.line + 1}" if first else ""
    if "given twice" in problem:
        return f"{where}: {problem}"
    return f"{where} is not valid YAML: check indentation, colons and quotes"
