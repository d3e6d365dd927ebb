"""Programs of 2019 import the library under its old name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ptbert.utils import install_as

PROGRAM = """
import ptbert
ptbert.utils.install_as("pytorch_pretrained_bert")

import pickle
import pytorch_pretrained_bert
import pytorch_pretrained_bert.modeling as modeling
from pytorch_pretrained_bert import BertConfig, GPT2Tokenizer
from pytorch_pretrained_bert.convert_tf_checkpoint_to_pytorch import (
    convert_tf_checkpoint_to_pytorch,
)
from pytorch_pretrained_bert.file_utils import PYTORCH_PRETRAINED_BERT_CACHE
from pytorch_pretrained_bert.modeling import *
from pytorch_pretrained_bert.optimization import BertAdam, warmup_linear
from pytorch_pretrained_bert.tokenization import BertTokenizer

assert pytorch_pretrained_bert is ptbert
assert BertModel is modeling.BertModel is ptbert.BertModel
assert BertAdam is ptbert.optimization.BertAdam
assert pickle.loads(pickle.dumps(BertConfig(99))).to_dict() == BertConfig(99).to_dict()
assert torch.is_tensor(BertModel(BertConfig(99, 32, 2, 4, 37))(torch.ones(1, 2).long())[1])
"""


def test_program_of_2019_runs_unedited() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_library_that_is_imported_already_is_not_replaced() -> None:
    with pytest.raises(ValueError, match="`name` must not be imported yet, but `subprocess` is"):
        install_as("subprocess")
