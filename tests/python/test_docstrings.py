"""The examples of all docstrings run and give what they show."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest
import torch
from torch import nn

import ptbert.amp
import ptbert.analysis
import ptbert.plots
import ptbert.training
from test_parity_table import ROWS, find

NAMES_IN_EXAMPLES = {
    "torch": torch,
    "nn": nn,
    "GPT2Config": ptbert.GPT2Config,
    "OpenAIGPTConfig": ptbert.OpenAIGPTConfig,
}


def examples() -> Iterator[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    for module in pkgutil.walk_packages(ptbert.__path__, "ptbert."):
        if module.name in ("ptbert._C", "ptbert.__main__"):
            continue
        yield from finder.find(importlib.import_module(module.name), extraglobs=NAMES_IN_EXAMPLES)


EXAMPLES = {test.name: test for test in examples() if test.examples}


def test_there_are_examples() -> None:
    names = "ptbert.modeling.BertModel", "ptbert.tokenization_gpt2.GPT2Tokenizer"
    assert EXAMPLES.keys() >= set(names)
    assert len(EXAMPLES) > 20


NAMES = [row.name for row in ROWS if row.status == "yes"]
CLASSES = {
    name: value
    for name in NAMES
    if name.startswith(("modeling.", "optimization.", "optimization_openai."))
    if inspect.isclass(value := find(name)) and not value.__name__.startswith("_")
}

# Modules beyond 2019 in which every public class and function has an example.
MODULES = (ptbert.training, ptbert.amp, ptbert.analysis, ptbert.plots)
FUNCTIONS_AND_CLASSES = {**CLASSES, "ptbert.embed": ptbert.embed} | {
    f"{module.__name__}.{name}": value
    for module in MODULES
    for name in module.__all__
    if callable(value := getattr(module, name)) and value is not ptbert.training.Batch
}


@pytest.mark.parametrize("name", sorted(FUNCTIONS_AND_CLASSES))
def test_class_or_function_has_an_example(name: str) -> None:
    # Its own docstring: `inspect.getdoc` would also return that of a base class.
    text = FUNCTIONS_AND_CLASSES[name].__doc__ or ""
    assert ">>> " in text
    assert "+SKIP" not in text


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_example_gives_what_it_shows(name: str) -> None:
    if name.startswith("ptbert.plots."):
        pytest.importorskip("matplotlib")
    test = EXAMPLES[name]
    failures: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    runner.run(test, out=failures.append, clear_globs=False)
    assert not failures, "".join(failures)
