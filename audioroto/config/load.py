"""A configuration from defaults, files and overrides, and back to a file.

Authority: the defaults < `--config` TOML files, left to right < `--set section.key=value`.
"""

import difflib
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from audioroto.config.whole import Config
from audioroto.errors import UserError
from audioroto.files import write_text


def load_config(paths: Iterable[str | Path] = (), overrides: Iterable[str] = ()) -> Config:
    """The configuration from TOML files, left to right, then `section.key=value` overrides.

    Raises UserError that names the file or override, the key and, for an unknown key, the nearest one.
    """
    merged: dict[str, Any] = {}
    for path in paths:
        try:
            table = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            raise UserError(f"configuration {path} does not exist; give --config an existing TOML file") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UserError(f"configuration {path} is not valid TOML: {error}") from None
        _refuse_unknown_keys(table, source=str(path))
        _merge(merged, table)
    return _override(merged, overrides)


def change_config(config: Config, overrides: Iterable[str]) -> Config:
    """`config` with `section.key=value` overrides. Raises UserError as `load_config` does."""
    return _override(config.model_dump(mode="json"), overrides)


def parse_config(table: dict[str, Any], source: str) -> Config:
    """The configuration in nested dictionaries, as TOML or a checkpoint has it.

    Raises UserError that names `source` and every key at fault.
    """
    try:
        return Config.model_validate(table)
    except ValidationError as error:
        raise UserError(f"{source}: " + "; ".join(_explain(problem) for problem in error.errors())) from None


def save_config(config: Config, path: str | Path) -> None:
    """Write the resolved configuration as TOML that `load_config` reads back equal."""
    import tomli_w

    write_text(path, tomli_w.dumps(config.model_dump(mode="json")))


def iter_settings(config: Config) -> Iterator[tuple[str, Any, str]]:
    """Each setting as (`section.key`, value, meaning), in the order of this file."""
    for section_name in type(config).model_fields:
        section = getattr(config, section_name)
        for key, field in type(section).model_fields.items():
            yield f"{section_name}.{key}", getattr(section, key), field.description or ""


def find_changes(earlier: Config, later: Config) -> list[tuple[str, Any, Any]]:
    """Settings (`section.key`, earlier, later) in which two configurations differ."""
    both = zip(iter_settings(earlier), iter_settings(later), strict=True)
    return [(name, was, now) for (name, was, _), (_, now, _) in both if was != now]


def _override(table: dict[str, Any], overrides: Iterable[str]) -> Config:
    for override in overrides:
        change = _read_override(override)
        _refuse_unknown_keys(change, source=f"--set {override}")
        _merge(table, change)
    return parse_config(table, source="configuration")


def _refuse_unknown_keys(table: dict[str, Any], source: str) -> None:
    """Refuse unknown keys where they are read; values wait until every source is merged: they may belong together."""
    try:
        Config.model_validate(table)
    except ValidationError as error:
        unknown = [_explain(problem) for problem in error.errors() if problem["type"] == "extra_forbidden"]
        if unknown:
            raise UserError(f"{source}: " + "; ".join(unknown)) from None


def _merge(into: dict[str, Any], table: dict[str, Any]) -> None:
    for key, value in table.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _read_override(override: str) -> dict[str, Any]:
    key, equals, value = override.partition("=")
    section, dot, name = key.strip().partition(".")
    if not (equals and dot and section and name):
        raise UserError(f"--set {override}: write --set section.key=value, for example --set train.seed=2")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()  # a bare word is a string
    return {section: {name: parsed}}


def _explain(problem: Any) -> str:
    location = [str(part) for part in problem["loc"]]
    where = ".".join(location)
    if problem["type"] == "extra_forbidden":
        nearest = difflib.get_close_matches(where, _known_keys(), n=1, cutoff=0.0)
        return f"unknown key {where}; the nearest is {nearest[0]}"
    prefix = f"{where}: " if where else ""  # what concerns two sections has no place of its own
    return (
        prefix
        + problem["msg"].removeprefix("Value error, ")
        + (f" (got {problem['input']!r})" if not isinstance(problem["input"], dict | BaseModel) else "")
    )


def _known_keys() -> list[str]:
    return [*Config.model_fields, *(name for name, _, _ in iter_settings(Config()))]
