"""SQuAD in the example scripts: questions, windows and the texts of answers."""

from __future__ import annotations

import json
import logging
import math
import re
from pathlib import Path
from typing import Any

import pytest

import ptbert
import squad
import squad_examples
from examples_support import ids, load_tokenizer, question, squad_file, write_model
from squad import Window, WindowMaker, WindowOptions
from squad_answers import AnswerOptions, Predictions, Scores, align, choose_answers
from squad_examples import Example

CONTEXT = "The cat sat on the mat. A dog ran in the park."


@pytest.fixture
def tokenizer(tmp_path: Path) -> ptbert.BertTokenizer:
    """A lower-casing tokenizer."""
    return load_tokenizer(write_model(tmp_path / "model"))


def read(path: Path, *, training: bool = True, with_negative: bool = False) -> list[Example]:
    return squad_examples.read_examples(path, training=training, with_negative=with_negative)


def windows_of(
    tokenizer: ptbert.BertTokenizer, example: Example, length: int, stride: int, query: int = 8
) -> list[Window]:
    return WindowMaker(tokenizer, WindowOptions(length, stride, query))(0, example)


def tokens_of(tokenizer: ptbert.BertTokenizer, window: Window, start: int, end: int) -> str:
    return " ".join(tokenizer.convert_ids_to_tokens(window.input_ids[start : end + 1]))


def test_words_are_split_at_the_white_space_of_squad_only() -> None:
    words, word_of_character = squad_examples.split_words(" a\tb\u202fc\xa0d \n")
    assert words == ["a", "b", "c\xa0d"]
    assert word_of_character == [-1, 0, 0, 1, 1, 2, 2, 2, 2, 2]


def test_training_examples_know_the_words_of_their_answer(tmp_path: Path) -> None:
    asked = question("q1", "Who sat?", ("The cat", 0))
    path = squad_file(tmp_path / "train.json", [(CONTEXT, [asked])])
    assert read(path) == [Example("q1", "Who sat?", CONTEXT.split(), "The cat", 0, 1)]
    assert read(path, training=False) == [Example("q1", "Who sat?", CONTEXT.split())]


def test_answers_that_are_not_in_the_text_are_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked = [question("q1", "Who?", ("The dog", 0)), question("q2", "Who?", ("A dog", 24))]
    path = squad_file(tmp_path / "train.json", [(CONTEXT, asked)])
    assert [example.id for example in read(path)] == ["q2"]
    assert "(q1), answers[0]: the text at `answer_start` (0) is 'The cat', not the answer" in (
        caplog.text
    )
    assert "train.json: 1 of 2 questions are left out." in caplog.text


def test_unanswerable_questions_need_version_2(tmp_path: Path) -> None:
    asked = question("q1", "Who flew?", is_impossible=True)
    path = squad_file(tmp_path / "train.json", [(CONTEXT, [asked])])
    (example,) = read(path, with_negative=True)
    assert not example.has_answer
    message = "(q1): `answers` ([]) must hold an answer to train on; give --version_2_with_negative"
    with pytest.raises(ValueError, match=re.escape(message)):
        read(path)


def test_answerable_questions_may_stand_in_a_version_2_file(tmp_path: Path) -> None:
    asked = question("q1", "Who sat?", ("The cat", 0), is_impossible=False)
    path = squad_file(tmp_path / "train.json", [(CONTEXT, [asked])])
    assert read(path, with_negative=True)[0].end == 1


INSIDE = "must be such that the answer ({!r}) is inside the paragraph of 46 characters."


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (("park.", 60), f"answers[0]: `answer_start` (60) {INSIDE.format('park.')}"),
        (("park.", 42), f"answers[0]: `answer_start` (42) {INSIDE.format('park.')}"),
        (("The", -1), f"answers[0]: `answer_start` (-1) {INSIDE.format('The')}"),
        (("", 3), "answers[0]: `text` ('') must not be empty."),
        ((" ", 3), "answers[0]: `text` (' ') must not be empty."),
    ],
)
def test_answers_outside_the_paragraph_are_refused(
    tmp_path: Path, answer: tuple[str, int], message: str
) -> None:
    path = squad_file(tmp_path / "train.json", [(CONTEXT, [question("q1", "Who?", answer)])])
    with pytest.raises(ValueError) as error:
        read(path)
    assert str(error.value) == f"{path}, data[0] (Test), paragraphs[0], qas[0] (q1), {message}"


@pytest.mark.parametrize("content", ["", "[]", '{"version": 1}', "{"])
def test_other_files_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "train.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"train\.json is not a SQuAD file: "):
        read(path)


def test_file_without_questions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"train\.json holds no questions\."):
        read(squad_file(tmp_path / "train.json", [(CONTEXT, [])]))


def test_window_of_a_short_paragraph(tokenizer: ptbert.BertTokenizer) -> None:
    example = Example("q", "Who sat?", ["The", "cats", "sat."], "cats", 1, 1)
    assert windows_of(tokenizer, example, 16, 8) == [
        Window(
            example=0,
            input_ids=ids("[CLS] who sat ? [SEP] the cat ##s sat . [SEP]"),
            segment_ids=[0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1],
            words=[-1, -1, -1, -1, -1, 0, 1, 1, 2, 2, -1],
            has_max_context=[0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0],
            start=6,
            end=7,
        )
    ]


def test_long_paragraphs_are_cut_into_overlapping_windows(
    tokenizer: ptbert.BertTokenizer,
) -> None:
    # 13 tokens: the cat sat on the mat . a dog ran in the park
    example = Example("q", "Who?", CONTEXT[:-1].split(), "A dog", 6, 7)
    windows = windows_of(tokenizer, example, length=11, stride=4)
    texts = [tokens_of(tokenizer, window, 4, len(window.input_ids) - 2) for window in windows]
    assert texts == [
        "the cat sat on the mat",
        "the mat . a dog ran",
        "dog ran in the park",
    ]
    # The answer is whole in the second window only; elsewhere [CLS] stands for it.
    assert [(window.start, window.end) for window in windows] == [(0, 0), (7, 8), (0, 0)]
    # "the" and "mat" have more context behind them in the first window than before in the second.
    shown = [
        [word for word, best in zip(window.words, window.has_max_context, strict=True) if best]
        for window in windows
    ]
    assert shown == [[0, 1, 2, 3, 4], [5, 5, 6, 7], [8, 9, 10, 11]]


def test_every_token_has_most_context_in_exactly_one_window() -> None:
    spans = squad.window_spans(100, 30, 7)
    assert spans[0] == (0, 30)
    assert spans[-1][1] == 100
    assert {first for first, _ in spans} == set(range(0, 71, 7)) | {spans[-1][0]}
    for position in range(100):
        best = squad.max_context_window(position, spans)
        context = [
            min(position - first, end - 1 - position)
            for first, end in spans
            if first <= position < end
        ]
        first, end = spans[best]
        assert min(position - first, end - 1 - position) == max(context)


@pytest.mark.parametrize(
    ("length", "size", "stride", "expected"),
    [
        (0, 5, 2, []),
        (5, 5, 2, [(0, 5)]),
        (6, 5, 2, [(0, 5), (2, 6)]),
        (11, 4, 9, [(0, 4), (4, 8), (8, 11)]),
    ],
)
def test_window_spans(length: int, size: int, stride: int, expected: list[tuple[int, int]]) -> None:
    assert squad.window_spans(length, size, stride) == expected


def test_answer_inside_a_word_is_found_among_its_tokens(tokenizer: ptbert.BertTokenizer) -> None:
    words = ["a", "lemon-flavoured,", "good", "film"]
    (window,) = windows_of(tokenizer, Example("q", "What?", words, "lemon", 1, 1), 24, 8)
    assert tokens_of(tokenizer, window, window.start, window.end) == "lemon"
    (window,) = windows_of(tokenizer, Example("q", "What?", words, "avoured", 1, 1), 24, 8)
    answer = tokens_of(tokenizer, window, window.start, window.end)
    assert answer == "lemon - flavour ##ed ,"


def test_long_questions_are_cut(tokenizer: ptbert.BertTokenizer) -> None:
    example = Example("q", "who was the very good dog", ["cat"])
    (window,) = windows_of(tokenizer, example, 16, 8, query=3)
    assert window.input_ids == ids("[CLS] who was the [SEP] cat [SEP]")


def test_paragraph_without_words_has_no_windows(tokenizer: ptbert.BertTokenizer) -> None:
    assert windows_of(tokenizer, Example("q", "Who?", []), 16, 8) == []


def load(path: Path, tokenizer: ptbert.BertTokenizer, **more: Any) -> list[Window]:
    options = {"training": True, "with_negative": False} | more
    return squad.load(path, tokenizer, "tiny", WindowOptions(11, 4, 8), **options)[1]


def test_cached_windows_are_reused_and_equal(
    tmp_path: Path, tokenizer: ptbert.BertTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = squad_file(tmp_path / "train.json", [(CONTEXT, [question("q", "Who?", ("A dog", 24))])])
    windows = load(path, tokenizer)
    assert len(windows) == 3
    predicting = load(path, tokenizer, training=False)
    names = {f"cached_train_tiny_11_4_8_{purpose}.npz" for purpose in ("train", "predict")}
    assert {file.name for file in tmp_path.glob("*.npz")} == names
    monkeypatch.setattr(squad, "make_windows", None)
    assert load(path, tokenizer) == windows
    assert load(path, tokenizer, training=False) == predicting != windows


def test_cached_windows_of_other_data_or_settings_are_noticed(
    tmp_path: Path, tokenizer: ptbert.BertTokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    answerable = question("q", "Who?", ("A dog", 24), is_impossible=False)
    path = squad_file(tmp_path / "train.json", [(CONTEXT, [answerable])])
    load(path, tokenizer)
    load(path, tokenizer, with_negative=True)
    assert "out of date" in caplog.text
    squad_file(path, [("A dog ran.", [question("q", "Who?", ("A dog", 0))])])
    assert len(load(path, tokenizer)) == 1


def answer(
    tokenizer: ptbert.BertTokenizer,
    example: Example,
    windows: list[Window],
    peaks: list[dict[int, tuple[float, float]]],
    **options: Any,
) -> Predictions:
    """Predictions where only the given tokens of the windows have scores (start, end)."""
    scores = []
    for window, peak in zip(windows, peaks, strict=True):
        length = len(window.input_ids)
        starts, ends = [-10.0] * length, [-10.0] * length
        for token, (start, end) in peak.items():
            starts[token], ends[token] = start, end
        scores.append(Scores(starts, ends))
    return choose_answers(
        [example], windows, scores, tokenizer, AnswerOptions(**{"do_lower_case": True} | options)
    )


@pytest.fixture
def example() -> Example:
    """A question whose window is `[CLS] who ? [SEP] the cat sat on the mat . [SEP]`."""
    return Example("q", "Who?", ["The", "Cat", "sat", "on", "the", "mat."])


def test_answer_is_the_original_text_of_the_best_span(
    tokenizer: ptbert.BertTokenizer, example: Example
) -> None:
    windows = windows_of(tokenizer, example, 16, 8)
    predictions = answer(tokenizer, example, windows, [{4: (3.0, 0.0), 5: (1.0, 2.0)}])
    assert predictions.answers == {"q": "The Cat"}
    ranked = predictions.nbest["q"]
    assert [row["text"] for row in ranked[:3]] == ["The Cat", "The", "Cat"]
    assert ranked[0]["start_logit"] == 3.0
    assert ranked[0]["end_logit"] == 2.0
    assert sum(float(row["probability"]) for row in ranked) == pytest.approx(1.0)
    ratio = float(ranked[1]["probability"]) / float(ranked[0]["probability"])
    assert ratio == pytest.approx(math.exp(3.0 - 5.0))
    assert predictions.null_odds == {}


def test_impossible_spans_are_not_answers(
    tokenizer: ptbert.BertTokenizer, example: Example
) -> None:
    windows = windows_of(tokenizer, example, 16, 8)
    # In the question, ending before the start, and ending on the last [SEP].
    peaks = {1: (9.0, 9.0), 9: (6.0, -10.0), 8: (-10.0, 6.0), 11: (5.0, 5.0), 6: (1.0, 1.0)}
    predictions = answer(tokenizer, example, windows, [peaks], n_best_size=3)
    assert predictions.answers == {"q": "empty"}
    predictions = answer(tokenizer, example, windows, [peaks], n_best_size=4)
    assert predictions.answers == {"q": "sat on the"}


def test_long_spans_are_not_answers(tokenizer: ptbert.BertTokenizer, example: Example) -> None:
    windows = windows_of(tokenizer, example, 16, 8)
    peaks = [{4: (5.0, 0.0), 9: (0.0, 5.0)}]
    long = answer(tokenizer, example, windows, peaks, max_answer_length=6)
    assert long.answers == {"q": "The Cat sat on the mat"}
    short = answer(tokenizer, example, windows, peaks, max_answer_length=5)
    assert short.answers["q"] in ("The", "mat")


def test_answer_starts_where_its_context_is_largest(tokenizer: ptbert.BertTokenizer) -> None:
    example = Example("q", "Who?", CONTEXT[:-1].split())
    windows = windows_of(tokenizer, example, length=11, stride=4)
    # "the" is token 8 of the first window and token 4 of the second, where it has no context.
    peaks: list[dict[int, tuple[float, float]]] = [{8: (1.0, 1.0)}, {4: (9.0, 9.0)}, {}]
    predictions = answer(tokenizer, example, windows, peaks)
    assert predictions.nbest["q"][0]["text"] == "the"
    assert predictions.nbest["q"][0]["start_logit"] == 1.0


def test_nbest_has_no_text_twice_and_no_more_than_asked(
    tokenizer: ptbert.BertTokenizer,
) -> None:
    example = Example("q", "Who?", ["cat", "cat", "cat"])
    windows = windows_of(tokenizer, example, 16, 8)
    predictions = answer(tokenizer, example, windows, [{}], n_best_size=20)
    assert [row["text"] for row in predictions.nbest["q"]] == ["cat", "cat cat", "cat cat cat"]
    predictions = answer(tokenizer, example, windows, [{}], n_best_size=9, max_answer_length=2)
    assert len(predictions.nbest["q"]) == 2


@pytest.mark.parametrize(
    ("threshold", "expected"), [(0.0, ""), (2.9, ""), (3.0, "Cat"), (10.0, "Cat")]
)
def test_unanswerable_beyond_the_threshold(
    tokenizer: ptbert.BertTokenizer, example: Example, threshold: float, expected: str
) -> None:
    windows = windows_of(tokenizer, example, 16, 8)
    peaks = [{0: (4.0, 3.0), 5: (2.0, 2.0)}]
    predictions = answer(
        tokenizer,
        example,
        windows,
        peaks,
        with_negative=True,
        null_score_diff_threshold=threshold,
    )
    assert predictions.answers == {"q": expected}
    assert predictions.null_odds == {"q": 3.0}
    assert [row["text"] for row in predictions.nbest["q"][:2]] == ["", "Cat"]


def test_no_answer_counts_as_its_least_sure_window(tokenizer: ptbert.BertTokenizer) -> None:
    example = Example("q", "Who?", CONTEXT[:-1].split())
    windows = windows_of(tokenizer, example, length=11, stride=4)
    peaks = [{0: (5.0, 5.0)}, {0: (1.0, 0.0), 8: (2.0, 2.0)}, {0: (4.0, 4.0)}]
    predictions = answer(tokenizer, example, windows, peaks, with_negative=True)
    assert predictions.null_odds == {"q": -3.0}
    assert predictions.answers == {"q": "dog"}


def test_no_answer_is_always_among_the_nbest(
    tokenizer: ptbert.BertTokenizer, example: Example
) -> None:
    windows = windows_of(tokenizer, example, 16, 8)
    peaks = [{0: (-20.0, -20.0), 5: (2.0, 2.0)}]
    predictions = answer(tokenizer, example, windows, peaks, with_negative=True, n_best_size=2)
    assert predictions.nbest["q"][-1]["text"] == ""
    assert predictions.nbest["q"][-1]["start_logit"] == -20.0


@pytest.mark.parametrize(("with_negative", "expected"), [(False, "empty"), (True, "")])
def test_paragraph_without_words_has_no_answer(
    tokenizer: ptbert.BertTokenizer, with_negative: bool, expected: str
) -> None:
    example = Example("q", "Who?", [])
    predictions = answer(tokenizer, example, [], [], with_negative=with_negative)
    assert predictions.answers == {"q": expected}


@pytest.mark.parametrize(
    ("predicted", "source", "expected"),
    [
        ("cafe noir", '("Café Noir").', "Café Noir"),
        ("dog", "Dogs", "Dog"),
        ("1 , 500", "$1,500", "1,500"),
        ("bird", "The cat", "The cat"),
        # U+FB01 is one character here, and still one after lower-casing and accents.
        ("\ufb01lm", "A \ufb01lm.", "\ufb01lm"),
        # A character that normalising removes shifts all that follow: no alignment.
        ("cat", "The\u200b cat.", "The\u200b cat."),
    ],
)
def test_align_finds_the_original_text(predicted: str, source: str, expected: str) -> None:
    assert align(predicted, source, AnswerOptions(do_lower_case=True)) == expected


@pytest.mark.parametrize(
    ("predicted", "source", "message"),
    [
        ("bird", "The cat", "The answer is not in the text: 'bird' in 'The cat'."),
        ("cat", "A\x07 cat.", "Normalising changed the number of characters: 'cat' in"),
    ],
)
def test_verbose_logging_tells_what_cannot_be_aligned(
    predicted: str, source: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    align(predicted, source, AnswerOptions(do_lower_case=True))
    assert caplog.text == ""
    align(predicted, source, AnswerOptions(do_lower_case=True, verbose_logging=True))
    assert message in caplog.text


def test_predictions_are_written_as_json(tmp_path: Path) -> None:
    nbest: dict[str, Any] = {
        "q": [{"text": "cat", "probability": 1.0, "start_logit": 2.0, "end_logit": 1.0}]
    }
    Predictions({"q": "cat"}, nbest).write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "nbest_predictions.json",
        "predictions.json",
    ]
    assert (tmp_path / "predictions.json").read_text() == '{\n    "q": "cat"\n}\n'
    assert json.loads((tmp_path / "nbest_predictions.json").read_text()) == nbest
    Predictions({"q": ""}, nbest, {"q": 1.5}).write(tmp_path)
    assert json.loads((tmp_path / "null_odds.json").read_text()) == {"q": 1.5}
