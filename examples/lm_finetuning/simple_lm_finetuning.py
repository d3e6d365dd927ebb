"""Fine-tune BERT's language model on a text, whose examples are made as they are needed."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import examples_folder  # noqa: F401

# isort: split
import arguments
import language_model
import training
from inputs import Batch
from pretraining_corpus import Corpus, read_corpus
from pretraining_instances import Instance, TaskOptions, Vocabulary, generator, masked
from pretraining_rows import batch_loss, row_type, to_batch, to_row
from ptbert import BertForPreTraining, BertTokenizer
from ptbert.training import TrainingLog, fit


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--train_corpus", required=True, type=Path, help="text, a sentence per line; see README")
    add("--bert_model", required=True, help="shortcut name, folder or archive of a pretrained BERT")
    add("--max_seq_length", type=int, default=128, help="tokens per example")
    add("--do_train", action="store_true", help="fine-tune the model")
    add("--on_memory", action="store_true", help="keep the tokenized text in memory")
    add("--do_lower_case", action="store_true", help="give this for an uncased model")
    arguments.add_training_arguments(parser, learning_rate=3e-5)
    return parser.parse_args(argv)


class SentencePairs:
    """Batches of two sentences each, the second of which is in half of the examples the next one,
    and otherwise one of another document.

    Args:
        corpus: The text; each sentence that has a next one gives an example in each epoch.
        vocabulary: That of its ids.
        max_seq_length: Tokens of an example; longer sentences are cut at their ends.
        batch_size: Rows per batch; the last batch may be smaller.
        seed: Seed of the order, the second sentences and the masks, new in each epoch.
    """

    def __init__(
        self,
        corpus: Corpus,
        vocabulary: Vocabulary,
        max_seq_length: int,
        batch_size: int,
        seed: int,
    ) -> None:
        self._corpus = corpus
        self._vocabulary = vocabulary
        # As many tokens are masked as the share says.
        self._options = TaskOptions(max_seq_length, max_predictions_per_seq=max_seq_length)
        self._batch_size = batch_size
        self._seed = seed
        is_last = np.zeros(len(corpus.sentence_ends), bool)
        is_last[corpus.document_ends - 1] = True
        self._firsts = np.flatnonzero(~is_last)
        if not len(self._firsts):
            raise ValueError("The text must have a document of two sentences, but has none.")

    def __len__(self) -> int:
        return -(-len(self._firsts) // self._batch_size)

    def of_epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from its batch number `first` on."""
        order = np.random.default_rng([self._seed, epoch]).permutation(self._firsts)
        dtype = row_type(self._options.max_seq_len, self._options.max_seq_len)
        for begin in range(first * self._batch_size, len(order), self._batch_size):
            numbers = order[begin : begin + self._batch_size].tolist()
            rows = [to_row(self._example(epoch, number), dtype) for number in numbers]
            yield to_batch(np.array(rows, dtype))

    def _example(self, epoch: int, number: int) -> Instance:
        draw = generator(self._seed, epoch, number)
        first, second = self._corpus.sentence(number), self._corpus.sentence(number + 1)
        is_random_next = draw.random() < 0.5
        if is_random_next:
            own = self._corpus.sentences_of(self._corpus.document_of(number))
            other = int(draw.integers(len(self._corpus.sentence_ends) - len(own)))
            second = self._corpus.sentence(other if other < own.start else other + len(own))
        room = self._options.max_seq_len - 3
        while len(first) + len(second) > room:
            first, second = (
                (first[:-1], second) if len(first) > len(second) else (first, second[:-1])
            )
        return masked(first, second, is_random_next, draw, self._vocabulary, self._options)


def train(
    args: argparse.Namespace, model: BertForPreTraining, tokenizer: BertTokenizer
) -> TrainingLog:
    """Fine-tune the model in place on --train_corpus."""
    folder = None if args.on_memory else args.output_dir
    corpus = read_corpus([args.train_corpus], tokenizer, folder)
    batches = SentencePairs(
        corpus,
        Vocabulary.of(tokenizer),
        args.max_seq_length,
        training.batch_size(args),
        args.seed,
    )
    training.seed_training(args.seed)
    loss = functools.partial(batch_loss, shard=args.shard)
    return fit(model, batches, loss, training.options_from(args))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script."""
    args = parse_arguments(argv)
    training.start(args)
    if not args.do_train:
        raise ValueError("`--do_train` must be given: there is nothing else to do.")
    arguments.check_arguments(args)
    arguments.require_file(args.train_corpus, "--train_corpus")
    arguments.prepare_output_dir(
        args.output_dir, training=True, overwrite=args.overwrite_output_dir or args.resume
    )
    model, tokenizer = language_model.load(args)
    arguments.check_length(args.max_seq_length, model, least=5)
    log = train(args, model, tokenizer)
    language_model.save(args, model, tokenizer, log)


if __name__ == "__main__":
    main()
