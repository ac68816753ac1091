"""Names on the Hugging Face hub, and where its files are stored locally.

No network; imports in milliseconds, because the study imports it. `hub_download` downloads.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from langarith.errors import InputError, did_you_mean

FOLDER = "resources/hub"


SHARD_TABLE = Path(__file__).with_name("hub_shards.yaml")


Kind = Literal["models", "datasets"]


LOCK_COMMENT = """\
Commits of the Hugging Face hub, to which `snakemake lock_revisions` resolved the
branches that the study names. Jobs use only these; a branch without a line here is
resolved again."""


_COMMIT = re.compile(r"^[0-9a-f]{40}$")


_REPOSITORY = re.compile(r"^[\w.-]+/[\w.-]+$")


def is_commit(revision: str) -> bool:
    """Whether a revision is a full commit hash, whose files never change."""
    return bool(_COMMIT.match(revision))


def is_repository(name: str) -> bool:
    """Whether a name has the form `owner/name`."""
    return bool(_REPOSITORY.match(name))


def local_file(kind: Kind, repository: str, revision: str, file: str) -> str:
    """The path of one file of a repository once it is downloaded.

    `resources/hub/{models|datasets}/{owner}/{name}/{revision}/{file}`; the slash of a branch like
    refs/convert/parquet is written %2F there, so that a revision is one folder.
    """
    return f"{FOLDER}/{kind}/{repository}/{revision.replace('/', '%2F')}/{file}"


def lock_key(kind: Kind, repository: str, revision: str) -> str:
    """The key of a branch or tag in the lock file of revisions: `datasets/owner/name@main`."""
    return f"{kind}/{repository}@{revision}"


@cache
def shard_table() -> dict[str, dict[str, Any]]:
    """The committed table of shards: repository -> revision, number of shards by configuration."""
    table: dict[str, dict[str, Any]] = yaml.safe_load(SHARD_TABLE.read_text(encoding="utf-8"))
    return table


def shard_count(repository: str, config: str) -> int:
    """The number of shards of a configuration of a corpus, from the committed table.

    Raises:
        InputError: the table has no such row.
    """
    known = shard_table().get(repository, {}).get("shards", {})
    if config not in known:
        hint = did_you_mean(config, known) if known else ""
        raise InputError(
            f"the table of shards has no row for configuration '{config}' of {repository}{hint}; "
            f"add it with `langarith shards {repository} {config}`"
        )
    return int(known[config])


def shard_files(repository: str, config: str) -> list[str]:
    """The files of a configuration's training split, in order.

    Raises:
        InputError: the table of shards has no such row.
    """
    count = shard_count(repository, config)
    return [f"{config}/train-{i:05d}-of-{count:05d}.parquet" for i in range(count)]
