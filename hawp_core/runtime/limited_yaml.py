"""YAML from files that nobody vouches for: read with limits, so that a small file asks for no large work."""

import yaml

# Far beyond any configuration or data config; what is deeper or larger was made to harm, or is no YAML of ours.
DEEPEST, MOST_VALUES = 50, 1_000_000


class _Loader(yaml.SafeLoader):
    """The safe loader with a limit on nesting, kept while it reads."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """A node and all below it."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise yaml.YAMLError(f"it is nested more than {DEEPEST} levels deep")
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def parse_yaml(text: str) -> object:
    """The value of a YAML text: mappings, lists, text, numbers, dates, true, false, null.

    Raises:
        yaml.YAMLError: no YAML, nested too deeply, of too many values once its aliases are written out, with a name twice
            in one mapping, of which PyYAML would silently take the last, or with a value that is none, such as the date
            2020-99-99 or a number of 5,000 digits.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _values(node, {}) > MOST_VALUES:
            raise yaml.YAMLError(f"it stands for more than {MOST_VALUES:,} values")
        return loader.construct_document(node)
    # PyYAML's constructors trip over values that are not what their tags say, such as !!int "" and !!bool x.
    except (ValueError, OverflowError, RecursionError, LookupError, AttributeError, TypeError) as error:
        raise yaml.YAMLError(str(error).partition(";")[0]) from error
    finally:
        loader.dispose()


def _values(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values `node` stands for, aliases written out; `known` holds those of nodes seen, 0 while they are open."""
    if id(node) in known:
        if not known[id(node)]:
            raise yaml.YAMLError("it contains itself")
        return known[id(node)]
    known[id(node)] = 0
    inner: list[yaml.Node] = []
    if isinstance(node, yaml.SequenceNode):
        inner = node.value
    elif isinstance(node, yaml.MappingNode):
        _check_names(node)
        inner = [part for pair in node.value for part in pair]
    known[id(node)] = 1 + sum(_values(part, known) for part in inner)
    return known[id(node)]


def _check_names(mapping: yaml.MappingNode) -> None:
    """Make sure that no name is there twice. Several merges (`<<`) are no mistake."""
    lines: dict[tuple[str, str], int] = {}
    for name, _ in mapping.value:
        if isinstance(name, yaml.ScalarNode) and name.value != "<<":
            line = name.start_mark.line + 1
            if (name.tag, name.value) in lines:
                raise yaml.YAMLError(f"{name.value} is there twice, in lines {lines[name.tag, name.value]} and {line}")
            lines[name.tag, name.value] = line
