"""What WeChat and WeCom share: signatures and AES, XML, access tokens, JSON calls."""
