"""What options take: argument types for argparse, with one clear sentence for what they do not take."""

import argparse
import math
import re
from collections.abc import Callable
from pathlib import Path

import jsonschema

from hawp_core.model.shipped import SHIPPED, SHIPPED_NAME
from hawp_core.workflow.schema import schema

# No number of steps, minutes or gigabytes is larger, and no work is divided into more parts.
MOST, MOST_PARTS, MOST_PROCESSES = 10**9, 10**6, 1024


def positive(kind: type, most: int = MOST) -> Callable[[str], float]:
    """An argument type: a number of `kind` above zero, and of a size that something can have."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not 0 < value <= most:
            raise argparse.ArgumentTypeError(
                f"{text[:40]!r} is not a positive {'whole number' if kind is int else 'number'} up to {most:,}"
            )
        return value

    parse.__name__ = "number"
    return parse


def setting(name: str) -> Callable[[str], float]:
    """An argument type: a number that the setting `name`, such as compute.threads, may have."""
    rule = schema()
    for part in name.split("."):
        rule = rule["properties"][part]
    whole = rule["type"] == "integer"

    def parse(text: str) -> float:
        try:
            value = int(text) if whole else float(text)
        except ValueError:
            value = math.nan
        faults = jsonschema.Draft202012Validator(rule).iter_errors(value)
        if not math.isfinite(value) or abs(value) > MOST or next(faults, None) is not None:
            least, most = rule.get("minimum", 0), min(rule.get("maximum", MOST), MOST)
            raise argparse.ArgumentTypeError(
                f"{text[:40]!r} is not a {'whole ' * whole}number from {least} to {most:,}"
            )
        return value

    parse.__name__ = "number"
    return parse


def scales(text: str) -> list[float]:
    """An argument type: numbers with commas between, as `evaluate.scales` may have them, each once and in order."""
    rule = schema()["properties"]["evaluate"]["properties"]["scales"]
    each, most = rule["items"], rule["maxItems"]
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    # What is no number is not between two.
    if not 0 < len(values) <= most or not all(each["minimum"] <= value <= each["maximum"] for value in values):
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r} is not up to {most} numbers from {each['minimum']:g} to {each['maximum']:g} with commas between, "
            "such as 1,1.5"
        )
    return sorted(set(values))


def share(text: str) -> float:
    """An argument type: a number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def device_word(text: str) -> str:
    """An argument type: auto, cpu, mps, cuda or cuda:N."""
    if not re.fullmatch(schema()["properties"]["compute"]["properties"]["device"]["pattern"], text):
        raise argparse.ArgumentTypeError(f"{text!r} is none of auto, cpu, mps, cuda, cuda:0, cuda:1, ...")
    return text


def part(text: str) -> tuple[int, int]:
    """An argument type: I/N, the I-th of N parts, counted from 0."""
    first, _, second = text.partition("/")
    short = max(len(first), len(second)) <= len(str(MOST_PARTS))
    if not (first.isdecimal() and second.isdecimal() and short and int(first) < int(second) <= MOST_PARTS):
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r} is not of the form I/N with I below N, such as 0/4, and N up to {MOST_PARTS:,}"
        )
    return int(first), int(second)


def model_file(word: str) -> Path:
    """An argument type: a model's file, or the word for the one that comes with the package."""
    return SHIPPED if word == SHIPPED_NAME else Path(word)
