"""`langarith convert` on TyDiQA's file of all languages, read back as the task reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from langarith import cli, tasks
from langarith.errors import gathered_warnings

SWAHILI, RUSSIAN = "Jina lake ni Ana.", "Её зовут Ана."


def article(context: str, answer: str, *ids: str) -> dict[str, Any]:
    start = len(context[: context.index(answer)].encode())  # in bytes, as TyDiQA has it
    answers = [{"text": answer, "answer_start": start}]
    qas = [{"id": name, "question": "?" + name, "answers": answers} for name in ids]
    return {"paragraphs": [{"context": context, "qas": qas}]}


def write(*articles: dict[str, Any]) -> Path:
    path = Path("tydiqa-goldp-v1.1-dev.json")
    path.write_text(json.dumps({"version": "1.1", "data": articles}), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_each_language_gets_a_file_that_the_task_reads(
    capsys: pytest.CaptureFixture[str],
) -> None:
    mixed = article(RUSSIAN, "Ана", "russian-3-0", "swahili-9-0")
    path = write(
        article(SWAHILI, "Ana", "swahili-1-0"), article(RUSSIAN, "Ана", "russian-2-0"), mixed
    )
    assert cli.main(["convert", str(path), "--to", "data/qa"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "data/qa/ru.json: 2 questions",
        "data/qa/sw.json: 2 questions",
    ]
    assert sorted(file.name for file in Path("data/qa").iterdir()) == ["ru.json", "sw.json"]
    assert json.loads(Path("data/qa/ru.json").read_text())["version"] == "1.1"
    with gathered_warnings(lambda _: None) as warnings:
        examples = tasks.get("qa").read(Path("data/qa/ru.json"))
    assert "its answer starts count bytes" in str(warnings[0])
    assert [(e.id, e.answers) for e in examples] == [
        ("russian-2-0", ("Ана",)),
        ("russian-3-0", ("Ана",)),
    ]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (article(SWAHILI, "Ana", "q1"), "the id 'q1' begins with no language of TyDiQA"),
        ({"paragraphs": [{"context": "a"}]}, "no SQuAD JSON"),
        ({"paragraphs": []}, "holds no question"),
    ],
)
def test_other_files_are_one_sentence(
    content: dict[str, Any], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(content)
    assert cli.main(["convert", str(path), "--to", "new"]) == 1
    assert sentence in capsys.readouterr().err and not Path("new").exists()


def test_labels_belong_to_adapters(capsys: pytest.CaptureFixture[str]) -> None:
    path = write(article(SWAHILI, "Ana", "swahili-1-0"))
    assert cli.main(["convert", str(path), "--to", "new", "--labels", "O"]) == 1
    assert "--labels is only for an adapter's folder" in capsys.readouterr().err
