"""`langarith convert` of a file of TyDiQA-GoldP, which holds all languages: one file for each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from langarith.data.readers import parse_json, read_lines
from langarith.errors import InputError
from langarith.files import refuse_existing, whole_folder

CODES = {
    "arabic": "ar",
    "bengali": "bn",
    "english": "en",
    "finnish": "fi",
    "indonesian": "id",
    "japanese": "ja",
    "korean": "ko",
    "russian": "ru",
    "swahili": "sw",
    "telugu": "te",
    "thai": "th",
}
"""Beginnings of the ids of questions (`arabic-2387335860751143628-1`) → codes of languages."""


def convert(file: Path, to: Path) -> list[str]:
    """Write `{to}/{code}.json` for each language of a file, with its entries as they are.

    Args:
        file: SQuAD JSON whose ids begin with the names of languages (Clark et al. 2020, arXiv
            2003.05002, the gold passage task).
        to: a folder that does not exist, or is empty.

    Returns:
        A line for each language: its file and how many questions it holds.

    Raises:
        InputError: the file is no SQuAD JSON, an id names no language of TyDiQA, or `to` holds
            files.
    """
    refuse_existing(to)
    content = parse_json("\n".join(line for _, line in read_lines(file)), file, "the file")
    counts: Counter[str] = Counter()
    articles: dict[str, list[Any]] = {}
    try:
        for article in content["data"]:
            for code, part in _parts(article, file):
                articles.setdefault(code, []).append(part)
                counts[code] += sum(len(paragraph["qas"]) for paragraph in part["paragraphs"])
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{file}: no SQuAD JSON (data → paragraphs → qas → id); give a file of TyDiQA-GoldP"
        ) from error
    if not articles:
        raise InputError(f"{file} holds no question; give a file of TyDiQA-GoldP")
    with whole_folder(to) as staging:
        for code, own in articles.items():
            text = json.dumps({**content, "data": own}, ensure_ascii=False)
            (staging / f"{code}.json").write_text(text + "\n", encoding="utf-8")
    return [f"{to / code}.json: {counts[code]:,} questions" for code in sorted(articles)]


def _parts(article: dict[str, Any], file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """An article for each language of its questions, with the paragraphs that ask in it."""
    asked = [
        [(_code(question["id"], file), question) for question in paragraph["qas"]]
        for paragraph in article["paragraphs"]
    ]
    for code in dict.fromkeys(code for of in asked for code, _ in of):
        paragraphs = [
            {**paragraph, "qas": own}
            for paragraph, of in zip(article["paragraphs"], asked, strict=True)
            if (own := [question for found, question in of if found == code])
        ]
        yield code, {**article, "paragraphs": paragraphs}


def _code(identity: str, file: Path) -> str:
    name = identity.partition("-")[0]
    if name not in CODES:
        raise InputError(
            f"{file}: the id '{identity}' begins with no language of TyDiQA ({', '.join(CODES)}); "
            "a file of one language needs no conversion"
        )
    return CODES[name]
