"""The house stays one: few floors, and no module that has outgrown its idea."""

from places import ROOT

MODULES = sorted((ROOT / "hawp_core").rglob("*.py"))


def test_the_package_has_ten_floors_at_most():
    floors = {module.relative_to(ROOT / "hawp_core").parts[0] for module in MODULES}
    assert {floor for floor in floors if floor.endswith(".py")} == {"__init__.py", "errors.py"}
    assert len(floors) <= 12


def test_a_module_has_300_lines_at_most():
    lengths = {module.relative_to(ROOT).as_posix(): len(module.read_text().splitlines()) for module in MODULES}
    assert not {name: length for name, length in lengths.items() if length > 300}
