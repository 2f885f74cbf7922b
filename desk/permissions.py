"""What staff may do, as names, and which role may do what: services check them, screens only hide what would fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# Name -> what it allows, as the settings screen says it (English, Chinese).
PERMISSIONS: Final[Mapping[str, tuple[str, str]]] = {
    "conversations.read": ("See the conversations of one's own teams", "查看本组会话"),
    "conversations.read_all": ("See the conversations of all teams", "查看所有组的会话"),
    "conversations.reply": ("Take conversations, answer, note, snooze, close", "接入、回复、备注、暂缓和关闭会话"),
    "conversations.assign": ("Give conversations to others, take them away", "分配和收回会话"),
    "messages.retry": ("Send again or drop what did not leave", "重发或放弃未送达的消息"),
    "canned.write": ("Edit canned replies", "编辑快捷回复"),
    "customers.read": ("See customer records", "查看客户档案"),
    "customers.write": ("Correct customer records", "更正客户档案"),
    "customers.class": ("Give credit classes", "评定信用等级"),
    "customers.merge": ("Merge and separate records", "合并和拆分档案"),
    "customers.export": ("Export a person's data", "导出个人数据"),
    "customers.erase": ("Erase a person", "删除个人数据"),
    "cases.read": ("See cases", "查看工单"),
    "cases.work": ("Work on cases", "处理工单"),
    "cases.assign": ("Give cases to others", "分配工单"),
    "cases.compensate": ("Decide on compensation", "审批补偿"),
    "appointments.write": ("Book and move appointments", "预约和改期"),
    "knowledge.read": ("See articles and drafts", "查看知识和草稿"),
    "knowledge.write": ("Write drafts of articles and replies", "撰写知识和话术草稿"),
    "knowledge.publish": ("Publish articles and replies", "发布知识和话术"),
    "understanding.read": ("See what the bot understood", "查看机器人的理解"),
    "understanding.label": ("Say what a message meant", "标注消息含义"),
    "understanding.train": ("Train the model, promote it, roll it back", "训练、启用和回退模型"),
    "broadcasts.read": ("See broadcasts", "查看群发"),
    "broadcasts.write": ("Prepare broadcasts", "准备群发"),
    "broadcasts.send": ("Start broadcasts", "启动群发"),
    "reports.read": ("See reports", "查看报表"),
    "reports.export": ("Export reports", "导出报表"),
    "sites.write": ("Edit sites", "编辑站点"),
    "settings.read": ("See rules, channels and health", "查看规则、渠道和健康状况"),
    "settings.write": ("Change rules, teams and hours", "修改规则、团队和营业时间"),
    "users.read": ("See accounts and roles", "查看账号和角色"),
    "users.write": ("Change accounts and roles", "管理账号和角色"),
    "tokens.write": ("Give out API tokens, register subscribers", "管理接口令牌和订阅"),
    "audit.read": ("Read the audit log", "查看审计日志"),
}

_LOOK: Final = frozenset({"cases.read", "customers.read", "conversations.read", "knowledge.read"})
_OPERATOR: Final = _LOOK | {
    "conversations.reply",
    "messages.retry",
    "customers.write",
    "cases.work",
    "appointments.write",
    "knowledge.write",
    "understanding.read",
    "understanding.label",
}
_SUPERVISOR: Final = _OPERATOR | {
    "conversations.read_all",
    "conversations.assign",
    "canned.write",
    "customers.class",
    "customers.merge",
    "customers.export",
    "cases.assign",
    "cases.compensate",
    "knowledge.publish",
    "understanding.train",
    "reports.read",
    "reports.export",
    "settings.read",
    "users.read",
}
_MANAGER: Final = _SUPERVISOR | {"customers.erase", "sites.write", "settings.write", "broadcasts.read"}

ROLES: Final[Mapping[str, frozenset[str]]] = {
    "admin": frozenset(PERMISSIONS),
    "manager": _MANAGER,
    "supervisor": _SUPERVISOR,
    "lead": _SUPERVISOR,
    "operator": _OPERATOR,
    "marketer": _LOOK
    | {"broadcasts.read", "broadcasts.write", "broadcasts.send", "reports.read", "reports.export", "knowledge.write"},
    "analyst": _LOOK
    | {"conversations.read_all", "reports.read", "reports.export", "understanding.read", "broadcasts.read"},
    "auditor": frozenset({"audit.read", "users.read", "settings.read", "reports.read"}),
    "viewer": _LOOK,
}
# Who decides on more than others of the same permission: amounts, deadlines, ladders (see desk.compensation).
RANKS: Final[Mapping[str, int]] = {"operator": 1, "lead": 2, "supervisor": 2, "manager": 3, "admin": 4}
TITLES: Final[Mapping[str, tuple[str, str]]] = {
    "admin": ("Administrator", "管理员"),
    "manager": ("Manager", "经理"),
    "supervisor": ("Supervisor", "主管"),
    "lead": ("Team lead", "组长"),
    "operator": ("Operator", "客服"),
    "marketer": ("Marketer", "市场"),
    "analyst": ("Analyst", "分析员"),
    "auditor": ("Auditor", "审计员"),
    "viewer": ("Viewer", "只读"),
}
