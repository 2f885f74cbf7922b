"""The chat on a website: sessions, idempotent posting, resumable streams and the widget itself."""

from channels.web.adapter import WebAdapter
from channels.web.extras import WebExtras
from channels.web.hub import WebHub, WebStore
from channels.web.routes import web_routes
from channels.web.tokens import SessionTokens, sign_identity

__all__ = ["SessionTokens", "WebAdapter", "WebExtras", "WebHub", "WebStore", "sign_identity", "web_routes"]
