"""A plan in words and tables, for terminals and pages; knows plans, not where the text goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from unetscope.slimming.targets import MEASURES, format_amount
from unetscope.tables import Block, Table

if TYPE_CHECKING:
    from unetscope.slimming.plan import SlimPlan

DECISION_COLUMNS = ("part", "before", "after", "evidence", "why")
COST_COLUMNS = ("measure", "before", "after")


def lay_out(plan: SlimPlan) -> Iterator[Block]:
    """What a plan decides, what that costs, and sentences about the whole.

    Args:
        plan: The plan.
    """
    if plan.decisions:
        yield tabulate_decisions(plan)
    if plan.cost:
        yield tabulate_costs(plan)
    yield from plan.summary or (describe_network(plan),)


def tabulate_decisions(plan: SlimPlan) -> Table:
    """What was decided about the depth, every skip, and every layer that changes, below `DECISION_COLUMNS`.

    Args:
        plan: The plan.
    """
    rows = tuple(
        (each.subject, str(each.before), str(each.after), each.trust, each.words)
        for each in plan.decisions
        if each.before != each.after or "." not in each.subject
    )
    return Table("What is proposed", DECISION_COLUMNS, rows)


def tabulate_costs(plan: SlimPlan) -> Table:
    """What the network costs before and after, below `COST_COLUMNS`.

    Args:
        plan: A plan whose cost is known.
    """
    before, after = plan.cost["before"], plan.cost["after"]
    rows = tuple((MEASURES[name], format_amount(before[name]), format_amount(after[name])) for name in before)
    return Table("What it costs", COST_COLUMNS, rows)


def describe_network(plan: SlimPlan) -> str:
    """The slim network beside its origin.

    Args:
        plan: The plan.
    """
    before, after = ("-".join(map(str, spec.level_widths)) for spec in (plan.origin, plan.spec))
    gone = [level for level in plan.origin.skip_levels if level < plan.depth and level not in plan.spec.skip_levels]
    skips = f", without the skips of levels {', '.join(map(str, gone))}" if gone else ""
    return f"widths {after} instead of {before}, {plan.depth} instead of {plan.origin.depth} poolings{skips}"
