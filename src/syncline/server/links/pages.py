"""The pages of links: plain HTML without scripts, for any browser, light or dark, large or small.

Every text that came from somebody passes `escape`, names stand in `<bdi>` so that no spelling turns what is around them, and
nothing on a page leads anywhere but into the link itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final
from urllib.parse import quote

from syncline.model.entries import Kind
from syncline.model.limits import DROP_FILE_MAX_BYTES
from syncline.protocol.changes import to_text, to_time
from syncline.protocol.links import DroppedFile
from syncline.server.links.public import Look

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
_UNITS: Final = ("bytes", "KB", "MB", "GB", "TB")


def file_page(token: str, look: Look) -> bytes:
    """One file, and the way to download it."""
    entry = look.entry
    assert entry is not None
    facts = f"{_size(entry.size)} · {_time(entry.mtime_us)}"
    body = (
        f"{_trail(token, look)}<div class=file><h1>{_name(entry.name)}</h1><p class=facts>{facts}</p>"
        f'<p><a class=button href="{_href(token, "/download", look.names)}">Download</a></p></div>'
    )
    return _page(entry.name, body)


def folder_page(token: str, look: Look, page: str | None) -> bytes:
    """A folder's entries, one page of them."""
    title = look.entry.name if look.entry is not None else look.visit.name
    rows = "".join(
        f'<tr><td><a href="{_href(token, "", (*look.names, one.name))}">{_icon(one.kind)}{_name(one.name)}</a>'
        f"<td class=number>{_size(one.size) if one.kind is Kind.FILE else ''}"
        f"<td class=time>{_time(one.mtime_us if one.kind is Kind.FILE else one.time_us)}"
        for one in look.children
    )
    table = (
        f"<table><thead><tr><th>Name<th class=number>Size<th class=time>Changed<tbody>{rows}</table>"
        if rows
        else "<p class=facts>Nothing is in here.</p>"
    )
    first = f'<a href="{_href(token, "", look.names)}">First page</a>' if page is not None else ""
    following = f'<a href="{_href(token, "", look.names, page=look.next)}">Next page</a>' if look.next is not None else ""
    body = (
        f"{_trail(token, look)}<header><h1>{_name(title)}</h1>"
        f'<a class=button href="{_href(token, "/zip", look.names)}">Download all (ZIP)</a></header>'
        f"{table}<p class=pages>{first} {following}</p>"
    )
    return _page(title, body)


def password_page(token: str, said: str | None) -> bytes:
    """The question for the password; `said` is what was wrong with the last one."""
    wrong = f"<p class=wrong role=alert>{escape(said)}</p>" if said else ""
    body = (
        f'<h1>This link has a password</h1>{wrong}<form method=post action="/s/{escape(token)}"><label>Password '
        "<input type=password name=password required autofocus autocomplete=off></label><button>Open</button></form>"
    )
    return _page("Password", body)


def drop_page(token: str, to: str, sent: Iterable[DroppedFile] | None) -> bytes:
    """The form for files, and what was sent with the last one."""
    done = ""
    if sent is not None:
        items = "".join(f"<li>{_name(one.name)} <span class=facts>{_size(one.size)}</span></li>" for one in sent)
        done = f"<div class=done role=status><p>Thank you. These have arrived:</p><ul>{items}</ul></div>"
    whom = f" to <bdi>{escape(to)}</bdi>" if to else ""
    body = (
        f'<h1>Send files{whom}</h1>{done}<form method=post action="/s/{escape(token)}/files" enctype="multipart/form-data">'
        "<label>Files <input type=file name=file multiple required></label><button>Send</button></form>"
        f"<p class=facts>Up to {_size(DROP_FILE_MAX_BYTES)} a file. You will not see what others have sent.</p>"
    )
    return _page("Send files", body)


def gone_page() -> bytes:
    """The one page of all links that do not work."""
    return _page(
        "Not found",
        "<h1>There is nothing here</h1><p>This link does not exist, or does not work any more. "
        "Ask the person you have it from for a new one.</p>",
    )


def trouble_page(title: str, said: str) -> bytes:
    """What went wrong, for everything else."""
    return _page(title, f"<h1>{escape(title)}</h1><p>{escape(said)}</p>")


def _href(token: str, door: str, names: Iterable[str], page: str | None = None) -> str:
    path = "/".join(names)
    query = "&".join(f"{key}={quote(value, safe='')}" for key, value in (("path", path), ("page", page or "")) if value)
    return escape(f"/s/{quote(token, safe='')}{door}{'?' + query if query else ''}")


def _trail(token: str, look: Look) -> str:
    """The folders above, each a way back."""
    if not look.names:
        return ""
    names = (look.visit.name, *look.names[:-1])
    steps = [f'<a href="{_href(token, "", look.names[:depth])}">{_name(name)}</a>' for depth, name in enumerate(names)]
    return f"<nav aria-label=Folders>{' / '.join(steps)}</nav>"


def _name(name: str) -> str:
    return f"<bdi>{escape(name)}</bdi>"


def _icon(kind: Kind) -> str:
    return f"<span class={'dir' if kind is Kind.DIR else 'doc'} aria-hidden=true></span>"


def _size(size: int) -> str:
    value, unit = float(size), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{size} {_UNITS[0]}" if unit == 0 else f"{value:.3g} {_UNITS[unit]}" if value < 100 else f"{value:.0f} {_UNITS[unit]}"


def _time(time_us: int) -> str:
    return f'<time datetime="{to_text(time_us)}">{to_time(time_us):%Y-%m-%d %H:%M} UTC</time>'


def _page(title: str, body: str) -> bytes:
    return _PAGE.format(title=escape(title), body=body).encode(errors="replace")


_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex, nofollow"><meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark"><title>{title}</title>
<style>
:root {{ --ink: #1c2733; --soft: #5b6976; --line: #dde3ea; --paper: #fff; --ground: #f3f5f8; --blue: #0b62c4; --on: #fff;
  --red: #b3261e; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #dbe2ea; --soft: #93a1af; --line: #2b343e; --paper: #1a2129;
  --ground: #12171d;
  --blue: #7db8ff; --on: #10161c; --red: #ff8a80; }} }}
* {{ box-sizing: border-box; }}
body {{ font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); margin: 0; padding: 1.5rem 1rem; }}
main {{ max-width: 46rem; margin: 0 auto; background: var(--paper); border: 1px solid var(--line); border-radius: 12px;
  padding: 1.5rem; }}
h1 {{ font-size: 1.35rem; font-weight: 600; margin: 0 0 .5rem; overflow-wrap: anywhere; }}
header {{ display: flex; flex-wrap: wrap; gap: .75rem; align-items: center; justify-content: space-between;
  margin-bottom: .75rem; }}
header h1 {{ margin: 0; }}
nav {{ font-size: .9rem; color: var(--soft); margin-bottom: .75rem; overflow-wrap: anywhere; }}
a {{ color: var(--blue); text-decoration: none; }} a:hover {{ text-decoration: underline; }}
.facts {{ color: var(--soft); margin: .25rem 0 1rem; }}
.button, button {{ display: inline-block; font: inherit; font-weight: 500; color: var(--on); background: var(--blue); border: 0;
  border-radius: 8px; padding: .55rem 1.1rem; cursor: pointer; }}
.file {{ text-align: center; padding: 1.5rem 0; }}
table {{ width: 100%; border-collapse: collapse; }}
th {{ text-align: left; font-weight: 500; font-size: .85rem; color: var(--soft); }}
td, th {{ padding: .5rem .25rem; border-bottom: 1px solid var(--line); vertical-align: top; }}
td:first-child {{ overflow-wrap: anywhere; }}
.number, .time {{ text-align: right; white-space: nowrap; color: var(--soft); padding-left: 1rem;
  font-variant-numeric: tabular-nums; }}
.dir, .doc {{ display: inline-block; width: 1.1em; height: .85em; margin-right: .55em; border-radius: 2px; vertical-align: -.05em;
  background: var(--blue); }}
.doc {{ width: .8em; height: 1em; margin: 0 .7em 0 .15em; background: none; border: 1.5px solid var(--soft);
  vertical-align: -.15em; }}
form {{ display: flex; flex-wrap: wrap; gap: .75rem; align-items: end; margin: 1rem 0; }}
label {{ flex: 1 1 14rem; font-size: .9rem; color: var(--soft); }}
input {{ display: block; width: 100%; font: inherit; color: inherit; background: var(--ground); border: 1px solid var(--line);
  border-radius: 8px; padding: .5rem .6rem; margin-top: .25rem; }}
.wrong {{ color: var(--red); }} .done {{ border-left: 3px solid var(--blue); padding-left: .9rem; overflow-wrap: anywhere; }}
.pages a {{ margin-right: 1rem; }}
footer {{ max-width: 46rem; margin: .75rem auto; font-size: .8rem; color: var(--soft); text-align: center; }}
@media (max-width: 34rem) {{ .time {{ display: none; }} main {{ padding: 1.1rem; }} }}
</style></head><body>
<main>
{body}
</main>
<footer>Shared with Syncline</footer>
</body></html>
"""
