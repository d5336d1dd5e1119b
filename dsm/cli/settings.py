"""Where a setting comes from: the command line, over the environment, over a TOML file, over the default.

click does the work: every option has a variable DSM_<COMMAND>_<OPTION> (a few shared ones are shorter, such as DSM_NODE
for the socket), and the file named by --config or DSM_CONFIG becomes click's `default_map`. In the file a table is a
command, and `socket` and `output` outside of any table hold for all commands:

    socket = "/run/dsm/node.sock"

    [node]
    directory = "10.0.0.1:4600"
    memory-limit = "8GiB"

There is no file that is read without being named, so nothing on a machine changes what a command does in silence.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import click
from click.core import ParameterSource

from dsm.cli.options import output_option

_SHARED = ("socket", "output")


def load(path: str, group: click.Group, context: click.Context) -> dict[str, Any]:
    """Return the settings of a TOML file as click's defaults, by command.

    Raises:
        click.UsageError: it is not TOML, or has a setting that no command knows.
    """
    shared, tables = _split(_read(path), path)
    for name, table in tables.items():
        _check_known(path, name, table, group.get_command(context, name))
    return {name: shared | tables.get(name, {}) for name in group.list_commands(context)}


def _read(path: str) -> dict[str, Any]:
    import tomllib

    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise click.UsageError(f"{path}: {error}") from error


def _split(document: dict[str, Any], path: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    shared = {key: value for key, value in document.items() if not isinstance(value, dict)}
    if unknown := set(shared).difference(_SHARED):
        raise click.UsageError(
            f"{path}: outside of tables there are {' and '.join(_SHARED)}, not {', '.join(sorted(unknown))}"
        )
    tables = {
        name: {key.replace("-", "_"): value for key, value in table.items()}
        for name, table in document.items()
        if isinstance(table, dict)
    }
    return shared, tables


def _check_known(path: str, name: str, table: dict[str, Any], command: click.Command | None) -> None:
    if command is None:
        raise click.UsageError(f"{path}: [{name}] is no command")
    known = {option.name for option in _options(command)}
    if unknown := set(table).difference(known):
        raise click.UsageError(f"{path}: [{name}] has no {', '.join(sorted(unknown))}")


def _options(command: click.Command) -> list[click.Option]:
    return [option for option in command.params if isinstance(option, click.Option) and not option.hidden]


class Setting(NamedTuple):
    """One option of a command."""

    setting: str
    value: Any
    variable: str
    origin: str


@click.group()
def config() -> None:
    """Settings and where they come from."""


@config.command()
@click.option("--origin", is_flag=True, help="Say for each setting where its value comes from.")
@output_option
@click.pass_context
def show(context: click.Context, origin: bool, output: str) -> None:
    """Show the settings of all commands as they are here and now, and the variable that sets each."""
    from dsm.cli.output import show_json, show_table

    rows = list(_settings(context.find_root()))
    if output == "json":
        show_json({"settings": [row._asdict() for row in rows]})
    else:
        headers = ("SETTING", "VALUE", "VARIABLE", "ORIGIN")[: 4 if origin else 3]
        show_table(headers, (["" if cell is None else cell for cell in row[: len(headers)]] for row in rows))


def _settings(root: click.Context) -> Iterator[Setting]:
    group = root.command
    assert isinstance(group, click.Group), "the root is the group of all commands"
    for name in group.list_commands(root):
        try:
            command = group.get_command(root, name)
        except ModuleNotFoundError:
            continue
        if command is None or isinstance(command, click.Group):
            continue
        with command.make_context(name, [], parent=root, resilient_parsing=True) as context:
            for option in _options(command):
                if option.expose_value:
                    yield _setting(f"{name}.{option.name}", option, context)


def _setting(label: str, option: click.Option, context: click.Context) -> Setting:
    """The value as it was written, so that one which does not parse is shown too."""
    assert option.name is not None, "an option has a name"
    variable = str(option.envvar or f"{context.auto_envvar_prefix}_{option.name.upper()}")
    match context.get_parameter_source(option.name):
        case ParameterSource.ENVIRONMENT:
            return Setting(label, os.environ.get(variable, ""), variable, variable)
        case ParameterSource.DEFAULT_MAP:
            return Setting(label, context.lookup_default(option.name), variable, context.find_root().params["config"])
    value = context.params.get(option.name)
    return Setting(label, value if isinstance(value, str | int | float | None) else str(value), variable, "default")
