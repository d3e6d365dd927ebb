"""Look into the attention heads of a BERT fine-tuned on a GLUE task: entropy, importance, masking
and pruning. Michel et al., 2019 (https://arxiv.org/abs/1905.10650)."""

from __future__ import annotations

import argparse
import copy
import functools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import arguments
import glue
import training
from glue import Task
from ptbert import BertForSequenceClassification, BertTokenizer, plots
from ptbert.analysis import attention_entropy, head_importance, mask_heads, prune_heads
from ptbert.training import Batch, Batches, to_device

logger = logging.getLogger(__name__)

# Of each model, before and after pruning.
TIMED_EVALUATIONS = 3


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add(
        "--model_name_or_path",
        default="bert-base-cased-finetuned-mrpc",
        help="shortcut name, folder or archive of a fine-tuned BERT",
    )
    add("--task_name", default="mrpc", help=", ".join(task.name for task in glue.TASKS))
    add("--data_dir", required=True, type=Path, help="folder with the task's dev file")
    add("--output_dir", required=True, type=Path, help="folder for the results")
    add("--overwrite_output_dir", action="store_true", help="write into a folder that has files")
    add("--data_subset", type=int, default=-1, help="look at the first examples only; -1 for all")
    add("--dont_normalize_importance_by_layer", action="store_true", help="no L2 norm of layers")
    add("--dont_normalize_global_importance", action="store_true", help="no range from 0 to 1")
    add("--try_masking", action="store_true", help="mask heads, then prune what was masked")
    add("--masking_threshold", type=float, default=0.9, help="share of the metric to be kept")
    add("--masking_amount", type=float, default=0.1, help="share of heads masked in a round")
    add("--metric_name", help="metric to be kept; by default acc, or the task's own if it has none")
    add("--max_seq_length", type=int, default=128, help="tokens per example")
    add("--batch_size", type=int, default=1, help="examples per batch; results are the same")
    add("--do_lower_case", action="store_true", help="the vocabulary is lower-cased")
    add("--cache_dir", type=Path, help="where downloads are kept")
    add("--seed", type=int, default=42)
    add("--no_cuda", action="store_true", help="use the CPU")
    parser.set_defaults(local_rank=-1, ddp_timeout=1800)
    args = parser.parse_args(argv)
    if not args.try_masking:
        flags = ("masking_threshold", "masking_amount", "metric_name")
        arguments.refuse_unused(args, parser, "without `--try_masking`", *flags)
    return args


def check_arguments(args: argparse.Namespace, task: Task) -> None:
    """Refuse wrong arguments and missing files before the first long step."""
    arguments.check_one_process()
    for flag in ("batch_size", "data_subset"):
        value = getattr(args, flag)
        if value < 1 and (flag, value) != ("data_subset", -1):
            raise ValueError(f"`--{flag}` ({value}) must be at least 1.")
    if not 0 <= args.masking_threshold <= 1:
        raise ValueError(f"`--masking_threshold` ({args.masking_threshold}) must be in [0, 1].")
    if not 0 < args.masking_amount <= 1:
        raise ValueError(
            f"`--masking_amount` ({args.masking_amount}) must be above 0 and at most 1."
        )
    metric_of(task, args.metric_name)
    arguments.require_file(args.data_dir / task.dev_files[0][0], "--data_dir")
    arguments.prepare_output_dir(
        args.output_dir, training=True, overwrite=args.overwrite_output_dir
    )


def metric_of(task: Task, name: str | None) -> str:
    """The metric of that name; by default accuracy, as in 2019, or the main one of the task."""
    names = glue.compute_metrics(task, [0, 1], [0, 1])  # of whatever predictions
    if name is None:
        return "acc" if "acc" in names else glue.MAIN_METRIC[task.metric]
    if name not in names:
        raise ValueError(f"`--metric_name` ({name}) must be one of {', '.join(names)}.")
    return name


def load_batches(
    args: argparse.Namespace, task: Task, tokenizer: BertTokenizer, model: torch.nn.Module
) -> list[Batch]:
    """The dev set, padded to the longest example of each batch."""
    examples = glue.read_examples(task, args.data_dir / task.dev_files[0][0])
    examples = examples[: args.data_subset] if args.data_subset > 0 else examples
    features = glue.make_features(examples, tokenizer, args.max_seq_length)
    # Of like lengths, so that little padding is computed.
    features.sort(key=lambda row: len(row.input_ids))
    batches = Batches(features, args.batch_size, glue.collate)
    return [to_device(batch, model) for batch in batches]


def logits_of(model: Any, batch: Batch) -> torch.Tensor:
    """[batch, labels]"""
    logits: torch.Tensor = model(*(batch[name] for name in training.MODEL_INPUTS))
    return logits


def losses(task: Task, model: Any, batch: Batch) -> torch.Tensor:
    """The loss of each example, [batch]."""
    logits, labels = logits_of(model, batch), batch["labels"]
    if task.is_regression:
        return (logits.view(-1) - labels.to(logits.dtype)).square()
    return torch.nn.functional.cross_entropy(logits, labels, reduction="none")


def evaluate(task: Task, batches: list[Batch], metric: str, model: Any) -> float:
    """A metric of the task."""
    with torch.no_grad():
        logits = torch.cat([logits_of(model, batch).float().cpu() for batch in batches])
    labels = torch.cat([batch["labels"].cpu() for batch in batches]).tolist()
    return glue.compute_metrics(task, glue.predictions_of(task, logits), labels)[metric]


def write_heads(folder: Path, name: str, values: torch.Tensor) -> None:
    """A value for each head as .npy, and by `draw`."""
    np.save(folder / f"{name}.npy", values.numpy())
    draw(lambda path: plots.head_map(values, path, title=name.replace("_", " ")), folder, name)


def draw(plot: Any, folder: Path, name: str) -> None:
    """The numbers of a plot as .csv and, where matplotlib is installed, the picture as .png."""
    try:
        plot(folder / f"{name}.png")
    except ImportError as error:
        logger.warning("%s.png is left out. %s", name, error)


def compare(models: Mapping[str, Any], evaluation: Callable[[Any], float]) -> dict[str, float]:
    """The metric of each model, the seconds that it takes, and the number of parameters."""
    results: dict[str, float] = {}
    # In turns, and the least of several: a first pass takes longer, and so does one beside which
    # the machine does something else.
    for _ in range(TIMED_EVALUATIONS):
        for name, model in models.items():
            start = time.perf_counter()
            results[f"metric_{name}"] = evaluation(model)
            seconds = time.perf_counter() - start
            results[f"seconds_{name}"] = min(seconds, results.get(f"seconds_{name}", seconds))
    for name, model in models.items():
        results[f"parameters_{name}"] = sum(each.numel() for each in model.parameters())
    return results


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script."""
    args = parse_arguments(argv)
    training.start(args)
    task = glue.find_task(args.task_name)
    check_arguments(args, task)
    training.seed_everything(args.seed)
    tokenizer = BertTokenizer.from_pretrained(
        args.model_name_or_path, cache_dir=args.cache_dir, do_lower_case=args.do_lower_case
    )
    model = BertForSequenceClassification.from_pretrained(
        args.model_name_or_path, cache_dir=args.cache_dir, num_labels=task.num_labels
    )
    arguments.check_length(args.max_seq_length, model, least=3 if task.text_b is None else 5)
    model.to(training.select_device(args)).eval()
    batches = load_batches(args, task, tokenizer, model)
    metric = metric_of(task, args.metric_name)
    evaluation = functools.partial(evaluate, task, batches, metric)
    normalization: dict[str, Any] = {
        "normalize_by_layer": not args.dont_normalize_importance_by_layer,
        "normalize_globally": not args.dont_normalize_global_importance,
    }
    loss = functools.partial(losses, task)
    write_heads(args.output_dir, "attention_entropy", attention_entropy(model, batches))
    importance = head_importance(model, batches, loss, **normalization)
    write_heads(args.output_dir, "head_importance", importance)
    results: dict[str, float | None] = {}
    if args.try_masking:
        found = mask_heads(
            model,
            batches,
            loss,
            evaluation,
            threshold=args.masking_threshold,
            amount=args.masking_amount,
            **normalization,
        )
        write_heads(args.output_dir, "head_mask", found.head_mask)
        (_, whole), *_ = found.curve
        draw(
            lambda path: plots.curve(
                found.curve,
                path,
                x="heads masked",
                y="metric",
                title=f"{metric} of {task.name}, and the least that is kept",
                limit=whole * args.masking_threshold,
            ),
            args.output_dir,
            "masking_curve",
        )
        pruned = copy.deepcopy(model)
        prune_heads(pruned, found.head_mask)
        results |= compare({"before": model, "after": pruned}, evaluation)
        results["heads_pruned"] = int((found.head_mask == 0).sum())
        training.save(pruned, tokenizer, args, args.output_dir)
    training.write_results(args.output_dir, results)


if __name__ == "__main__":
    main()
