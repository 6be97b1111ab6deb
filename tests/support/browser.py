"""A headless Chromium that opens a file without a network, for tests that look at pages."""

import json
import shutil
import subprocess
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WINDOW = "1400,1000"
MILLISECONDS = 15000  # of the page's own time until it is looked at

# Runs before everything else: notes what goes wrong, and what is fetched.
WATCH = """<script>
window.seen = {errors: [], results: {}, requests: []};
window.addEventListener("error", (event) => seen.errors.push(String(event.message)), true);
window.addEventListener("unhandledrejection", (event) => seen.errors.push(String(event.reason)));
const said = console.error;
console.error = (...words) => { seen.errors.push(words.join(" ")); said(...words); };
</script>"""

# Runs after everything else: puts a copy of every result's pictures into the page, whose load event waits for them; then
# leaves what was seen in the page, and shows the result that the address names.
EXAMINE = """<script>
const store = document.createElement("div");
store.style = "position: absolute; left: -99999px";
document.body.append(store);
for (const [path, result] of Object.entries(results)) {
  const bytes = Uint8Array.from(atob(result.data_uri.split("base64,")[1]), (letter) => letter.charCodeAt(0));
  const page = new DOMParser().parseFromString(new TextDecoder().decode(bytes), "text/html");
  const pictures = [...page.querySelectorAll("img")];
  const copies = pictures.map((picture) => { const copy = new Image(); copy.src = picture.src; store.append(copy); return copy; });
  seen.results[path.split("/").pop()] = {
    heading: page.querySelector("h1")?.textContent, copies,
    alternatives: pictures.map((picture) => picture.alt),
    drawings: [...page.querySelectorAll("svg[role=img]")].map((svg) => svg.querySelector("desc").textContent),
    tables: page.querySelectorAll("table th[scope=col]").length,
  };
}
window.addEventListener("load", () => {
  for (const result of Object.values(seen.results)) {
    result.widths = result.copies.map((copy) => copy.naturalWidth);
    delete result.copies;
  }
  store.remove();
  const fetched = performance.getEntriesByType("resource").map((entry) => entry.name);
  seen.requests = fetched.filter((name) => !/^(data|blob|file):/.test(name));
  const verdict = document.createElement("pre");
  verdict.id = "verdict";
  verdict.style.display = "none";
  verdict.textContent = JSON.stringify(seen);
  document.body.append(verdict);
  const wanted = decodeURIComponent(location.hash.slice(1));
  const path = wanted && Object.keys(results).find((name) => name.endsWith(wanted));
  if (path) {
    const category = Object.keys(categories).find((name) => Object.values(categories[name]).flat().includes(path));
    app.setView({
      navbarMode: "resultinfo", category, subcategory: Object.keys(categories[category])[0],
      content: "html", contentPath: results[path].data_uri, resultPath: path,
    });
  }
});
</script>"""


def watched(report: Path) -> Path:
    """A copy of Snakemake's report that examines itself."""
    text = report.read_text(encoding="utf-8")
    copy = report.with_name("watched.html")
    head, _, rest = text.partition("<head>")
    body, _, end = rest.rpartition("</body>")
    copy.write_text(f"{head}<head>{WATCH}{body}{EXAMINE}</body>{end}", encoding="utf-8")
    return copy


def _chromium(folder: Path, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", f"--user-data-dir={folder / 'profile'}", f"--window-size={WINDOW}",
            "--host-resolver-rules=MAP * ~NOTFOUND", f"--virtual-time-budget={MILLISECONDS}", *words,
        ],
        capture_output=True, text=True, timeout=180,
    )  # fmt: skip


def examine(page: Path, folder: Path) -> dict:
    """What a watched report saw of itself: errors, requests to a network, and every result's content."""
    import html

    dumped = _chromium(folder, "--dump-dom", page.as_uri())
    _, mark, rest = dumped.stdout.partition('<pre id="verdict" style="display: none;">')
    assert mark, f"the page did not get to its end:\n{dumped.stderr[-2000:]}"
    return json.loads(html.unescape(rest.partition("</pre>")[0]))


def screenshot(page: Path, result: str, picture: Path, folder: Path) -> None:
    """Show one result of a watched report, or its first page where `result` is empty, as a picture."""
    _chromium(folder, f"--screenshot={picture}", f"{page.as_uri()}#{result}")
