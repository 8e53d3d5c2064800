r"""A LaTeX macro for every number of a run, so that a paper about it holds no number that was typed.

`\TMnumber{loss_recovered.recovered_A_1}` gives the value with the digits that its interval supports, `\TMlow`, `\TMhigh`,
`\TMsd`, `\TMn`, `\TMover` and `\TMunit` the rest; `\TMverdict` and `\TMpublished` take the id of a ledger row. Each number
also has a macro of its own, with letters only: `\TMLossRecoveredRecoveredAOne`, and the same name with `Low`, `High`, `Sd`, `N`.
What a number lacks is not defined: LaTeX then says so instead of printing nothing.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from replication.claims.numerals import published, supported

DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
SPECIAL = {"\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
           "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
SYMBOLS = {"±": r"\ensuremath{\pm}", "≥": r"\ensuremath{\geq}", "≤": r"\ensuremath{\leq}", "×": r"\ensuremath{\times}", "−": r"\ensuremath{-}"}
SUFFIXES = ("", "Low", "High", "Sd", "N")
PREAMBLE = r"""% \TMset{macro}{id}{value}{low}{high}{sd}{n}{over}{unit}, an empty field where a number has none.
\makeatletter
\newcommand{\TM@put}[2]{\if\relax\detokenize{#2}\relax\else\expandafter\gdef\csname #1\endcsname{#2}\fi}
\newcommand{\TM@get}[2]{\ifcsname TM@#1@\detokenize{#2}\endcsname\csname TM@#1@\detokenize{#2}\endcsname
  \else\PackageWarning{numbers}{no #1 of \detokenize{#2} in this run}\textbf{??}\fi}
\newcommand{\TMset}[9]{%
  \if\relax\detokenize{#1}\relax\else\TM@put{#1}{#3}\TM@put{#1Low}{#4}\TM@put{#1High}{#5}\TM@put{#1Sd}{#6}\TM@put{#1N}{#7}\fi
  \TM@put{TM@number@\detokenize{#2}}{#3}\TM@put{TM@low@\detokenize{#2}}{#4}\TM@put{TM@high@\detokenize{#2}}{#5}%
  \TM@put{TM@sd@\detokenize{#2}}{#6}\TM@put{TM@n@\detokenize{#2}}{#7}\TM@put{TM@over@\detokenize{#2}}{#8}\TM@put{TM@unit@\detokenize{#2}}{#9}}
\newcommand{\TMclaim}[3]{\TM@put{TM@verdict@\detokenize{#1}}{#2}\TM@put{TM@published@\detokenize{#1}}{#3}}
\newcommand{\TMcounted}[2]{\TM@put{TM@count@\detokenize{#1}}{#2}}
\newcommand{\TMnumber}[1]{\TM@get{number}{#1}}
\newcommand{\TMlow}[1]{\TM@get{low}{#1}}
\newcommand{\TMhigh}[1]{\TM@get{high}{#1}}
\newcommand{\TMsd}[1]{\TM@get{sd}{#1}}
\newcommand{\TMn}[1]{\TM@get{n}{#1}}
\newcommand{\TMover}[1]{\TM@get{over}{#1}}
\newcommand{\TMunit}[1]{\TM@get{unit}{#1}}
\newcommand{\TMverdict}[1]{\TM@get{verdict}{#1}}
\newcommand{\TMpublished}[1]{\TM@get{published}{#1}}
\newcommand{\TMcount}[1]{\TM@get{count}{#1}}
\makeatother
"""
TAKEN = frozenset(re.findall(r"\\newcommand\{\\(\w+)\}", PREAMBLE))


def text(numbers: Mapping[str, Mapping[str, Any]], rows: Sequence[Mapping[str, str]], counts: Mapping[str, int], about: Mapping[str, str]) -> str:
    r"""The whole file: `numbers` by `study.key`, the ledger's `rows` and `counts`, and `about` the run (`\TMrun`, ...)."""
    lines = [f"% Numbers of run {about['run']}, config {about['config']}, corpus {about['corpus']}; write \\input{{numbers.tex}} in the preamble.",
             PREAMBLE.rstrip()]
    lines += [f"\\newcommand{{\\TM{key}}}{{{escape(value)}}}" for key, value in about.items()]
    lines += [f"\\TMcounted{{{word}}}{{{count}}}" for word, count in counts.items()]
    lines += list(_numbers(numbers))
    lines += [f"\\TMclaim{{{row['id']}}}{{{row['verdict']}}}{{{escape(published(row))}}}" for row in rows]
    return "\n".join(lines) + "\n"


def macro(name: str) -> str:
    """Letters only: `loss_recovered.recovered_A_1` becomes `TMLossRecoveredRecoveredAOne`."""
    words = re.findall(r"[A-Za-z]+|\d", name)
    return "TM" + "".join(DIGITS[int(word)] if word.isdigit() else word[0].upper() + word[1:] for word in words)


def figures(text: str) -> str:
    """A number as it stands in a sentence and in a formula: `-0.3`, `520,192`, `2.1e-05`."""
    mantissa, _, exponent = text.replace(",", "{,}").partition("e")
    power = f"\\times 10^{{{int(exponent)}}}" if exponent else ""
    return f"\\ensuremath{{{mantissa}{power}}}" if power or mantissa.startswith("-") else mantissa


def escape(text: str) -> str:
    """A text that LaTeX prints as it is."""
    return "".join(SPECIAL.get(letter, SYMBOLS.get(letter, letter)) for letter in text)


def _numbers(numbers: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    taken = {*TAKEN, "TMrun", "TMconfig", "TMcorpus", "TMversion"}
    for name, number in numbers.items():
        own = macro(name)
        if taken & set(_with_suffixes(own)):  # two ids that differ in a mark only, such as a_1 and a1: the later one has no name of its own
            own = ""
        taken.update(_with_suffixes(own))
        values = [figures(supported(number, part)) if part in number else "" for part in ("value", "low", "high", "sd")]
        n = figures(f"{number['n']:,}") if "n" in number else ""
        cells = [own, name, *values, n, escape(str(number.get("over", ""))), escape(str(number.get("unit", "")))]
        yield "\\TMset" + "".join(f"{{{cell}}}" for cell in cells)


def _with_suffixes(own: str) -> Iterable[str]:
    return [own + suffix for suffix in SUFFIXES] if own else []
