"""What a language model is asked, as chat messages; all words are ours.

Instructions open the first message, because some models take no system message. Demonstrations come first and are the
same for every unit, so that an endpoint can reuse what it computed of them. Source of the protocol: paper, appendix
"Automated interpretability".
"""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from replication.interpretability.protocol import LEVELS

WORDS = 40  # asked for
Tokens = Sequence[str]


class Example(TypedDict):
    """A window as it is shown: `tokens`, and one level of activation for each."""

    group: str
    tokens: list[str]
    activations: list[int]


class Demonstration(TypedDict):
    """A feature that a person explained: what was shown, how it was read, and windows that were held apart."""

    feature: str
    positive: list[str]
    negative: list[str]
    explain: list[Example]
    reasoning: str
    explanation: str
    predict: list[Example]


@functools.cache
def demonstrations() -> list[Demonstration]:
    """Eight features of the dictionary A/l1_high of the run `laptop`, which is never scored by default."""
    found: list[Demonstration] = json.loads(Path(__file__).with_name("demonstrations.json").read_text(encoding="utf-8"))
    return found


SETTING = f"""\
A unit of a small language model gives each token of a text an activation, written here as a whole number from 0 (silent) to {LEVELS} (the highest value \
that it has on a large sample of text). A window is a run of at most nine tokens that stand next to each other in a text; it may begin or end inside a \
word. Tokens are written as JSON strings with their spaces and line breaks, and a byte that is no whole character as \\\\xNN."""

EXPLAIN = f"""{SETTING}

Your task is to find out what a unit responds to. You see one unit at a time: the tokens that it makes likelier and less likely to come next, strongest \
first, and then windows, one in a line, as pairs of a token and its activation. The name before a window says how it was chosen:
- top: around the highest activations of all.
- interval 0 to interval 10: around activations near equally spaced shares of the maximum, from the highest (0) to the lowest (10).
- bottom: around the smallest activations that are not zero.
- random: anywhere in the text, whatever the unit does there.
- out of context: around tokens that are strong in the top windows, but anywhere in the text, so that you see whether the token alone is enough.

Think first, in a few sentences. Then write one last line that begins with "Explanation:" and says in at most {WORDS} words what the unit responds to, \
and what it makes likely to come next if that is clear. Describe tokens and their surroundings in words and do not quote them. Say what distinguishes \
strong activations from weak ones and from silence. Where you see no good reading, say what little can be relied on. Somebody who reads only that line \
will have to predict the unit's activations in other windows."""

PREDICT = f"""{SETTING}

Your task is to predict a unit's activations from a description of what it responds to. You get the description and numbered windows in random order. \
Some were chosen because the unit responds there, strongly or weakly; many are from anywhere in the text, or hold the unit's tokens in surroundings that \
may leave it silent.

Answer with one JSON object and nothing else. Its keys are the numbers of all windows, and the value of each is a list of whole numbers from 0 to {LEVELS}, \
one for each token of that window, in order."""

JUDGE = """\
A unit of a small language model responds to certain tokens of a text, and where it does, it makes some tokens likelier to come next. From a description \
of the unit, judge of each token in a numbered list whether it is one of those that the unit makes likelier to come next. The description may speak of \
what the unit responds to only; then judge what would follow there. Tokens are written as JSON strings with their spaces and line breaks, and a byte that \
is no whole character as \\\\xNN.

Answer with one JSON object and nothing else. Its keys are the numbers of all tokens, and the value of each is "yes" or "no", as in {"1": "no", "2": "yes"}."""


def explain(positive: Tokens, negative: Tokens, windows: Sequence[Example]) -> list[dict[str, str]]:
    """Asks for an explanation, after worked ones with their reasoning."""
    shown = [(_evidence(each["positive"], each["negative"], each["explain"]), f"{each['reasoning']}\nExplanation: {each['explanation']}")
             for each in demonstrations()]
    return _conversation(EXPLAIN, shown, _evidence(positive, negative, windows))


def predict(explanation: str, windows: Sequence[Tokens]) -> list[dict[str, str]]:
    """Asks for the activations of all windows at once, after worked answers; neither groups nor logits are shown."""
    shown = [(_windows(each["explanation"], [window["tokens"] for window in each["predict"]]), _numbers([window["activations"] for window in each["predict"]]))
             for each in demonstrations()]
    return _conversation(PREDICT, shown, _windows(explanation, windows))


def judge(explanation: str, tokens: Tokens) -> list[dict[str, str]]:
    """Asks for yes or no about each token."""
    lines = [f"{number}: {quoted(token)}" for number, token in enumerate(tokens, start=1)]
    return _conversation(JUDGE, [], "\n".join([f"Description: {explanation}", "Tokens:", *lines]))


def quoted(token: str) -> str:
    """A token as a JSON string in which every character can be seen.

    No chat template takes the result for one of its own marks, since those begin with <|.
    """
    written = "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in json.dumps(token, ensure_ascii=False))
    return written.replace("<|", "\\u003c|")


def _conversation(instructions: str, shown: Sequence[tuple[str, str]], question: str) -> list[dict[str, str]]:
    messages = []
    for asked, answered in shown:
        messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
    messages.append({"role": "user", "content": question})
    messages[0]["content"] = f"{instructions}\n\n{messages[0]['content']}"
    return messages


def _evidence(positive: Tokens, negative: Tokens, windows: Sequence[Example]) -> str:
    return "\n".join([
        f"Likelier to come next: {_list(positive)}", f"Less likely to come next: {_list(negative)}", "Windows:",
        *(f"{window['group']}: [{', '.join(f'[{quoted(token)},{level}]' for token, level in zip(window['tokens'], window['activations'], strict=True))}]"
          for window in windows)])


def _windows(explanation: str, windows: Sequence[Tokens]) -> str:
    return "\n".join([f"Description: {explanation}", "Windows:",
                      *(f"{number} ({len(tokens)} tokens): {_list(tokens)}" for number, tokens in enumerate(windows, start=1))])


def _numbers(rows: Sequence[Sequence[int]]) -> str:
    return "{" + ",\n".join(f'"{number}": [{",".join(map(str, row))}]' for number, row in enumerate(rows, start=1)) + "}"


def _list(tokens: Tokens) -> str:
    return f"[{', '.join(map(quoted, tokens))}]"
