"""What the screen of the learning loop says: (English, Chinese)."""

from __future__ import annotations

from typing import Final

LEARNING_WORDS: Final[dict[str, tuple[str, str]]] = {
    "learn.title": ("Training", "训练"),
    "learn.back": ("Messages to label", "待标注消息"),
    "learn.assistants": ("Assistants", "助手"),
    "learn.lead": (
        "A candidate learns from the labels while the present model goes on answering. Nothing changes for customers "
        "until you promote it.",
        "候选模型在后台学习标注内容，现有模型照常回答。启用之前，客户不会感到任何变化。",
    ),
    "learn.serves": ("Serving now", "当前模型"),
    "learn.version": ("Version", "版本"),
    "learn.since": ("Since", "启用时间"),
    "learn.train": ("Train a candidate", "训练候选模型"),
    "learn.stop": ("Stop training", "停止训练"),
    "learn.stop.ask": ("Stop the training? What it has done so far is lost.", "停止训练？已完成的部分不会保留。"),
    "learn.stopped": ("The training was stopped.", "训练已停止。"),
    "learn.step.queued": ("Waiting for a worker", "等待执行"),
    "learn.step.reading": ("Reading examples", "读取示例"),
    "learn.step.training": ("Training", "训练中"),
    "learn.step.comparing": ("Comparing on recent messages", "对比近期消息"),
    "learn.step.replaying": ("Running the conversation tests", "运行对话测试"),
    "learn.failed": ("The training ended without a candidate:", "训练未能完成："),
    "learn.none": (
        "There is no candidate. Label some messages, then train one.",
        "还没有候选模型。请先标注消息，再开始训练。",
    ),
    "learn.candidate": ("Candidate", "候选模型"),
    "learn.looked_at": ("Recent messages looked at", "对比的近期消息"),
    "learn.known": ("Understood, of those with a known meaning", "含义已知的消息中理解正确"),
    "learn.right": ("{before} before, {after} after, of {known}", "原 {before}，新 {after}，共 {known}"),
    "learn.disagreeing": ("Seen otherwise by another engine", "与其他引擎不一致"),
    "learn.promote": ("Promote the candidate", "启用候选模型"),
    "learn.promote.ask": (
        "Promote version {version}? It answers every customer from now on. You can roll back.",
        "启用版本 {version}？之后由它回答所有客户，可随时回退。",
    ),
    "learn.promoted": ("Version {version} serves.", "版本 {version} 已启用。"),
    "learn.roll_back": ("Roll back to {version}", "回退到 {version}"),
    "learn.roll_back.ask": (
        "Roll back to version {version}? It answers every customer from now on.",
        "回退到版本 {version}？之后由它回答所有客户。",
    ),
    "learn.rolled_back": ("Version {version} serves again.", "已回退到版本 {version}。"),
    "learn.differences": ("Differences", "差异"),
    "learn.all": ("All", "全部"),
    "learn.words": ("Message", "消息"),
    "learn.after": ("Candidate", "候选模型"),
    "learn.means": ("Verdict and meaning", "结论与含义"),
    "learn.gone": ("(the words are gone)", "（内容已删除）"),
    "learn.asks": ("asks back", "反问"),
    "learn.learnt": ("it was trained on this", "已用于训练"),
    "learn.verdict.worse": ("worse", "变差"),
    "learn.verdict.better": ("better", "变好"),
    "learn.verdict.changed": ("changed", "改变"),
    "learn.verdict.less_clear": ("asks back now", "改为反问"),
    "learn.verdict.clearer": ("answered now", "现可理解"),
    "learn.same": ("No message of this kind is taken otherwise.", "没有此类差异。"),
}
