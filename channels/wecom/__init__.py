"""WeCom (企业微信): applications for its members, and 微信客服 for customers in WeChat."""

from channels.wecom.app import WecomAdapter
from channels.wecom.callback import CallbackTarget, callback_routes
from channels.wecom.connection import WecomConnection
from channels.wecom.kf import KfAdapter
from channels.wecom.kf_followups import KfFollowups
from channels.wecom.kf_handover import KfHandover
from channels.wecom.kf_pull import KfPuller

__all__ = [
    "CallbackTarget",
    "KfAdapter",
    "KfFollowups",
    "KfHandover",
    "KfPuller",
    "WecomAdapter",
    "WecomConnection",
    "callback_routes",
]
