"""The command `dsm`: everything a person or a script does with a cluster, without writing Python.

    lazy.py       the commands there are, each imported when it is used
    settings.py   where a setting comes from; `config`
    options.py    options and types that several commands share
    output.py     tables for people, JSON for programs, progress
    daemons.py    `directory`, `node`              up.py        `up`
    regions.py    `ls`, `stat`, `rm`               transfer.py  `put`, `get`
    status.py     `status`                         doctor.py    `doctor`, over facts.py and findings.py
    check.py, litmus.py, stress.py                 demo.py, bench.py

Exit status: 0 good; 1 found something bad, or could not do what was asked; 2 wrong use, also where only the
cluster can tell (a name or size that no region has); 130 after Ctrl-C.

`dsm --help` answers in the time that Python and click need. So no module of this package imports at its top anything
but click, the standard library, `dsm.errors` and `dsm.limits`; clients, gRPC, NumPy and rich come in functions.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from dsm.cli.lazy import LazyGroup
from dsm.cli.settings import load
from dsm.errors import DsmError, InvalidArgument

_INTERRUPTED = 130  # 128 + SIGINT, as shells have it

_EPILOG = """\b
Settings: command line over DSM_<COMMAND>_<OPTION> over --config over default; `dsm config show` lists them.
Completion: eval "$(_DSM_COMPLETE=bash_source dsm)", or zsh_source, fish_source.
"""


def _version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from dsm import __version__

        click.echo(f"dsm {__version__}")
        context.exit()


@click.group(
    cls=LazyGroup,
    epilog=_EPILOG,
    context_settings={"auto_envvar_prefix": "DSM", "show_default": True, "help_option_names": ["-h", "--help"]},
)
@click.option(
    "--config", type=click.Path(exists=True, dir_okay=False), help="TOML file with settings. [env: DSM_CONFIG]"
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version)
@click.pass_context
def dsm(context: click.Context, config: str | None) -> None:
    """Distributed shared memory: one mutable region of memory on many hosts."""
    if config is not None:
        context.default_map = load(config, dsm, context)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and end the process."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status. Errors of the tree are told in a sentence, without a traceback."""
    try:
        status = dsm.main(arguments, prog_name="dsm", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except DsmError as error:
        return _tell(error)
    except ExceptionGroup as group:
        return _tell(_only_cause(group))
    return status if isinstance(status, int) else 0


def _tell(error: DsmError) -> int:
    click.echo(f"dsm: {error.message}", err=True)
    if error.remedy:
        click.echo(f"     {error.remedy}", err=True)
    return 2 if isinstance(error, InvalidArgument) else 1


def _only_cause(group: ExceptionGroup[Exception]) -> DsmError:
    """The first error of the tree in what a daemon's tasks raised; anything else is a fault and shows its traceback."""
    expected, unexpected = group.split(DsmError)
    if expected is None or unexpected is not None:
        raise group
    leaf: BaseException = expected
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    assert isinstance(leaf, DsmError), "split() by type leaves that type"
    return leaf
