"""Folders of tiny models, and small data files, for the tests of the example scripts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import ptbert
from ptbert.tokenization_gpt2 import bytes_to_unicode

TOKENS = """
[PAD] [UNK] [CLS] [SEP] [MASK] the a cat dog bird sat ran on mat good bad ##s ##ing play who
where ? . , ( ) is was very film cafe noir lemon - flavour ##ed in park tree it dull fine
"""
VOCABULARY = TOKENS.split()


def tiny_bert(dropout: float = 0.0) -> ptbert.BertConfig:
    """Hidden size 32, 2 layers, 4 heads, weights large enough to tell inputs apart."""
    return ptbert.BertConfig(
        len(VOCABULARY),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        max_position_embeddings=64,
        initializer_range=0.2,
    )


def write_model(folder: Path, dropout: float = 0.0) -> Path:
    """A folder with random weights of hidden size 32, always the same, and the vocabulary."""
    folder.mkdir(parents=True, exist_ok=True)
    config = tiny_bert(dropout)
    torch.manual_seed(1)
    model = ptbert.BertForPreTraining(config)
    torch.save(model.state_dict(), folder / ptbert.WEIGHTS_NAME)
    config.to_json_file(str(folder / ptbert.CONFIG_NAME))
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    return folder


def write_gpt2(folder: Path, **fields: Any) -> Path:
    """A folder with a GPT-2 of random weights, always the same; each byte is a token, and a few
    words are."""
    merges = ["t h", "th e", "Ġ the", "Ġ c", "Ġc a", "Ġca t"]
    tokens = [*bytes_to_unicode().values(), *(merge.replace(" ", "") for merge in merges)]
    return _write_gpt(folder, "GPT2", [*tokens, "<|endoftext|>"], merges, fields)


def write_gpt(folder: Path, **fields: Any) -> Path:
    """A folder with a GPT of random weights, always the same; each letter is a token, and a few
    words are."""
    letters = "abcdefghijklmnopqrstuvwxyz.,!?'"
    merges = ["t h", "th e</w>", "c a", "ca t</w>", "n o", "no t</w>", "d o</w>"]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters)]
    tokens += [merge.replace(" ", "") for merge in merges]
    return _write_gpt(folder, "OpenAIGPT", ["<unk>", *tokens], merges, {"afn": "gelu", **fields})


def write_transfo_xl(folder: Path) -> Path:
    """A folder with a Transformer-XL of random weights, always the same, and a few words."""
    tokenizer = ptbert.TransfoXLTokenizer(special=["<unk>", "<eos>"])
    tokenizer.count_sents([VOCABULARY[5:]])
    tokenizer.build_vocab()
    config = ptbert.TransfoXLConfig(
        len(tokenizer.idx2sym),
        cutoffs=[12, 25],
        div_val=2,
        d_model=32,
        d_embed=32,
        n_head=4,
        d_head=8,
        d_inner=64,
        n_layer=2,
        tgt_len=6,
        mem_len=8,
        init_std=0.2,
        proj_init_std=0.2,
    )
    torch.manual_seed(1)
    ptbert.TransfoXLLMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _write_gpt(
    folder: Path, family: str, tokens: list[str], merges: list[str], fields: dict[str, Any]
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {"n_positions": 64, "n_ctx": 64, "n_embd": 32, "n_layer": 2, "n_head": 4}
    dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    known = {**sizes, **dropout, "initializer_range": 0.2, **fields}
    config = getattr(ptbert, f"{family}Config")(len(tokens), **known)
    torch.manual_seed(1)
    model = getattr(ptbert, f"{family}LMHeadModel")(config)
    torch.save(model.state_dict(), folder / ptbert.WEIGHTS_NAME)
    config.to_json_file(str(folder / ptbert.CONFIG_NAME))
    vocabulary = {token: number for number, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    write_lines(folder / "merges.txt", ["#version: 0.2", *merges])
    return folder


def load_tokenizer(folder: Path, do_lower_case: bool = True) -> ptbert.BertTokenizer:
    """The tokenizer of a model folder."""
    tokenizer = ptbert.BertTokenizer.from_pretrained(str(folder), do_lower_case=do_lower_case)
    assert tokenizer is not None
    return tokenizer


def ids(text: str) -> list[int]:
    """Ids of tokens with spaces between."""
    return [VOCABULARY.index(token) for token in text.split()]


def files_of(output: Path) -> list[str]:
    """The names of the files in a folder, but the pictures that are drawn where matplotlib is."""
    return sorted(path.name for path in output.iterdir() if path.stem != "training_curves")


def write_lines(path: Path, lines: Sequence[str]) -> Path:
    """A text file of these lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def write_sst2(folder: Path, repeat: int = 8) -> Path:
    """An SST-2 folder where every good film is good; longer and shorter sentences."""
    lines = []
    for number in range(repeat):
        padding = " ".join(["very"] * (number % 5))
        lines += [f"the film is {padding} good\t1", f"a bad film {padding}\t0"]
    write_lines(folder / "train.tsv", ["sentence\tlabel", *lines])
    write_lines(folder / "dev.tsv", ["sentence\tlabel", *lines[:6]])
    return folder


def squad_file(path: Path, paragraphs: Sequence[tuple[str, list[dict[str, Any]]]]) -> Path:
    """A SQuAD file of one article; paragraphs are contexts with their questions."""
    article = {
        "title": "Test",
        "paragraphs": [{"context": context, "qas": questions} for context, questions in paragraphs],
    }
    path.write_text(json.dumps({"version": "test", "data": [article]}), encoding="utf-8")
    return path


def question(id: str, text: str, *answers: tuple[str, int], **fields: Any) -> dict[str, Any]:
    """A question; answers are texts with the character where they start."""
    found = [{"text": answer, "answer_start": start} for answer, start in answers]
    return {"id": id, "question": text, "answers": found, **fields}
