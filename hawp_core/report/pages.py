"""Pages of their own for figures and tables, which a keyboard scrolls and a screen reader reads.

Snakemake's report shows a picture without a text alternative and cuts what is taller than the window; a page has
neither fault. Each holds all that it shows: no page asks the network for anything.
"""

import base64
import html
import io
from collections.abc import Sequence

from PIL import Image

QUALITY = 90  # of pictures, of 100; thin lines keep their colours

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title><style>
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 1.5rem; color: #111; background: #fff }}
h1 {{ font-size: 1.25rem; margin: 0 0 .5rem }}
h2 {{ font-size: 1.1rem; margin: 1.5rem 0 .5rem }}
p {{ max-width: 46rem; margin: 0 0 1rem }}
svg, img {{ max-width: 100%; height: auto; display: block }}
div {{ overflow-x: auto }}
summary {{ cursor: pointer; margin-top: 1rem }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
th, td {{ padding: .3rem .8rem; border-bottom: 1px solid #bbb; text-align: right; white-space: nowrap }}
th:first-child {{ text-align: left }}
</style></head><body><main><h1>{title}</h1><p>{about}</p>
{body}
</main></body></html>
"""


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column names the row."""
    top = "".join(f'<th scope="col">{html.escape(head)}</th>' for head in heads)
    body = "".join(
        f'<tr><th scope="row">{html.escape(first)}</th>{"".join(f"<td>{html.escape(cell)}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return f'<div tabindex="0"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def sentences(said: Sequence[str]) -> str:
    """A list of sentences; nothing where there is none."""
    return f"<ul>{''.join(f'<li>{html.escape(each)}</li>' for each in said)}</ul>" if said else ""


def section(title: str, *parts: str) -> str:
    """Parts of a page under a heading of their own."""
    return "\n".join((f"<section><h2>{html.escape(title)}</h2>", *parts, "</section>"))


def page(title: str, about: str, *parts: str) -> str:
    """A page of its own.

    Args:
        about: one paragraph before the parts.
        parts: markup, from `table`, `sentences`, `section`, `drawing` or `picture`.
    """
    return _PAGE.format(title=html.escape(title), about=html.escape(about), body="\n".join(parts))


def drawing(svg: str) -> str:
    """An SVG drawing, without the XML head that only a file has; its own title and description are read aloud."""
    return svg[svg.index("<svg") :]


def picture(png: bytes, alternative: str) -> str:
    """A PNG picture with what it shows in words; as WebP, because photographs and noise take several times as much as PNG."""
    small = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(small, format="WEBP", quality=QUALITY)
    content = base64.b64encode(small.getvalue()).decode()
    return f'<img alt="{html.escape(alternative)}" src="data:image/webp;base64,{content}">'


def numbers(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The numbers behind a drawing, folded away."""
    return f"<details><summary>The same numbers as a table</summary>{table(heads, rows)}</details>"
