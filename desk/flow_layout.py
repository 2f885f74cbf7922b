"""Steps laid out from top to bottom: each one level below the deepest that leads to it. Pure and always the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from bot.flows import END

NodeKind = Literal["start", "collect", "action", "say", "set_slots", "link", "call", "noop", "end"]
WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 208, 56, 40, 48, 24
_WIDE: Final = 8  # nodes beside each other; more begin a further line of the same level


@dataclass(frozen=True, slots=True)
class Node:
    """A step. `x`, `y`: its upper left corner; `words`: the second line, e.g. what the bot asks."""

    id: str
    kind: NodeKind
    title: str
    words: str = ""
    x: float = 0.0
    y: float = 0.0


@dataclass(frozen=True, slots=True)
class Edge:
    """A way. `label`: the condition under which it is taken, "" for always or otherwise; `is_back`: goes up again."""

    source: str
    target: str
    label: str = ""
    is_back: bool = False
    is_else: bool = False


@dataclass(frozen=True, slots=True)
class FlowGraph:
    """The picture's content. `flow`: id; `title` and `description` as the assistant has them."""

    flow: str
    title: str
    description: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    width: float
    height: float

    def node(self, node_id: str) -> Node:
        """Raises: KeyError."""
        return {node.id: node for node in self.nodes}[node_id]


def laid_out(flow: str, title: str, description: str, nodes: Sequence[Node], edges: Sequence[Edge]) -> FlowGraph:
    """Each node one level below the deepest that leads to it; within a level in the order of its sources."""
    levels = _levels([node.id for node in nodes], edges)
    edges = [replace(edge, is_back=levels[edge.target] <= levels[edge.source]) for edge in edges]
    by_level: dict[int, list[Node]] = defaultdict(list)
    for node in nodes:
        by_level[levels[node.id]].append(node)
    centre: dict[str, float] = {}
    placed: list[Node] = []
    wide = max(min(len(level), _WIDE) for level in by_level.values())
    width = 2 * MARGIN + wide * WIDTH + (wide - 1) * GAP_X
    y = float(MARGIN)
    for depth in sorted(by_level):
        level = sorted(by_level[depth], key=lambda node: (_middle(node.id, edges, centre, width / 2), node.id != END))
        for first in range(0, len(level), _WIDE):
            row = level[first : first + _WIDE]
            x = (width - len(row) * WIDTH - (len(row) - 1) * GAP_X) / 2
            for node in row:
                placed.append(replace(node, x=x, y=y))
                centre[node.id] = x + WIDTH / 2
                x += WIDTH + GAP_X
            y += HEIGHT + GAP_Y
    order = {node.id: place for place, node in enumerate(nodes)}
    return FlowGraph(
        flow,
        title,
        description,
        tuple(sorted(placed, key=lambda node: order[node.id])),
        tuple(edges),
        float(width),
        y - GAP_Y + MARGIN,
    )


def _levels(ids: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """How deep each node lies; ways back are left out, nodes nothing leads to lie at the top."""
    following: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        following[edge.source].append(edge.target)
    back = _ways_back(ids, following)
    levels = dict.fromkeys(ids, 0)
    for _ in ids:  # at most as many rounds as there are nodes, since what remains has no circle
        moved = False
        for edge in edges:
            if (edge.source, edge.target) not in back and levels[edge.target] < levels[edge.source] + 1:
                levels[edge.target] = levels[edge.source] + 1
                moved = True
        if not moved:
            break
    if END in levels:
        levels[END] = max((level for node, level in levels.items() if node != END), default=-1) + 1
    return levels


def _ways_back(ids: Sequence[str], following: Mapping[str, Sequence[str]]) -> set[tuple[str, str]]:
    """Ways that lead to a node we came from: without them there is no circle."""
    found: set[tuple[str, str]] = set()
    done: set[str] = set()
    for root in ids:
        path: dict[str, None] = {}
        stack: list[tuple[str, int]] = [(root, 0)]
        while stack:
            node, place = stack.pop()
            if place == 0:
                if node in done:
                    continue
                path[node] = None
            targets = following.get(node, ())
            if place < len(targets):
                stack.append((node, place + 1))
                target = targets[place]
                if target in path:
                    found.add((node, target))
                elif target not in done:
                    stack.append((target, 0))
                continue
            path.pop(node, None)
            done.add(node)
    return found


def _middle(node: str, edges: Sequence[Edge], centre: Mapping[str, float], otherwise: float) -> float:
    above = [centre[edge.source] for edge in edges if edge.target == node and edge.source in centre]
    return sum(above) / len(above) if above else otherwise
