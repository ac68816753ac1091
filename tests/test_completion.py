"""The scripts of `langarith completion`: what TAB offers in bash; no shell lacks a command."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from langarith import cli

ASK = """
source ./script
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
_shtab_langarith langarith "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def tab(tmp_path, monkeypatch, capsys):
    """Asks bash what TAB offers after some words."""
    monkeypatch.chdir(tmp_path)
    assert cli.main(["completion", "bash"]) == 0
    Path("script").write_text(capsys.readouterr().out)

    def offered(*words: str) -> set[str]:
        command = ["bash", "--norc", "-c", ASK, "bash", "langarith", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return set(done.stdout.split())

    return offered


def test_tab_completes_commands_options_and_files(tab):
    Path("study.yaml").touch()
    assert tab("au") == {"audit"}
    assert {"check", "completion", "convert"} == tab("c")
    assert tab("audit", "") >= {"verify", "explain", "diff"}
    assert tab("export", "--la") == {"--lambda"}
    assert tab("check", "stu") == {"study.yaml"}
    assert tab("completion", "") >= {"bash", "zsh", "fish"}


@pytest.mark.parametrize("shell", cli.SHELLS)
def test_every_command_is_in_the_script_of_every_shell(shell, capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    commands = re.search(r"\{([\w,]+)\}", capsys.readouterr().out)[1].split(",")
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in [*commands, "explain", "lambda"]:
        assert re.search(rf"\b{word}\b", script), word
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)
