"""`from ... import *` gives what it gave in 2019, when the modules had no `__all__`.

The lists are what `import *` of pytorch-pretrained-bert 0.6.2 gives besides the names of PARITY.md.
"""

from __future__ import annotations

import importlib

import pytest

from test_parity_table import ROWS

CAME_ALONG = {
    "": "file_utils modeling modeling_gpt2 modeling_openai modeling_transfo_xl "
    "modeling_transfo_xl_utilities optimization optimization_openai tokenization "
    "tokenization_gpt2 tokenization_openai tokenization_transfo_xl",
    "modeling": "CrossEntropyLoss cached_path copy json logger logging math nn os shutil sys "
    "tarfile tempfile torch",
    "modeling_gpt2": "CrossEntropyLoss LayerNorm Parameter cached_path collections copy json "
    "logger logging math nn os shutil sys tarfile tempfile torch",
    "modeling_openai": "CrossEntropyLoss LayerNorm Parameter cached_path collections copy json "
    "logger logging math nn os shutil sys tarfile tempfile torch",
    "modeling_transfo_xl": "CrossEntropyLoss F LayerNorm Parameter ProjectedAdaptiveLogSoftmax "
    "cached_path collections copy json logger logging math nn os sample_logits shutil sys tarfile "
    "tempfile torch",
    "modeling_transfo_xl_utilities": "F defaultdict nn np torch",
    "file_utils": "Path fnmatch json logger logging os requests sha256 shutil sys tempfile tqdm "
    "urlparse wraps",
    "optimization": "ABC Optimizer abc clip_grad_norm_ logger logging math required sys torch",
    "optimization_openai": "Optimizer WarmupConstantSchedule WarmupCosineSchedule "
    "WarmupCosineWithHardRestartsSchedule WarmupCosineWithWarmupRestartsSchedule "
    "WarmupLinearSchedule clip_grad_norm_ logger logging math required torch",
}
# Of Python 2, or of the standard library under a name that today's Python has anyway; and what is
# of no use without the storage service of 2019, or was called by nothing (see PARITY.md).
LEFT_OUT = {"absolute_import", "division", "open", "print_function", "unicode_literals"}
LEFT_OUT |= {"ClientError", "boto3", "s3_etag", "s3_get", "s3_request", "split_s3_path"}
LEFT_OUT |= {"get_file_extension", "read_set_from_file"}


@pytest.mark.parametrize("module", CAME_ALONG)
def test_star_import_gives_what_came_along(module: str) -> None:
    found: dict[str, object] = {}
    exec(f"from ptbert{'.' if module else ''}{module} import *", found)
    expected = set(CAME_ALONG[module].split())
    rows = {row.name.rpartition(".") for row in ROWS if row.status != "not yet"}
    expected |= {name for home, _, name in rows if home == module and name[0] != "_"}
    assert expected <= found.keys()
    assert not LEFT_OUT & (found.keys() - {"__builtins__"})


@pytest.mark.parametrize("module", [name for name in CAME_ALONG if name])
def test_names_that_came_along_are_those_of_2019(module: str) -> None:
    original = pytest.importorskip("pytorch_pretrained_bert")
    del original
    theirs = importlib.import_module(f"pytorch_pretrained_bert.{module}")
    ours = importlib.import_module(f"ptbert.{module}")
    public = {name for name in vars(theirs) if not name.startswith("_")} - LEFT_OUT
    assert public <= set(ours.__all__)
