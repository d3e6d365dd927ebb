"""The example scripts in two processes, for test_scripts_processes.py; a module they can import."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from process_support import be_process

PROCESSES = 2
ROWS = {1: "8", PROCESSES: "4"}
"""--train_batch_size is that of each process."""


def commands(folder: Path, processes: int) -> dict[str, list[str]]:
    """The arguments of each script; each has done its data before, in `folder`."""
    bert = ["--bert_model", str(folder / "bert"), "--do_lower_case", "--do_train"]
    train = ["--train_batch_size", ROWS[processes], "--learning_rate", "1e-3"]
    squad = [*bert, *train, "--max_seq_length", "24", "--doc_stride", "8", "--do_predict"]
    squad += ["--max_query_length", "8", "--predict_file", str(folder / "squad.json")]
    words = str(folder / "words.txt")
    text, sizes = str(folder / "text.txt"), ["--n_layer", "1", "--n_head", "2"]
    transfo_xl = ["--d_head", "8", "--d_model", "16", "--d_embed", "16", "--d_inner", "32"]
    return {
        "run_classifier": [
            *(*bert, *train, "--do_eval", "--task_name", "SST-2", "--max_seq_length", "16"),
            *("--data_dir", str(folder / "sst2"), "--gradient_accumulation_steps", "2"),
            *("--do_predict", "--keep_best"),
        ],
        "run_squad": [*squad, "--train_file", str(folder / "squad.json")],
        "run_swag": [
            *(*bert, *train, "--do_eval", "--max_seq_length", "24"),
            *("--data_dir", str(folder / "swag")),
        ],
        "run_ner": [
            *(*bert, *train, "--do_eval", "--do_predict", "--max_seq_length", "8"),
            *("--train_file", words, "--eval_file", words, "--predict_file", words),
        ],
        "run_openai_gpt": [
            *(*train, "--do_train", "--do_eval", "--model_name", str(folder / "gpt")),
            *("--train_dataset", str(folder / "stories.csv")),
            *("--eval_dataset", str(folder / "stories.csv")),
        ],
        "train_gpt2": [
            *(*train, *sizes, "--n_embd", "16", "--n_positions", "16", "--vocab_size", "270"),
            *("--train_files", text, "--dropout", "0", "--num_train_epochs", "1"),
        ],
        "train_transfo_xl": [
            *(*train, *sizes, *transfo_xl, "--tgt_len", "8", "--mem_len", "8"),
            *("--train_files", text, "--dropout", "0", "--num_train_epochs", "1"),
        ],
        "finetune_on_pregenerated": [
            *(*bert[:3], *train, "--pregenerated_data", str(folder / "examples")),
        ],
    }


def run(rank: int, folder: str, ports: Sequence[int]) -> None:
    """Run every script in this process as one of two, and note what went wrong."""
    sys.stdout = Path(folder, f"printed.{rank}").open("w", encoding="utf-8")  # noqa: SIM115
    scripts = commands(Path(folder), PROCESSES)
    for port, (name, argv) in zip(ports, scripts.items(), strict=True):
        be_process(rank, PROCESSES, port)  # the port before may not be free yet
        problem = call(name, [*argv, "--output_dir", str(Path(folder, "two", name))])
        Path(folder, f"{name}.{rank}").write_text(problem, encoding="utf-8")
        if problem:
            break
    sys.stdout.close()


def call(name: str, argv: Sequence[str]) -> str:
    """Run a script; what went wrong, or nothing."""
    try:
        importlib.import_module(name).main(["--no_cuda", *argv])
    except Exception:
        return traceback.format_exc()
    return ""
