"""A flow as a picture: its steps laid out from top to bottom, the ways between them with what has to hold.

Read only: `flow_graph` gives positions, `flow_svg` draws them with words for those who hear them. The same flow always
gives the same picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bot.assistant import Assistant
from bot.errors import NotFound
from bot.flows import END, Flow, Step, Trigger
from bot.types import Language
from desk.actors import Actor
from desk.flow_layout import GAP_X, HEIGHT, WIDTH, Edge, FlowGraph, Node, NodeKind, laid_out
from desk.svg_text import clean

START: Final = "START"
MOST_WORDS: Final = 48


def list_flows(actor: Actor, assistant: Assistant, language: Language) -> list[tuple[str, str]]:
    """(id, title) of every flow, by title. Raises: NotPermitted."""
    actor.require("knowledge.read")
    titled = ((flow.id, assistant.word("flow", flow.id, language, flow.name)) for flow in assistant.flows.values())
    return sorted(titled, key=lambda each: (each[1].casefold(), each[0]))


def flow_graph(actor: Actor, assistant: Assistant, flow_id: str, language: Language) -> FlowGraph:
    """The flow laid out, with the words it says in this language. Raises: NotPermitted, NotFound."""
    actor.require("knowledge.read")
    flow = assistant.flows.get(flow_id)
    if flow is None:
        raise NotFound(f"there is no flow {flow_id!r}")
    title = assistant.word("flow", flow.id, language, flow.name)
    nodes = [_start(flow, assistant, language), *(_node(step, assistant, language) for step in flow.steps.values())]
    edges = [Edge(START, flow.first), *_edges(flow)]
    if any(edge.target == END for edge in edges):
        nodes.append(Node(END, "end", {"zh": "结束", "en": "End"}[language]))
    return laid_out(flow.id, title, flow.description, nodes, edges)


_KIND_WORDS: Final[Mapping[NodeKind, Mapping[Language, str]]] = {
    "start": {"zh": "开始", "en": "Begins"},
    "collect": {"zh": "询问", "en": "Asks for"},
    "action": {"zh": "执行", "en": "Does"},
    "say": {"zh": "说", "en": "Says"},
    "set_slots": {"zh": "设置", "en": "Notes"},
    "link": {"zh": "转到流程", "en": "Goes on with"},
    "call": {"zh": "调用流程", "en": "Runs"},
    "noop": {"zh": "分支", "en": "Decides"},
    "end": {"zh": "结束", "en": "End"},
}


def _start(flow: Flow, assistant: Assistant, language: Language) -> Node:
    """How the flow begins: the meanings that start it."""
    titles = [_meaning(trigger, assistant, language) for trigger in flow.triggers]
    return Node(START, "start", _KIND_WORDS["start"][language], _short(" · ".join(titles)))


def _meaning(trigger: Trigger, assistant: Assistant, language: Language) -> str:
    known = assistant.intents.get(trigger.intent)
    return (known.title.get(language) if known else "") or trigger.intent


def _node(step: Step, assistant: Assistant, language: Language) -> Node:
    kind: NodeKind = step.kind
    target = step.target
    words = ""
    if step.kind == "action" and step.target.startswith("utter_"):
        kind, words = "say", _said(assistant, step.target, language)
    elif step.kind == "collect":
        words = _said(assistant, step.utter, language)
    elif step.kind == "set_slots":
        target = ", ".join(name for name, _ in step.assignments)
        words = ", ".join(f"{name} = {value}" for name, value in step.assignments)
    elif step.kind in ("link", "call"):
        known = assistant.flows.get(step.target)
        words = assistant.word("flow", step.target, language, known.name if known else step.target)
    title = f"{_KIND_WORDS[kind][language]} {target}".strip()
    return Node(step.id, kind, _short(title, MOST_WORDS // 2), _short(words))


def _said(assistant: Assistant, name: str, language: Language) -> str:
    variations = assistant.responses.get(name, ())
    fitting = [each for each in variations if each.language in (language, None)] or list(variations)
    return " ".join(fitting[0].text.split()) if fitting else name


def _short(text: str, most: int = MOST_WORDS) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _edges(flow: Flow) -> list[Edge]:
    found = []
    for step in flow.steps.values():
        if step.kind == "link":
            found.append(Edge(step.id, END))
        for branch in step.next:
            label = branch.condition.source if branch.condition else ""
            found.append(Edge(step.id, branch.target, label, is_else=len(step.next) > 1 and branch.condition is None))
    return found


# --- drawing --------------------------------------------------------------------------------------------------------

TOKENS: Final[Mapping[str, str]] = {
    "surface": "var(--surface, #F6F7F9)",
    "text": "var(--text, #1B1F24)",
    "muted": "var(--muted, #667085)",
    "line": "var(--line, #E4E7EC)",
    "accent": "var(--accent, #1F6FEB)",
    "good": "var(--good, #1A7F4B)",
    "warn": "var(--warn, #B54708)",
}
_EDGE_OF: Final[Mapping[NodeKind, str]] = {
    "start": "good",
    "collect": "accent",
    "say": "text",
    "action": "warn",
    "end": "good",
}
_ELSE: Final[Mapping[Language, str]] = {"zh": "否则", "en": "otherwise"}


def flow_svg(graph: FlowGraph, language: Language, tokens: Mapping[str, str] = TOKENS) -> str:
    """The picture as SVG text, escaped; `tokens`: colours by name, where they are not the style sheet's."""
    colour = {**TOKENS, **tokens}
    nodes = {node.id: node for node in graph.nodes}
    parts = [
        '<defs><marker id="flow-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"'
        f' orient="auto-start-reverse"><path d="M0 0 8 4 0 8z" fill="{clean(colour["muted"])}"/></marker></defs>'
    ]
    parts += [_way(edge, nodes, language, colour) for edge in graph.edges]
    parts += [_box(node, colour) for node in graph.nodes]
    heard = "; ".join(_heard(edge, nodes, language) for edge in graph.edges)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {graph.width:g} {graph.height:g}" role="img"'
        f' width="{graph.width:g}" height="{graph.height:g}" font-size="12" font-family="system-ui, sans-serif">'
        f"<title>{clean(graph.title)}</title><desc>{clean(graph.description)} {clean(heard)}</desc>"
        f"{''.join(parts)}</svg>"
    )


def _box(node: Node, colour: Mapping[str, str]) -> str:
    edge = colour[_EDGE_OF.get(node.kind, "muted")]
    radius = HEIGHT / 2 if node.kind in ("start", "end") else 6
    text = (
        f'<text x="{node.x + WIDTH / 2:g}" y="{node.y + (22 if node.words else 33):g}" text-anchor="middle"'
        f' font-weight="600" fill="{clean(colour["text"])}">{clean(_short(node.title, 26))}</text>'
    )
    if node.words:
        text += (
            f'<text x="{node.x + WIDTH / 2:g}" y="{node.y + 42:g}" text-anchor="middle"'
            f' fill="{clean(colour["muted"])}">{clean(_fitting(node.words))}</text>'
        )
    return (
        f'<g><rect x="{node.x:g}" y="{node.y:g}" width="{WIDTH}" height="{HEIGHT}" rx="{radius:g}"'
        f' fill="{clean(colour["surface"])}" stroke="{clean(edge)}"/>'
        f"<title>{clean(node.title)}: {clean(node.words)}</title>{text}</g>"
    )


def _fitting(words: str) -> str:
    """As much as one line of a box holds; a Chinese character takes the room of two letters."""
    room, kept = 27.0, ""
    for character in words:
        room -= 1 if ord(character) < 0x2E80 else 1.9
        if room < 0:
            return kept + "…"
        kept += character
    return kept


def _way(edge: Edge, nodes: Mapping[str, Node], language: Language, colour: Mapping[str, str]) -> str:
    source, target = nodes[edge.source], nodes[edge.target]
    x1, y1 = source.x + WIDTH / 2, source.y + HEIGHT
    x2, y2 = target.x + WIDTH / 2, target.y
    if edge.is_back:
        x1, y1 = source.x, source.y + HEIGHT / 2
        x2, y2 = target.x, target.y + HEIGHT / 2
        side = max(4.0, min(source.x, target.x) - GAP_X / 2)
        path = f"M{x1:g} {y1:g}C{side:g} {y1:g} {side:g} {y2:g} {x2:g} {y2:g}"
        label_x, label_y = side + 4, (y1 + y2) / 2
    else:
        middle = (y1 + y2) / 2
        path = f"M{x1:g} {y1:g}C{x1:g} {middle:g} {x2:g} {middle:g} {x2:g} {y2:g}"
        label_x, label_y = (x1 + 3 * x2) / 4, (y1 + 3 * y2) / 4
    drawn = (
        f'<path d="{path}" fill="none" stroke="{clean(colour["muted"])}" stroke-width="1.25"'
        f'{" stroke-dasharray=" + chr(34) + "4 3" + chr(34) if edge.is_back else ""} marker-end="url(#flow-arrow)"/>'
    )
    words = edge.label or (_ELSE[language] if edge.is_else else "")
    if not words:
        return drawn
    return (
        f'{drawn}<text x="{label_x:g}" y="{label_y:g}" text-anchor="{"start" if edge.is_back else "middle"}"'
        f' fill="{clean(colour["muted"])}" paint-order="stroke" stroke="var(--bg, #FFFFFF)" stroke-width="4">'
        f"{clean(_short(words, 32))}<title>{clean(words)}</title></text>"
    )


def _heard(edge: Edge, nodes: Mapping[str, Node], language: Language) -> str:
    words = edge.label or (_ELSE[language] if edge.is_else else "")
    return f"{nodes[edge.source].title} → {nodes[edge.target].title}{f' ({words})' if words else ''}"
