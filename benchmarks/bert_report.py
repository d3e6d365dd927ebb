"""What bert.py makes of its medians: ratios, a table and a chart."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from bert_rows import CEILING, ROWS, Row, Target

# Okabe and Ito's colours, which the colour-blind can tell apart.
COLOURS = {
    "ptbert": "#D55E00",
    "original": "#000000",
    "transformers sdpa": "#0072B2",
    "transformers eager": "#56B4E9",
    "transformers compiled": "#009E73",
    "ONNX Runtime": "#E69F00",
    "fused AdamW": "#CC79A7",
}
Medians = dict[str, float]


def operations(config: dict[str, Any], sentences: int, tokens: int) -> float:
    """Floating-point operations of a forward pass of the trunk: its products, at two each."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    projections = 4 * hidden * hidden  # query, key, value, output, for each token
    feed_forward = 2 * hidden * inner
    attention = 2 * tokens * hidden  # scores, and the mean of the values, over all heads
    layer = sentences * tokens * (projections + feed_forward + attention)
    pooler = sentences * hidden * hidden
    return 2.0 * (config["num_hidden_layers"] * layer + pooler)


def judge(target: Target, medians: Medians, details: dict[str, Any]) -> dict[str, Any] | None:
    """A target and what was reached, or None where none of its peers ran."""
    if target.against == (CEILING,):
        best, ratio = CEILING, details.get("share of the GEMM ceiling")
    else:
        found = {name: medians[name] for name in target.against if name in medians}
        best = min(found, key=lambda name: found[name], default="")
        ratio = found[best] / medians["ptbert"] if found else None
    if ratio is None:
        return None
    at_least = round(target.at_least, 3)
    return {
        "against": best,
        "ratio": round(ratio, 3),
        "at_least": at_least,
        "passed": ratio >= target.at_least,
    }


def judge_row(row: Row, medians: Medians, details: dict[str, Any]) -> list[dict[str, Any]]:
    judged = [judge(target, medians, details) for target in row.targets]
    return [one for one in judged if one]


def show_row(row: Row, medians: Medians, details: dict[str, Any]) -> None:
    """Prints the libraries of a row, the fastest first."""
    for name, median in sorted(medians.items(), key=lambda item: item[1]):
        rate = details.get("tokens/s", {}).get(name)
        speed = f"{rate:9.0f} tokens/s" if rate else " " * 18
        apart = details["deviation"].get(name)
        note = f"  deviation {apart:.1e}" if apart else ""
        ratio = median / medians["ptbert"]
        print(f"  {name:<22}{median:10.2f} {row.unit}  x{ratio:5.2f}  {speed}{note}", flush=True)
    ceilings = ", ".join(f"{value} {unit}" for unit, value in details["ceilings"].items())
    share = details.get("share of the GEMM ceiling")
    print(f"  machine: {ceilings}" + (f", share of it {share:.2f}" if share else ""), flush=True)


def show_targets(targets: dict[str, list[dict[str, Any]]]) -> None:
    print("targets: the peer's time (or memory) over ptbert's")
    for name, judged in targets.items():
        for one in judged:
            verdict = "passed" if one["passed"] else "FAILED"
            print(
                f"  {name:<20} {one['against']:<22} {one['ratio']:6.2f}, "
                f"at least {one['at_least']:.2f}: {verdict}"
            )


def draw(axes: Any, rows: list[Row], medians: dict[str, Medians], title: str) -> None:
    """One group of bars for each row: ptbert is 1, and longer is better."""
    position, ticks = 0.0, []
    for row in rows:
        found = medians[row.name]
        start = position
        for library in [name for name in COLOURS if name in found]:
            value = found["ptbert"] / found[library]
            axes.barh(position, value, height=0.9, color=COLOURS[library])
            digits = ",.0f" if found[library] >= 1000 else ".4g"
            label = f"{value:.2f}  ({found[library]:{digits}} {row.unit})"
            axes.text(value + 0.01, position, label, va="center", fontsize=8)
            position += 1
        ticks.append((start + position - 1) / 2)
        position += 0.8
    axes.set_yticks(ticks, [row.title.replace(", ", "\n", 1) for row in rows])
    axes.axvline(1, color="#888888", linewidth=0.8, linestyle=":")
    axes.invert_yaxis()
    axes.margins(x=0.2, y=0.01)
    axes.set_title(title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)


def plot(medians: dict[str, Medians], machine: dict[str, Any], file: Path) -> None:
    """A chart of all rows that were timed."""
    importlib.import_module("matplotlib").use("Agg")
    pyplot = importlib.import_module("matplotlib.pyplot")
    patch = importlib.import_module("matplotlib.patches").Patch
    rows = [row for row in ROWS if row.name in medians]
    parts = {
        "Speed, ptbert = 1 (longer is faster)": [row for row in rows if row.unit == "ms"],
        "Memory, ptbert = 1 (longer is less)": [row for row in rows if row.unit == "MB"],
    }
    parts = {title: part for title, part in parts.items() if part}
    bars = [sum(len(medians[row.name]) + 0.8 for row in part) for part in parts.values()]
    figure, grid = pyplot.subplots(
        len(parts),
        figsize=(11, 0.24 * sum(bars) + 2),
        height_ratios=bars,
        squeeze=False,
        layout="constrained",
    )
    for axes, (title, part) in zip(grid[:, 0], parts.items(), strict=True):
        draw(axes, part, medians, title)
    drawn = {library for found in medians.values() for library in found}
    handles = [patch(color=COLOURS[name], label=name) for name in COLOURS if name in drawn]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle(f"BERT on {machine['processor']}, {machine['threads']} threads")
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=120)
