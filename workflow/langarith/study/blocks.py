"""Parts of the schema of a study: blocks that refuse unknown keys, truth values, paths."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from langarith.data import hub
from langarith.errors import did_you_mean
from langarith.study.mistakes import short_text

_HUB_ADAPTER = re.compile(r"(\w[\w.-]*/[\w.-]+)@(.+)")


def hub_adapter(place: str) -> tuple[str, str] | None:
    """Repository and revision of an adapter on the hub, `owner/name@revision`; None for a folder.

    A folder whose path has this form needs `./` before it.
    """
    on_hub = _HUB_ADAPTER.fullmatch(place)
    return (on_hub[1], on_hub[2]) if on_hub else None


_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


def _true_or_false(value: Any) -> Any:
    # pydantic itself would also take yes, no, on, off, 1 and 0; --config gives words
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise ValueError(f"write true or false instead of {value!r}")


Bool = Annotated[bool, BeforeValidator(_true_or_false)]

Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""The range that the generators of Python, numpy and torch all accept."""


def expanded_path(path: str) -> str:
    """A path with `~` and `$VARIABLE` expanded.

    Raises:
        ValueError: a variable that is not set, a user that does not exist.
    """
    for match in _VARIABLE.finditer(path):
        name = match[1] or match[2]
        if name not in os.environ:
            raise ValueError(f"the environment variable ${name} is not set; set it or write a path")
    expanded = os.path.expanduser(os.path.expandvars(path))
    if expanded.startswith("~"):
        raise ValueError(f"no user has the home folder {path.partition('/')[0]}; write a path")
    return expanded


def _each(check: Callable[[str], str]) -> AfterValidator:
    """A check of a text, or of each text of a list; values of other types pass."""

    def checked(value: Any) -> Any:
        if isinstance(value, list):
            return [check(text) for text in value]
        return check(value) if isinstance(value, str) else value

    return AfterValidator(checked)


def _placeholders(*known: str) -> AfterValidator:
    def check(pattern: str) -> str:
        for name in re.findall(r"{([^{}]*)}", pattern):
            if name not in known:
                words = " or ".join(f"{{{word}}}" for word in known)
                raise ValueError(
                    f"'{pattern}' has {{{name}}}; braces mean placeholders, write {words}"
                )
        return pattern

    return _each(check)


Expanded = _each(expanded_path)
"""For paths on this machine: `~` and `$VARIABLE` are expanded."""

OfLanguage = _placeholders("language")
"""For paths that may have {language} in them."""

OfSplit = _placeholders("language", "split")
"""For paths that may have {language} and {split} in them."""

LocalPath = Annotated[str, Expanded]


def _own_folder(path: str) -> str:
    if set(path) & set("{}"):
        raise ValueError(
            f"'{path}' has braces, which mean placeholders; name a folder without them"
        )
    if path != path.strip():
        raise ValueError(f"{path!r} begins or ends with a space; name a folder without")
    return path


OwnFolder = Annotated[LocalPath, AfterValidator(_own_folder), Field(min_length=1)]
"""A folder that the workflow writes to: a part of its path patterns."""


def adapter_place(place: str) -> str:
    return place if hub_adapter(place) else expanded_path(place)


class Strict(BaseModel):
    """A block of the study that refuses unknown keys and keys without effect in it."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)

    what: ClassVar[str] = ""
    """The name of the block in messages about keys that only its siblings have."""

    @model_validator(mode="wrap")
    @classmethod
    def _known_keys(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Refuse unknown keys and unfit values, together with all other mistakes."""
        if not isinstance(values, Mapping):
            return handler(values)
        known = {f.alias or name for name, f in cls.model_fields.items()}
        unknown = [
            InitErrorDetails(type=_refused(cls._refusal(str(k), known)), input=values)
            for k in values
            if k not in known
        ]
        errors = [*unknown, *cls._unfit_values(values)]
        if not errors:
            return handler(values)
        try:
            handler({k: v for k, v in values.items() if k in known})
        except ValidationError as error:
            errors += map(_detail, error.errors())
        raise ValidationError.from_exception_data(cls.__name__, errors)

    @classmethod
    def _unfit_values(cls, values: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
        """Truth values for numbers, which pydantic would read as 1 and 0, and NUL characters."""
        for field_name, field in cls.model_fields.items():
            name = field.alias or field_name
            kinds = set(re.findall(r"\w+", str(field.annotation)))
            numbers = kinds & {"int", "float"} and "bool" not in kinds
            for item in _items(values.get(name)):
                if numbers and isinstance(item, bool):
                    sentence = f"{str(item).lower()} is a truth value; write a number"
                elif isinstance(item, str) and "\0" in item:
                    sentence = f"{item!r} has a NUL character, which no path may have; remove it"
                else:
                    continue
                yield InitErrorDetails(type=_refused(sentence), loc=(name,), input=item)

    @classmethod
    def _refusal(cls, key: str, known: set[str]) -> str:
        owners = [c.what for c in cls._siblings() if key in c.model_fields]
        if owners:
            return f"'{key}' has no effect in {cls.what}, only in {' and '.join(owners)}; remove it"
        return f"unknown key '{key}'{did_you_mean(key, known)}"

    @classmethod
    def _siblings(cls) -> Iterator[type[Strict]]:
        """Sibling classes: other subclasses of a base class."""
        for base in cls.__bases__:
            if cls.what and issubclass(base, Strict):
                yield from (c for c in base.__subclasses__() if c is not cls and c.what)


def _refused(sentence: str) -> PydanticCustomError:
    # braces in the sentence would be read as placeholders
    return PydanticCustomError("value_error", "{sentence}", {"sentence": sentence})


def _detail(error: ErrorDetails) -> InitErrorDetails:
    """The details with which an error is raised again."""
    kind = error["type"]
    return InitErrorDetails(
        type=_refused(error["msg"]) if kind == "value_error" else kind,
        loc=error["loc"],
        input=error["input"],
        ctx=error.get("ctx", {}),
    )


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else [value]


def _owner_and_name(repository: str) -> str:
    if not hub.is_repository(repository):
        raise ValueError(f"'{repository}' is no repository on the hub; write owner/name")
    return repository


Repository = Annotated[str, AfterValidator(_owner_and_name)]


License = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
"""A licence by the identifier that the hub gives it: `apache-2.0`, `cc-by-sa-4.0`."""


class Limit(Strict):
    """The part of a study that is run.

    documents: of raw text of each language; at most a fifth of them is held out.
    examples: of the validation and of the test data of a task; ten times as many of the
        training data, which no λ is evaluated on and which must have all labels of both.
    steps: of each training of a base model or language adapter.
    task_steps: of each training of a task adapter; with fewer, scores are often 0.
    """

    documents: int = Field(200, ge=10)
    examples: int = Field(20, ge=5)
    steps: int = Field(10, ge=2)
    task_steps: int = Field(150, ge=2)


def _small(value: Any) -> Any:
    if value == "small":
        return {}
    if isinstance(value, dict | Limit):
        return value
    raise ValueError(
        f"{short_text(value)} is no limit; write small, or {{steps: 10, task_steps: 150}}"
    )


LimitSpec = Annotated[
    Limit, BeforeValidator(_small, json_schema_input_type=Literal["small"] | Limit)
]
"""`small`, or numbers; missing numbers are those of `small`."""
