"""LaTeX tables compile with pdfLaTeX and booktabs alone, whatever text records hold."""

import shutil
import subprocess

import pytest

from rbench.report import render_tables
from rbench.report.layout import View
from rbench.report.value import Value
from rbench.run import Budget, Record, Training

HOSTILE = [
    "<script>&$#_{}~^\\", "=cmd|'/C", "学習率 0.1", "Σ n d² – “é” «ß» ÿ þ ð ∞ ≤ ½", "👩‍🔬 ❤️", "[1pt]", "*", "a%b",
    "\x1b[31mred", "\\input{/etc/passwd}", "नमस्ते", "a\u202eb", "\ud800", "^^M^^5c", "\\\\", "-" * 300,
]  # fmt: skip
PLAIN = ["sgd[lr=0.1]", "kfac[lr=0.1,damping=0.01]", "riemannian[output_metric=ggn,lr=0.1]"]
DOCUMENT = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n%s\n\\end{document}\n"


def records(methods, tasks):
    made = []
    for place, method in enumerate(methods):
        for seed in range(3):
            cell = Training(
                suite="s",
                task=tasks[place % len(tasks)],
                method=method,
                backend="numpy",
                seed=seed,
                budget=Budget(steps=5),
            )
            figures = {"device": "cpu", "test_loss": 1.0 + place + 0.1 * seed, "step_seconds": 1e-9 * (seed + 1)}
            status, reason = ("crashed", f"{method} broke; " * 9) if place % 3 == 2 else ("ok", None)
            machine = {"cpu": method, "rbench": method, "libraries": {"numpy": method}}
            made.append(Record(cell=cell, status=status, reason=reason, figures=figures, provenance=machine))
    return made


@pytest.mark.parametrize(
    "view", [View(), View(columns=("all",), group="none", caption="50 % & more")], ids=["usual", "all"]
)
@pytest.mark.parametrize(("methods", "tasks"), [(PLAIN, ["t", "u"]), (HOSTILE, HOSTILE)], ids=["plain", "hostile"])
def test_a_table_compiles(methods, tasks, view, tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed; on Debian: texlive-latex-recommended")
    text = DOCUMENT % render_tables(records(methods, tasks), "latex", view)
    (tmp_path / "table.tex").write_text(text, encoding="utf-8")
    words = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "table.tex"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, check=False, timeout=300)
    printed = done.stdout.decode("latin-1")
    assert done.returncode == 0, printed[-2000:]
    assert (tmp_path / "table.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("value", "latex"),
    [
        (Value("1.10"), "$1.10$"),
        (Value("1.10", "1.00", "1.20"), r"$1.10 \pm 0.10$"),
        (Value("4.51", "4.46", "4.52", "*"), r"{\bfseries\boldmath $4.51_{-0.05}^{+0.01}$}"),
        (Value("2.00", "1.00", "never", "~"), r"\textasciitilde 2.00 (1.00–never)"),
        (Value("never"), "never"),
        (Value("1.23e+05"), r"$1.23 \times 10^{5}$"),
        (Value("1.0e-09", "1.0e-10", "2.0e-09"), r"$1.0 \times 10^{-9}$ ($1.0 \times 10^{-10}$–$2.0 \times 10^{-9}$)"),
    ],
)
def test_numbers(value, latex):
    assert value.latex() == latex
