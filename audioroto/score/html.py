"""An evaluation as one self-contained HTML page: nothing is fetched, everything shown is escaped."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from audioroto.score.error_rate import AlignedPair, Alignment, ErrorRate
from audioroto.score.evaluation import Evaluation

MAX_CONFUSIONS = 30  # rows of each list; confusions.txt has all


def format_html(evaluation: Evaluation, confusions: Mapping[str, Sequence[tuple[AlignedPair, int]]]) -> str:
    """The page: totals, a sortable table of speakers, the most frequent confusions, the wrong sentences worst first.

    `confusions` come from `report.count_confusions`. Sentences without an error are only counted.
    """
    words, interval = evaluation.word_errors, evaluation.interval
    wrong = {name: rate for name, rate in evaluation.words.items() if rate.errors}
    worst_first = sorted(wrong, key=lambda name: (-wrong[name].errors, name))
    title = f"WER {_percent(words.rate)} %"
    parts = [
        f"<h1>{title}</h1>",
        f"<p>95 % interval {_percent(interval.low)} to {_percent(interval.high)} over utterances"
        f" · CER {_percent(evaluation.character_errors.rate)} %"
        f" · {evaluation.sentence_errors} of {len(evaluation.words)} sentences wrong"
        f" · {len(evaluation.missing)} without a hypothesis · normalizer {escape(evaluation.normalizer)}</p>",
        _format_table("", [("all", words)]),
    ]
    if evaluation.speaker_words:
        parts += ["<h2>Speakers</h2>", _format_table("speaker", evaluation.speaker_words.items())]
    parts += ["<h2>Most frequent errors</h2>", '<div class="lists">']
    for operation, heading in (("substitute", "confused"), ("delete", "deleted"), ("insert", "inserted")):
        parts.append(_format_confusions(heading, confusions[operation]))
    parts += [
        "</div>",
        f"<h2>{len(wrong)} wrong sentences, worst first</h2>",
        "<p>Said: <del>reference</del> · heard: <ins>hypothesis</ins></p>",
    ]
    for name in worst_first:
        parts.append(f"<h3>{escape(name)} <small>{wrong[name].errors} / {wrong[name].reference_length}</small></h3>")
        parts.append(f"<p>{_format_alignment(evaluation.alignments[name])}</p>")
    return _PAGE.replace("TITLE", title).replace("BODY", "\n".join(parts))


def _format_table(heading: str, rates: Iterable[tuple[str, ErrorRate]]) -> str:
    headings = (heading, "WER %", "words", "substitutions", "deletions", "insertions")
    head = "".join(f"<th><button>{name}</button></th>" if heading else f"<th>{name}</th>" for name in headings)
    rows = []
    for name, rate in rates:
        numbers = [rate.reference_length, rate.substitutions, rate.deletions, rate.insertions]
        cells = [_percent(rate.rate), *map(str, numbers)]
        rows.append(f"<tr><th>{escape(name)}</th>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n" + "\n".join(rows) + "\n</tbody></table>"


def _format_confusions(heading: str, confusions: Sequence[tuple[AlignedPair, int]]) -> str:
    rows = [f"<tr><td>{count}</td><th>{_format_pair(pair)}</th></tr>" for pair, count in confusions[:MAX_CONFUSIONS]]
    total = sum(count for _, count in confusions)
    return f"<section><h3>{heading} ({total})</h3><table><tbody>{''.join(rows)}</tbody></table></section>"


def _format_alignment(alignment: Alignment) -> str:
    return " ".join(_format_pair(pair) for pair in alignment.pairs)


def _format_pair(pair: AlignedPair) -> str:
    if pair.operation == "equal":
        return escape(pair.reference)
    said = f"<del>{escape(pair.reference)}</del>" if pair.reference else ""
    heard = f"<ins>{escape(pair.hypothesis)}</ins>" if pair.hypothesis else ""
    return f"{said} {heard}".strip()


def _percent(rate: float) -> str:
    return f"{100 * rate:.2f}"


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>TITLE</title>
<style>
:root { color-scheme: light dark; --said: #a40000; --heard: #005a20; --line: #8884; }
@media (prefers-color-scheme: dark) { :root { --said: #ff9d94; --heard: #7ee2a0; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .7rem; text-align: right; border-bottom: 1px solid var(--line); }
tbody th { text-align: left; font-weight: normal; }
button { font: inherit; font-weight: bold; color: inherit; background: none; border: 0; padding: 0; cursor: pointer; }
th[aria-sort=ascending] button::after { content: " ▲"; }
th[aria-sort=descending] button::after { content: " ▼"; }
del { color: var(--said); text-decoration: line-through; }
ins { color: var(--heard); text-decoration: underline; }
h3 { margin: 1rem 0 0; font-size: 1rem; }
h3 + p { margin: 0; }
.lists { display: flex; flex-wrap: wrap; gap: 2rem; }
</style>
</head>
<body>
BODY
<script>
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.parentElement, body = head.closest("table").tBodies[0], column = head.cellIndex;
    const descending = head.getAttribute("aria-sort") !== "descending";
    for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const text = row => row.cells[column].textContent;
    const compare = (a, b) => text(a).localeCompare(text(b), undefined, { numeric: true });
    body.append(...[...body.rows].sort((a, b) => descending ? compare(b, a) : compare(a, b)));
  });
}
</script>
</body>
</html>
"""
