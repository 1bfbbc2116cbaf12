"""The chart of a comparison, as SVG text that needs nothing but a browser.

Every bar is a ratio on one logarithmic scale: it begins at 1x, where the other server stands, and
ends at the median; a thin line spans the smallest and the largest ratio of a round. The
card brings its own background, since a page's theme need not be the reader's colour scheme."""
import math
from xml.sax.saxutils import escape

from figures import amount, digits

WIDTH = 840
MARGIN = 24
LABEL_WIDTH = 232
LABEL_WIDTH_SHORT = 196
GAP = 26
ROW = 38
BAR = 13
TICKS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)

STYLE = """
  .card { fill: #ffffff; stroke: #d8dee4; }
  text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
         fill: #24292f; }
  .title { font-size: 19px; font-weight: 650; }
  .panel { font-size: 13px; font-weight: 600; }
  .ratio { font-weight: 650; }
  .dim { fill: #66707b; font-size: 11px; }
  .tick { fill: #66707b; font-size: 10.5px; text-anchor: middle; }
  .grid { stroke: #e6eaee; }
  .base { stroke: #8b949e; stroke-width: 1.5; }
  .bar { fill: #1f7a6d; }
  .worse { fill: #c4532d; }
  .span { stroke: #0b3b34; stroke-width: 1.5; opacity: 0.55; }
  @media (prefers-color-scheme: dark) {
    .card { fill: #0f1419; stroke: #2b333b; }
    text { fill: #e3e8ed; }
    .dim, .tick { fill: #93a0ac; }
    .grid { stroke: #222a31; }
    .base { stroke: #76818c; }
    .bar { fill: #38b29f; }
    .worse { fill: #e2764f; }
    .span { stroke: #d5fff7; }
  }
"""


class Panel:
    """A strip of the page with a logarithmic axis of ratios."""

    def __init__(self, left, width, ratios):
        self.left = left
        self.width = width - 46  # the figure at the end of the longest bar needs its room
        low = min([1.0, *ratios])
        high = max([2.0, *ratios])
        self.low = max((tick for tick in TICKS if tick <= low), default=TICKS[0])
        self.high = min((tick for tick in TICKS if tick >= high), default=TICKS[-1])

    def x(self, ratio):
        ratio = min(max(ratio, self.low), self.high)
        return self.left + self.width * math.log(ratio / self.low) / math.log(self.high / self.low)

    def axis(self, top, bottom):
        for tick in TICKS:
            if self.low <= tick <= self.high:
                x = self.x(tick)
                kind = "base" if tick == 1 else "grid"
                yield f'<line class="{kind}" x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}"/>'
                yield text(x, top - 6, f"{digits(tick)}×", "tick")

    def bar(self, y, metric, caption):
        ratio = metric["ratio"]
        if not ratio:
            return
        ends = sorted((self.x(1), self.x(ratio)))
        kind = "bar" if ratio >= 1 else "bar worse"
        yield (f'<rect class="{kind}" x="{ends[0]:.1f}" y="{y}" rx="2" height="{BAR}" '
               f'width="{max(ends[1] - ends[0], 1):.1f}"/>')
        reach = ends[1]
        if metric["ratio_min"] and len(metric["values"][0]) > 1:
            low, high = self.x(metric["ratio_min"]), self.x(metric["ratio_max"])
            middle = y + BAR / 2
            yield (f'<line class="span" x1="{low:.1f}" y1="{middle}" x2="{high:.1f}" '
                   f'y2="{middle}"/>')
            reach = max(reach, high)
        yield text(reach + 5, y + BAR - 2.5, f"{digits(ratio)}×", "ratio")
        yield text(self.x(1) + 4, y + BAR + 12, caption, "dim")


def text(x, y, content, kind=""):
    kind = f' class="{kind}"' if kind else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}">{escape(content)}</text>'


def caption_of(metric):
    first, second = (amount(value, metric["unit"]) for value in metric["medians"])
    return f"{first}  vs  {second}"


def ratios_of(metrics):
    return [metric[key] for metric in metrics for key in ("ratio", "ratio_min", "ratio_max")
            if metric[key]]


def find(result, key):
    return next((metric for metric in result["metrics"] if metric["key"] == key), None)


def draw_pairs(results, top):
    """Throughput and CPU beside each other, a row per scenario."""
    keys = (("msgs_per_s", "messages per second"),
            ("server_cpu_s_per_million", "server CPU per million messages"))
    rows = [result for result in results if any(find(result, key) for key, _ in keys)]
    if not rows:
        return [], top
    width = (WIDTH - 2 * MARGIN - LABEL_WIDTH - GAP) / 2
    ratios = ratios_of(metric for result in rows for key, _ in keys
                       if (metric := find(result, key)))
    out = []
    bottom = top + 28 + len(rows) * ROW
    for number, (key, title) in enumerate(keys):
        panel = Panel(MARGIN + LABEL_WIDTH + number * (width + GAP), width, ratios)
        out.append(text(panel.left, top, title, "panel"))
        out += panel.axis(top + 28, bottom)
        for index, result in enumerate(rows):
            metric = find(result, key)
            if metric:
                out += panel.bar(top + 36 + index * ROW, metric, caption_of(metric))
    for index, result in enumerate(rows):
        out.append(text(MARGIN, top + 36 + index * ROW + BAR - 2, result["title"]))
    return out, bottom + 36


def label_of(result, metric):
    """What a bar outside the pairs is called: on its own, unless several scenarios have such a figure."""
    if metric["label"] in ("SUB", "UNSUB"):
        return f"{metric['label']}, {result['title']}"
    if result["group"] == "speed" or metric["label"] == "connects":
        return f"{result['title']}: {metric['label']}"
    return metric["label"]


def draw_singles(results, top):
    """Latencies, start and memory: a bar per figure that has a target, in two columns."""
    rows = [(label_of(result, metric), metric) for result in results
            for metric in result["metrics"]
            if metric["key"] not in ("msgs_per_s", "server_cpu_s_per_million")]
    rows = [row for row in rows if row[1]["target"]] or rows
    if not rows:
        return [], top
    width = (WIDTH - 2 * MARGIN - GAP) / 2
    ratios = ratios_of(metric for _, metric in rows)
    half = (len(rows) + 1) // 2
    bottom = top + 28 + half * ROW
    out = [text(MARGIN, top, "latency, start, memory, subscriptions", "panel")]
    for column in range(2):
        left = MARGIN + column * (width + GAP)
        panel = Panel(left + LABEL_WIDTH_SHORT, width - LABEL_WIDTH_SHORT, ratios)
        out += panel.axis(top + 28, bottom)
        for index, (label, metric) in enumerate(rows[column * half:(column + 1) * half]):
            out.append(text(left, top + 36 + index * ROW + BAR - 2, label))
            out += panel.bar(top + 36 + index * ROW, metric, caption_of(metric))
    return out, bottom + 36


def draw(document):
    """The whole chart for what compare.py writes as JSON."""
    first, second = document["servers"]
    out = [text(MARGIN, 42, f"{first['name']} and {second['name']}", "title"),
           text(MARGIN, 62, f"How many times better {first['name']} is; {second['name']} is the "
                            f"line at 1×. Medians of {document['rounds']} interleaved rounds, "
                            "thin lines from the worst to the best.", "dim"),
           text(MARGIN, 78, f"{second['version']}. {document['machine']}, load generator on the "
                            f"same cores, {document['date'][:10]}.", "dim")]
    pairs, top = draw_pairs(document["results"], 112)
    singles, top = draw_singles(document["results"], top)
    height = top - 12
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" '
        f'aria-label="{escape(first["name"])} compared with {escape(second["name"])}">',
        f"<style>{STYLE}</style>",
        f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="10"/>',
        *out, *pairs, *singles, "</svg>", ""])
