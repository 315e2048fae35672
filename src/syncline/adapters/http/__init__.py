"""The server over HTTP: `HttpRemote` keeps a device's session, `login` begins one."""

from syncline.adapters.http.caller import Tokens
from syncline.adapters.http.login import login
from syncline.adapters.http.remote import HttpRemote
from syncline.adapters.http.retry import Backoff

__all__ = ["Backoff", "HttpRemote", "Tokens", "login"]
