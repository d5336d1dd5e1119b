"""`dsm litmus`: the litmus tests of `dsm.litmus` on a cluster of its own."""

from __future__ import annotations

import fnmatch
import secrets
from typing import TYPE_CHECKING, Any

import click

from dsm.cli.options import output_option
from dsm.cli.output import coloured, show_json
from dsm.limits import LITMUS_ROUNDS_DEFAULT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsm.litmus.cells import Cell
    from dsm.litmus.verdict import Verdict

_SEED_BITS = 32


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=LITMUS_ROUNDS_DEFAULT, help="Of each cell, at least.")
@click.option("--cell", "patterns", multiple=True, metavar="PATTERN", help='Only these, as in "MP/*" or "*/mixed/*".')
@click.option("--all", "all_cells", is_flag=True, help="Every cell there is, not only those for each change.")
@click.option("--list", "only_list", is_flag=True, help="Name the cells and run none.")
@click.option("--seed", type=click.IntRange(0), help="Of the delays.", show_default="drawn anew")
@output_option
@click.pass_context
def litmus(
    context: click.Context,
    rounds: int,
    patterns: tuple[str, ...],
    all_cells: bool,
    only_list: bool,
    seed: int | None,
    output: str,
) -> None:
    """Run litmus tests of the memory model on four nodes.

    A cell is SHAPE/WORKERS/WORDS/ACCESS. Exit status 1 if an outcome was seen that is forbidden, a store was lost, an
    allowed outcome was too rare though the cell was run for many times its rounds, or a batch ended nearly all alike.
    """
    from dsm.litmus import cells

    table = cells.everything() if all_cells or patterns else cells.chosen()
    wanted = [cell for cell in table if not patterns or any(fnmatch.fnmatchcase(cell.name, one) for one in patterns)]
    if not wanted:
        raise click.UsageError(f"no cell is like {' or '.join(patterns)}; --list --all names them")
    if only_list:
        click.echo("\n".join(f"{cell.name}  {cell.shape}" for cell in wanted))
        return
    seed = secrets.randbits(_SEED_BITS) if seed is None else seed
    verdicts = []
    for verdict in _run(wanted, rounds, seed):
        verdicts.append(verdict)
        if output == "table":
            _show(verdict)
    summary = _summary(verdicts, seed)
    if output == "json":
        show_json(summary | {"cells": [verdict.as_map() for verdict in verdicts]})
    else:
        _show_summary(summary)
    context.exit(0 if summary["ok"] else 1)


def _run(wanted: list[Cell], rounds: int, seed: int) -> Iterator[Verdict]:
    from dsm.cluster import LocalCluster
    from dsm.litmus.cells import NODES
    from dsm.litmus.crew import Crew

    with LocalCluster(NODES) as cluster, cluster.connect(0, scoped_only=True) as client:
        sockets = [cluster.socket(node) for node in range(NODES)]
        with Crew(client, sockets, seed) as crew:
            for cell in wanted:
                yield crew.run(cell, rounds)


def _show(verdict: Verdict) -> None:
    word = coloured("ok", "green") if verdict.ok else coloured("FAILED", "red")
    click.echo(f"{verdict.cell.name}: {word}, {verdict.rounds:,} rounds in {verdict.seconds:.1f} s")
    if verdict.monotonous:
        click.echo("          nearly all rounds of a batch ended alike, so pages hardly moved, or not as they should")
    for outcome, count, remark in verdict.rows():
        click.echo(f"{count:>9,}  {outcome}{'  ' + remark if remark else ''}")


def _summary(verdicts: list[Verdict], seed: int) -> dict[str, Any]:
    return {
        "ok": all(verdict.ok for verdict in verdicts),
        "rounds": sum(verdict.rounds for verdict in verdicts),
        "forbidden": sum(verdict.forbidden for verdict in verdicts),
        "missing": sum(len(verdict.missing) for verdict in verdicts),
        "weak": sum(bool(verdict.rare) or verdict.monotonous for verdict in verdicts),
        "seconds": round(sum(verdict.seconds for verdict in verdicts), 3),
        "seed": seed,
    }


def _show_summary(summary: dict[str, Any]) -> None:
    rounds = f"{summary['rounds']:,} rounds in {summary['seconds']:.0f} s"
    click.echo(
        f"{rounds}: {summary['forbidden']:,} with a forbidden outcome, "
        f"{summary['missing']} allowed outcomes never seen, {summary['weak']} cells too weak, seed {summary['seed']}"
    )
