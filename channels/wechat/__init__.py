"""WeChat Official Accounts (公众号)."""

from channels.wechat.adapter import WechatAdapter
from channels.wechat.webhook import wechat_routes

__all__ = ["WechatAdapter", "wechat_routes"]
