"""SQuAD files as they are in the wild: a right example, or an error that names the question."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import ptbert
import squad_evaluate
from examples_support import ids, load_tokenizer, question, squad_file, write_model
from squad import WindowMaker, WindowOptions
from squad_answers import AnswerOptions, Predictions, Scores, choose_answers
from squad_examples import Example, read_examples
from squad_reader import read_questions

CONTEXT = "The cat sat on the mat. A dog ran in the park."
PLACE = "data[1] (Chats), paragraphs[0]"
Record = dict[str, Any]


@pytest.fixture
def tokenizer(tmp_path: Path) -> ptbert.BertTokenizer:
    """A lower-casing tokenizer."""
    return load_tokenizer(write_model(tmp_path / "model"))


def write(path: Path, paragraph: Any) -> Path:
    """A file whose second article, with the title Chats, has this paragraph."""
    articles = [{"title": "Empty", "paragraphs": []}, {"title": "Chats", "paragraphs": [paragraph]}]
    path.write_text(json.dumps({"data": articles}), encoding="utf-8")
    return path


def write_answer(path: Path, context: str, text: str, start: object) -> Path:
    """A file with one question and one answer."""
    answers = [{"text": text, "answer_start": start}]
    return write(
        path,
        {"context": context, "qas": [{"id": "q1", "question": "Who?", "answers": answers}]},
    )


def read(path: Path, *, training: bool = True, with_negative: bool = False) -> list[Example]:
    return read_examples(path, training=training, with_negative=with_negative)


def without(record: Record, key: str) -> Record:
    return {name: value for name, value in record.items() if name != key}


@pytest.mark.parametrize("space", ["\xa0", "\u202f", "\u3000", "\u2009", "\u2028", "\x0b", "\x85"])
def test_answers_with_unicode_spaces_are_learnt(tmp_path: Path, space: str) -> None:
    context = f"Le chat a{space}1{space}000 amis."
    for answer in (f"1{space}000", "1 000", "1\xa0000"):
        path = write_answer(tmp_path / "train.json", context, answer, 10)
        (example,) = read(path)
        assert "1" in example.words[example.start]
        assert "000" in example.words[example.end]


def test_windows_of_texts_with_unicode_spaces_are_those_of_plain_spaces(
    tmp_path: Path, tokenizer: ptbert.BertTokenizer
) -> None:
    windows = []
    for space in " \xa0\u202f\u3000":
        context = CONTEXT.replace(" ", space)
        path = write_answer(tmp_path / "train.json", context, f"A{space}dog", 24)
        (example,) = read(path)
        (window,) = WindowMaker(tokenizer, WindowOptions(32, 8, 8))(0, example)
        windows.append((window.input_ids, window.start, window.end))
    assert windows == [windows[0]] * 4
    first = windows[0]
    assert first[0][first[1] : first[2] + 1] == ids("a dog")


def test_predicted_answers_keep_their_unicode_spaces(tokenizer: ptbert.BertTokenizer) -> None:
    # One word as 2019 splits words; the answer is two of its three tokens.
    example = Example("q", "Who?", ["The\xa0Cat\u3000sat."])
    (window,) = WindowMaker(tokenizer, WindowOptions(16, 8, 8))(0, example)
    length = len(window.input_ids)
    scores = Scores([-9.0] * length, [-9.0] * length)
    scores.start[4] = scores.end[5] = 3.0
    predictions = choose_answers(
        [example], [window], [scores], tokenizer, AnswerOptions(do_lower_case=True)
    )
    assert predictions.answers == {"q": "The\xa0Cat"}


def test_halves_of_surrogate_pairs_have_no_token(
    tmp_path: Path, tokenizer: ptbert.BertTokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    context = "The \ud83d cat\udc31 sat. \U0001f431"
    answers = [{"text": "cat\udc31 sat", "answer_start": 6}]
    asked = {"id": "q\ud83d", "question": "Who\ud83d?", "answers": answers}
    path = write(tmp_path / "train.json", {"context": context, "qas": [asked]})
    (example,) = read(path)
    (window,) = WindowMaker(tokenizer, WindowOptions(16, 8, 8))(0, example)
    expected = ids("[CLS] who ? [SEP] the cat sat . [UNK] [SEP]")
    assert window.input_ids == expected
    assert (window.start, window.end) == (5, 6)
    assert "hold U+FFFD, or half of a surrogate pair" in caplog.text
    Predictions({example.id: example.words[2]}).write(tmp_path)
    assert json.loads((tmp_path / "predictions.json").read_text()) == {"q\ud83d": "cat\ufffd"}


QUESTION = {"id": "q1", "question": "Who sat?", "answers": [{"text": "cat", "answer_start": 4}]}


@pytest.mark.parametrize(
    ("paragraph", "message"),
    [
        ({"qas": [QUESTION]}, "paragraphs[0]: `context` must be given, but the keys are `qas`."),
        ({"context": CONTEXT}, "paragraphs[0]: `qas` must be given, but the keys are `context`."),
        (
            {"context": CONTEXT, "qas": [without(QUESTION, "id")]},
            "qas[0]: `id` must be given, but the keys are `question`, `answers`.",
        ),
        (
            {"context": CONTEXT, "qas": [without(QUESTION, "question")]},
            "qas[0] (q1): `question` must be given, but the keys are `id`, `answers`.",
        ),
        (
            {"context": CONTEXT, "qas": [without(QUESTION, "answers")]},
            "qas[0] (q1): `answers` must be a list for training, but is none.",
        ),
        (
            {"context": CONTEXT, "qas": [QUESTION | {"answers": [{"answer_start": 4}]}]},
            "qas[0] (q1), answers[0]: `text` must be given, but the keys are `answer_start`.",
        ),
        (
            {"context": CONTEXT, "qas": [QUESTION | {"answers": [{"text": "cat"}]}]},
            "qas[0] (q1), answers[0]: `answer_start` must be given, but the keys are `text`.",
        ),
    ],
)
def test_missing_keys_are_named_with_article_and_question(
    tmp_path: Path, paragraph: Record, message: str
) -> None:
    path = write(tmp_path / "train.json", paragraph)
    with pytest.raises(ValueError) as error:
        read(path)
    assert str(error.value).startswith(f"{path}, data[1] (Chats), paragraphs[0]")
    assert str(error.value).endswith(message)


def test_missing_paragraphs_are_named_with_the_article(tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    path.write_text(json.dumps({"data": [{"title": "Chats"}]}))
    with pytest.raises(ValueError) as error:
        read(path)
    message = "data[0] (Chats): `paragraphs` must be given, but the keys are `title`."
    assert str(error.value) == f"{path}, {message}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"context": None}, ": `context` (null) must be a text."),
        ({"context": ["The cat"]}, ': `context` (["The cat"]) must be a text.'),
        ({"qas": {"id": "q"}}, ': `qas` ({"id": "q"}) must be a list.'),
        ({"qas": ["Who?"]}, ', qas[0] ("Who?") must be an object.'),
        ({"question": None}, ", qas[0] (q1): `question` (null) must be a text."),
        ({"question": 2019}, ", qas[0] (q1): `question` (2019) must be a text."),
        ({"id": None}, ", qas[0]: `id` (null) must be a text or a whole number."),
        ({"answers": {"text": ["cat"]}}, '(q1): `answers` ({"text": ["cat"]}) must be a list.'),
        ({"answers": ["cat"]}, ', qas[0] (q1), answers[0] ("cat") must be an object.'),
        ({"answers": [{"text": None}]}, "(q1), answers[0]: `text` (null) must be a text."),
        ({"is_impossible": "no"}, '(q1): `is_impossible` ("no") must be true or false.'),
    ],
)
def test_values_of_another_kind_are_named_with_article_and_question(
    tmp_path: Path, changes: Record, message: str
) -> None:
    asked = QUESTION | {key: value for key, value in changes.items() if key in QUESTION}
    asked |= {key: value for key, value in changes.items() if key == "is_impossible"}
    paragraph = {"context": CONTEXT, "qas": [asked]}
    paragraph |= {key: value for key, value in changes.items() if key in paragraph}
    path = write(tmp_path / "train.json", paragraph)
    for training in (True, False):
        with pytest.raises(ValueError) as error:
            read(path, training=training)
        assert str(error.value).startswith(f"{path}, {PLACE}")
        assert str(error.value).endswith(message)


@pytest.mark.parametrize("start", ["4", " 4 ", 4.0])
def test_answer_start_may_be_written_as_text_or_with_a_fraction(
    tmp_path: Path, start: object
) -> None:
    (example,) = read(write_answer(tmp_path / "train.json", CONTEXT, "cat sat", start))
    assert (example.start, example.end) == (1, 2)


@pytest.mark.parametrize("start", ["four", "", 4.5, None, True, [4]])
def test_answer_start_that_is_no_whole_number_is_refused(tmp_path: Path, start: object) -> None:
    path = write_answer(tmp_path / "train.json", CONTEXT, "cat", start)
    with pytest.raises(ValueError) as error:
        read(path)
    rule = f"`answer_start` ({json.dumps(start)}) must be a whole number."
    assert str(error.value) == f"{path}, {PLACE}, qas[0] (q1), answers[0]: {rule}"
    # Only training needs it.
    assert len(read(path, training=False)) == 1
    assert squad_evaluate.evaluate(read_questions(path), {"q1": "cat"})["f1"] == 100.0


def test_answers_in_white_space_around_the_paragraph_are_learnt(tmp_path: Path) -> None:
    (example,) = read(write_answer(tmp_path / "train.json", "  The cat", "  The", 0))
    assert (example.start, example.end) == (0, 0)
    (example,) = read(write_answer(tmp_path / "train.json", "  The cat", "cat \n", 6))
    assert (example.start, example.end) == (1, 1)


def test_file_whose_answers_all_stand_elsewhere_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_answer(tmp_path / "train.json", CONTEXT, "A dog", 0)
    with pytest.raises(ValueError, match="holds no question whose answer stands in its text"):
        read(path)
    assert f"{PLACE}, qas[0] (q1), answers[0]: the text at `answer_start` (0) is" in caplog.text


def test_first_of_several_answers_in_the_text_is_learnt_with_a_note(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked = question("q1", "Who?", ("A dog", 0), ("The cat", 0), ("cat", 4))
    path = squad_file(tmp_path / "train.json", [(CONTEXT, [asked])])
    (example,) = read(path)
    assert (example.answer, example.start, example.end) == ("The cat", 0, 1)
    assert "train.json: 1 questions have several answers: the first in the text" in caplog.text
    assert "(q1)" in caplog.text


def test_empty_answers_without_is_impossible_are_unanswerable_in_version_2(tmp_path: Path) -> None:
    path = squad_file(tmp_path / "train.json", [(CONTEXT, [question("q1", "Who flew?")])])
    (example,) = read(path, with_negative=True)
    assert not example.has_answer
    with pytest.raises(ValueError, match=r"\(q1\): `answers` \(\[\]\) must hold an answer"):
        read(path)


def test_empty_answers_of_an_answerable_question_are_refused(tmp_path: Path) -> None:
    asked = question("q1", "Who?", is_impossible=False)
    path = squad_file(tmp_path / "train.json", [(CONTEXT, [asked])])
    with pytest.raises(ValueError, match=r"must hold an answer .*; `is_impossible` is false\."):
        read(path, with_negative=True)


def test_answers_of_an_impossible_question_are_not_learnt_with_a_note(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked = [
        question("q1", "Who?", ("", -1), is_impossible=True),
        question("q2", "Who?", ("cat", 4), is_impossible="True"),
    ]
    path = squad_file(tmp_path / "train.json", [(CONTEXT, asked)])
    assert [example.has_answer for example in read(path, with_negative=True)] == [False, False]
    assert "1 questions have answers and `is_impossible`" in caplog.text
    assert "qas[1] (q2)" in caplog.text


def test_duplicate_ids_of_different_questions_are_refused_where_answers_are_written(
    tmp_path: Path,
) -> None:
    asked = [question("q1", "Who?", ("cat", 4)), question("q1", "What?", ("mat", 19))]
    path = squad_file(tmp_path / "dev.json", [(CONTEXT, asked)])
    assert len(read(path)) == 2
    message = (
        r"qas\[1\] \(q1\): `id` \(q1\) must not be that of another question, but is that of .*"
    )
    with pytest.raises(ValueError, match=message + r"qas\[0\] \(q1\) too\."):
        read(path, training=False)
    with pytest.raises(ValueError, match=message):
        squad_evaluate.evaluate(read_questions(path), {"q1": "cat"})


def test_duplicate_ids_of_the_same_question_share_their_answer(tmp_path: Path) -> None:
    asked = [question("q1", "Who?", ("cat", 4)), question("q1", "Who?", ("cat", 4))]
    path = squad_file(tmp_path / "dev.json", [(CONTEXT, asked)])
    assert len(read(path, training=False)) == 2


def test_ids_that_are_numbers_are_those_of_the_result_files(tmp_path: Path) -> None:
    asked = question("q1", "Who?", ("cat", 4)) | {"id": 17}
    path = squad_file(tmp_path / "dev.json", [(CONTEXT, [asked])])
    (example,) = read(path, training=False)
    assert example.id == "17"
    Predictions({example.id: "cat"}).write(tmp_path)
    answers = json.loads((tmp_path / "predictions.json").read_text())
    assert squad_evaluate.evaluate(read_questions(path), answers)["exact_match"] == 100.0


def test_impossible_questions_without_answers_are_scored(tmp_path: Path) -> None:
    asked = without(question("q1", "Who?", is_impossible=True), "answers")
    path = squad_file(tmp_path / "dev.json", [(CONTEXT, [asked])])
    assert squad_evaluate.evaluate(read_questions(path), {"q1": ""})["NoAns_exact"] == 100.0


def test_byte_order_mark_before_the_json_is_read_over(tmp_path: Path) -> None:
    path = squad_file(tmp_path / "dev.json", [(CONTEXT, [question("q1", "Who?", ("cat", 4))])])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(read(path)) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"data": [\n{"title": "x', "{path} is not a SQuAD file: Unterminated string starting"),
        (b'{"data": {"title": ""}}', "{path} is not a SQuAD file: there is no list `data` of"),
        (
            b'{"data":\n["caf\xe9"]}',
            "{path}, line 2: the text must be UTF-8, but has the byte 0xe9",
        ),
        (b'{"data": [3]}', "{path}, data[0] (3) must be an object."),
    ],
)
def test_files_that_are_not_squad_are_named_in_one_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "train.json"
    path.write_bytes(content)
    with pytest.raises(ValueError) as error:
        read(path)
    assert str(error.value).startswith(message.replace("{path}", str(path)))
    assert len(str(error.value)) < len(str(path)) + 120


@pytest.mark.parametrize(
    ("flag", "content", "message"),
    [
        ("", "[]", "predictions.json must hold one object with the question ids as keys."),
        ("", '{"q1": null}', "predictions.json: the value of question `q1` (null) must be a text."),
        ("", "", "predictions.json is not a JSON file: Expecting value"),
        ("--null_odds_file", '{"q1": NaN}', "question `q1` (NaN) must be a finite number."),
        ("--null_odds_file", '{"q1": "1"}', 'question `q1` ("1") must be a finite number.'),
        (
            "--nbest_file",
            '{"q1": [{}]}',
            "question `q1` ([{}]) must be a list of objects with `text`.",
        ),
    ],
)
def test_result_files_with_wrong_values_are_named(
    tmp_path: Path, flag: str, content: str, message: str
) -> None:
    asked = question("q1", "Who?", ("cat", 4), is_impossible=False)
    data = squad_file(tmp_path / "dev.json", [(CONTEXT, [asked])])
    predictions, other = tmp_path / "predictions.json", tmp_path / "other.json"
    predictions.write_text('{"q1": "cat"}' if flag else content)
    other.write_text(content)
    with pytest.raises(ValueError) as error:
        squad_evaluate.main([str(data), str(predictions), *([flag, str(other)] if flag else [])])
    assert message in str(error.value)


def test_odds_that_cannot_be_used_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    version_1 = question("q1", "Who?", ("cat", 4))
    path = squad_file(tmp_path / "dev.json", [(CONTEXT, [version_1])])
    squad_evaluate.evaluate(read_questions(path), {"q1": "cat"}, {"q1": 1.0})
    assert "No question has `is_impossible`: the odds of no answer are not used." in caplog.text
    squad_file(path, [(CONTEXT, [version_1 | {"is_impossible": False}])])
    metrics = squad_evaluate.evaluate(read_questions(path), {"q1": "cat"}, {"other": 1.0})
    assert "1 of 1 questions have no odds." in caplog.text
    assert "best_exact" not in metrics


def test_odds_of_an_earlier_run_do_not_stay_beside_new_answers(tmp_path: Path) -> None:
    Predictions({"q": ""}, null_odds={"q": 1.5}).write(tmp_path)
    Predictions({"q": "cat"}).write(tmp_path)
    assert not (tmp_path / "null_odds.json").exists()
