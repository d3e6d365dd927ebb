"""Writes names.json: every public name of the 2019 library, for PARITY.md.

The names are read from pytorch-pretrained-bert 0.6.2, the last release, and completed by those that
its repository gained before it was renamed (looking inside, torch.hub). README.md in this folder
says how to run it.
"""

from __future__ import annotations

import importlib
import json
import types
from pathlib import Path

import pytorch_pretrained_bert

FOLDER = Path(__file__).resolve().parent
REFERENCE = "0.6.2"
MODULES = [
    "modeling",
    "modeling_openai",
    "modeling_gpt2",
    "modeling_transfo_xl",
    "modeling_transfo_xl_utilities",
    "tokenization",
    "tokenization_openai",
    "tokenization_gpt2",
    "tokenization_transfo_xl",
    "optimization",
    "optimization_openai",
    "file_utils",
]
# Each of these modules holds one function, of the same name. Two of them import TensorFlow.
CONVERTERS = [
    "convert_tf_checkpoint_to_pytorch",
    "convert_openai_checkpoint_to_pytorch",
    "convert_gpt2_checkpoint_to_pytorch",
    "convert_transfo_xl_checkpoint_to_pytorch",
]
# Private by their underscore, yet used by scripts of 2019.
UNDERSCORED = [
    "tokenization._is_whitespace",
    "tokenization._is_control",
    "tokenization._is_punctuation",
    "optimization._LRSchedule",
]
# Access to a storage service that is gone, and helpers that nothing called.
LEFT_OUT = [
    "file_utils.s3_etag",
    "file_utils.s3_get",
    "file_utils.s3_request",
    "file_utils.split_s3_path",
    "file_utils.read_set_from_file",
    "file_utils.get_file_extension",
]
# Abbreviations of other modules' names.
IMPORTED = {"ABC", "F"}
ADDED_LATER = [
    "GPT2MultipleChoiceHead",
    "modeling.prune_linear_layer",
    "modeling_openai.prune_conv1d_layer",
    "modeling_gpt2.prune_conv1d_layer",
    *(
        f"hubconf.{name}"
        for name in (
            "bertTokenizer",
            "bertModel",
            "bertForPreTraining",
            "bertForMaskedLM",
            "bertForNextSentencePrediction",
            "bertForSequenceClassification",
            "bertForMultipleChoice",
            "bertForTokenClassification",
            "bertForQuestionAnswering",
            "openAIGPTTokenizer",
            "openAIGPTModel",
            "openAIGPTLMHeadModel",
            "openAIGPTDoubleHeadsModel",
            "gpt2Tokenizer",
            "gpt2Model",
            "gpt2LMHeadModel",
            "gpt2DoubleHeadsModel",
            "transformerXLTokenizer",
            "transformerXLModel",
            "transformerXLLMHeadModel",
        )
    ),
]


def names_of(module_name: str) -> list[str]:
    """Classes and functions that the module defines, and its constants."""
    module = importlib.import_module(f"pytorch_pretrained_bert.{module_name}")
    return [
        f"{module_name}.{name}"
        for name, value in vars(module).items()
        if not name.startswith("_")
        and name not in IMPORTED
        and (getattr(value, "__module__", None) == module.__name__ or name.isupper())
    ]


def main() -> None:
    if pytorch_pretrained_bert.__version__ != REFERENCE:
        raise SystemExit(f"needs pytorch-pretrained-bert {REFERENCE}")
    exported = [
        name
        for name, value in vars(pytorch_pretrained_bert).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    ]
    qualified = [name for module_name in MODULES for name in names_of(module_name)]
    converters = [f"{name}.{name}" for name in CONVERTERS]
    names = sorted({*exported, *qualified, *converters, *UNDERSCORED, *ADDED_LATER} - set(LEFT_OUT))
    record = {
        "generated_by": "tests/golden/generate_names.py",
        "pytorch-pretrained-bert": REFERENCE,
        "names": names,
    }
    (FOLDER / "names.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
