"""The pieces of a page: sections, tables, pictures as data URIs, all in one HTML file without scripts."""

import base64
import io
import itertools
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from PIL import Image

from ccrop.report.charts import COLORS

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 0 16px 48px; color: #1f2328; background: #fff;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.45rem; line-height: 1.25; overflow-wrap: anywhere; margin: 24px 0 12px; }
h2 { font-size: 1.2rem; margin: 36px 0 8px; padding-bottom: 4px; border-bottom: 1px solid #d0d7de; }
p { margin: 8px 0; max-width: 75ch; }
.verdict { padding: 12px 16px; border-left: 6px solid #2da44e; background: #eaf7ee; overflow-wrap: anywhere; }
.verdict.bad { border-color: #cf222e; background: #fdecec; }
.verdict strong { display: block; font-size: 1.1rem; }
.verdict ul { margin: 4px 0 0; padding-left: 20px; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(320px, 100%), 1fr)); gap: 16px;
  margin: 16px 0; }
.halves { grid-template-columns: repeat(auto-fill, minmax(min(500px, 100%), 1fr)); }
svg { display: block; width: 100%; height: auto; }
.scroll { overflow-x: auto; }
.scroll th { white-space: nowrap; }
.scroll img { min-width: 860px; }
img { display: block; max-width: none; }
.wide { width: 100%; height: auto; }
figure > div:not(.scroll) .wide { max-width: 900px; }
.legend span { margin-right: 16px; white-space: nowrap; }
.legend i { display: inline-block; width: 12px; height: 12px; margin-right: 6px; border: 1px solid #8c959f; }
figure { margin: 12px 0; }
figcaption { color: #57606a; font-size: 0.9rem; margin-top: 4px; max-width: 75ch; }
table { border-collapse: collapse; font-size: 0.92rem; }
th, td { text-align: left; padding: 4px 12px 4px 0; border-bottom: 1px solid #eaeef2; vertical-align: top; }
td.figure { white-space: nowrap; }
.facts td { overflow-wrap: anywhere; }
.facts td span { display: inline-block; max-width: 100%; }
.facts th { white-space: nowrap; font-weight: 600; }
pre { overflow-x: auto; background: #f6f8fa; padding: 12px; font-size: 0.8rem; line-height: 1.4; }
details { margin: 12px 0; }
summary { cursor: pointer; }
.thumbs { display: grid; grid-template-columns: repeat(6, minmax(0, 96px)); gap: 6px; margin: 0 0 8px; }
.thumbs img { width: 100%; height: auto; aspect-ratio: 1; border: 3px solid #d0d7de; }
.thumbs .query { border-color: #1f2328; }
.thumbs .same { border-color: #2da44e; }
.thumbs .other { border-color: #cf222e; }
"""


def page(title: str, sections: Iterable[str]) -> str:
    """A whole HTML document."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
        + "\n".join(sections)
        + "\n</body>\n</html>\n"
    )


def section(title: str, *parts: str) -> str:
    """A heading and its content; nothing if that is empty."""
    body = "\n".join(filter(None, parts))
    return f"<section>\n<h2>{escape(title)}</h2>\n{body}\n</section>" if body else ""


def paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def facts(rows: Mapping[str, str]) -> str:
    """A table of names and values; a narrow screen breaks lines between words, not after a hyphen."""
    cells = (f"<tr><th>{escape(name)}</th><td>{_words(value)}</td></tr>" for name, value in rows.items() if value)
    return f'<table class="facts">{"".join(cells)}</table>'


def _words(text: str) -> str:
    return " ".join(f"<span>{escape(word)}</span>" if "-" in word else escape(word) for word in text.split(" "))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table that scrolls sideways on narrow screens."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f'<td class="figure">{escape(cell)}</td>' for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def charts(drawn: Iterable[str], wide: bool = False) -> str:
    """Charts side by side, as many as the screen has room for; ``wide`` ones need more of it."""
    drawn = list(filter(None, drawn))
    kind = "charts halves" if wide else "charts"
    return f'<div class="{kind}">{"".join(f"<div>{each}</div>" for each in drawn)}</div>' if drawn else ""


def picture(image: Image.Image, caption: str, scrolls: bool = False) -> str:
    """A picture with a caption, as wide as the page; one that ``scrolls`` keeps a readable width on a phone."""
    kind = "scroll" if scrolls else ""
    return (
        f'<figure><div class="{kind}"><img class="wide" src="{data_uri(image)}" alt="{escape(caption)}"></div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def thumbnail(image: Image.Image, kind: str, text: str) -> str:
    """A small picture of a row; ``kind`` names its frame in the style, ``text`` appears on hover."""
    return f'<img class="{kind}" src="{data_uri(image)}" alt="{escape(text)}" title="{escape(text)}">'


def folded(summary: str, text: str) -> str:
    """Plain text that opens when its summary is clicked."""
    return fold(summary, f"<pre>{escape(text)}</pre>")


def fold(summary: str, content: str) -> str:
    """HTML that opens when its summary is clicked."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def legend(colors: Mapping[str, str]) -> str:
    """Names with their colors."""
    marks = (f'<span><i style="background:{color}"></i>{escape(name)}</span>' for name, color in colors.items())
    return f'<p class="legend">{"".join(marks)}</p>'


def line_legend(names: Iterable[str]) -> str:
    """Names with the colors that a chart gives its lines, in their order."""
    return legend(dict(zip(names, itertools.cycle(COLORS))))


def data_uri(image: Image.Image, quality: int = 80) -> str:
    """A picture inside the page, as JPEG."""
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
