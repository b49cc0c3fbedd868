"""YAML as its version 1.2 has it, and no more of it than a pipeline file needs.

`on` is a word, 1e-3 a number, 2024-01-01 text, and a key given twice an error. References (`&name`, `*name`) work, but
not such as make a small file large.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

MOST_VALUES = 100_000  # once references are written out; a pipeline file has a hundred

# https://yaml.org/spec/1.2.2/#1032-tag-resolution; null is the same in PyYAML
_INT = r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"
_FLOAT = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
_TYPES = {
    "bool": ("true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (_INT, "-+0123456789"),
    "float": (_FLOAT, "-+.0123456789"),
}
_REPLACED = {f"tag:yaml.org,2002:{name}" for name in (*_TYPES, "timestamp", "merge", "value")}


class CoreLoader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2, and without silent replacement of keys."""

    yaml_implicit_resolvers = {  # noqa: RUF012  PyYAML's own form of the table
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in _REPLACED]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise _error(f"{key!r} is given twice", key_node)
            seen.add(key if isinstance(key, str) else None)
        return super().construct_mapping(node, deep=deep)

    def construct_whole(self, node: yaml.ScalarNode) -> int:
        text = str(self.construct_scalar(node))
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


for _name, (_pattern, _firsts) in _TYPES.items():
    CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(f"^(?:{_pattern})$"), list(_firsts))
CoreLoader.add_constructor("tag:yaml.org,2002:int", CoreLoader.construct_whole)


def read_yaml(text: str) -> Any:
    """The one document of a YAML text, of plain values only. Raises yaml.YAMLError."""
    loader = CoreLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _values_in(node, {})
        return loader.construct_document(node)
    except RecursionError:
        raise yaml.YAMLError("lists or settings are nested too deeply") from None
    except ValueError as error:  # a number of thousands of digits, or a tag on what it does not fit
        raise yaml.YAMLError(str(error)) from None
    finally:
        loader.dispose()


def _values_in(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node holds, once its references are written out."""
    if id(node) in known:
        if not known[id(node)]:
            raise _error("a reference stands inside of what it refers to", node)
        return known[id(node)]
    known[id(node)] = 0  # being counted
    inner = node.value if isinstance(node, yaml.CollectionNode) else []
    children = [child for item in inner for child in (item if isinstance(item, tuple) else (item,))]
    total = 1 + sum(_values_in(child, known) for child in children)
    if total > MOST_VALUES:
        raise _error(f"references make more than {MOST_VALUES:,} values of it", node)
    known[id(node)] = total
    return total


def _error(problem: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
