"""Decision tree: activations by what a token and the two before it are, and by the characters of the token and the one before.

Questions are "is it ` the`?" for every token of the evidence at each of the three places, and the classes of `characters`;
so a tree, unlike a table, can say something of tokens that it has not seen. Source: ours, with scikit-learn's regression tree.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeRegressor

from replication.features.examples import NO_TOKEN
from replication.interpretability.explainers.characters import AT_LEAST, CLASSES, classes
from replication.interpretability.explainers.wording import WEAK, Clause, quoted
from replication.interpretability.protocol import Windows

IDENTITIES, CHARACTERS = range(3), range(2)  # how far before the token its neighbours are told, and their characters are
LEAVES = 24
NAMES, LENGTHS = list(CLASSES), set(AT_LEAST.values())


@dataclass(frozen=True)
class Questions:
    """What is asked about a place: the tokens known at each distance before it, and `table` [token, class], last NO_TOKEN's row."""

    known: list[NDArray[np.int32]]
    table: NDArray[np.float32]

    @staticmethod
    def of(tokens: NDArray[np.int32], table: NDArray[np.float32]) -> "Questions":
        """The questions to ask after seeing windows."""
        inside = tokens != NO_TOKEN
        seen = (np.unique(before(tokens, distance)[inside]) for distance in IDENTITIES)
        return Questions([some[some != NO_TOKEN] for some in seen], table)

    def __call__(self, tokens: NDArray[np.int32]) -> NDArray[np.float32]:
        """Answers 0 or 1 for each place inside the context, [place, question]: identities by distance, then classes by distance."""
        inside = tokens != NO_TOKEN
        neighbours = [before(tokens, distance)[inside] for distance in IDENTITIES]
        identities = [neighbours[distance][:, None] == self.known[distance] for distance in IDENTITIES]
        return np.concatenate([*identities, *(self.table[neighbours[distance]] for distance in CHARACTERS)], axis=1, dtype=np.float32)

    def told(self, question: int) -> tuple[int, int, int]:
        """A question's distance, and its token or (if that is NO_TOKEN) its class."""
        for distance, known in zip(IDENTITIES, self.known, strict=True):
            if question < len(known):
                return distance, int(known[question]), 0
            question -= len(known)
        return question // len(NAMES), NO_TOKEN, question % len(NAMES)


@dataclass(frozen=True)
class Tree:
    """A fitted tree and what its questions are."""

    questions: Questions
    fitted: DecisionTreeRegressor

    def __call__(self, tokens: NDArray[np.int32]) -> NDArray[np.float64]:
        """The mean activation of the leaf that each place falls into."""
        levels = np.zeros(tokens.shape)
        inside = tokens != NO_TOKEN
        if inside.any():
            levels[inside] = self.fitted.predict(self.questions(tokens), check_input=False)
        return levels

    def clauses(self, strings: list[str]) -> list[Clause]:
        """One for each leaf in which the unit fires."""
        tree, found = self.fitted.tree_, []
        ways: list[tuple[int, list[tuple[int, bool]]]] = [(0, [])]
        while ways:
            node, way = ways.pop()
            if tree.children_left[node] != tree.children_right[node]:
                question = int(tree.feature[node])
                ways += [(tree.children_left[node], [*way, (question, False)]), (tree.children_right[node], [*way, (question, True)])]
            elif tree.value[node, 0, 0] >= WEAK:
                level = float(tree.value[node, 0, 0])
                answered = [(*self.questions.told(question), yes) for question, yes in way]
                phrase, *around = [_phrase([(token, name, yes) for at, token, name, yes in answered if at == distance], strings)
                                   for distance in IDENTITIES]
                while around and not around[-1]:
                    around.pop()
                found.append(Clause(phrase or "any other token", level, level * int(tree.n_node_samples[node]),
                                    " after ".join(each or "any token" for each in around)))
        return found


def _phrase(answers: list[tuple[int, int, bool]], strings: list[str]) -> str:
    """What a leaf says of one token: which it is, else its last classes, else what it is not; nothing where only tokens were ruled out.

    Of answers about length the last one says the most.
    """
    for token, _, yes in answers:
        if token != NO_TOKEN and yes:
            return quoted(strings[token])
    told = [(NAMES[name], yes) for token, name, yes in answers if token == NO_TOKEN]
    are = {"length" if name in LENGTHS else name: name for name, yes in told if yes}
    are_not = {"length" if name in LENGTHS else name: f"not {name}" for name, yes in told if not yes}
    said = list((are or are_not).values())[-2:]
    return f"a token {' and '.join(said)}" if said else ""


def fitter(strings: list[str]) -> Callable[[Windows], Tree]:
    """How a tree is fitted to windows."""
    table = np.concatenate([classes(strings), np.zeros((1, len(NAMES)), dtype=bool)]).astype(np.float32)

    def fit(windows: Windows) -> Tree:
        questions = Questions.of(windows.tokens, table)
        # the seed decides between questions that separate equally well
        fitted = DecisionTreeRegressor(max_leaf_nodes=LEAVES, random_state=0)
        return Tree(questions, fitted.fit(questions(windows.tokens), windows.activations[windows.tokens != NO_TOKEN].astype(np.float64), check_input=False))

    return fit


def before(tokens: NDArray[np.int32], distance: int) -> NDArray[np.int32]:
    """The tokens that are so far before each place of windows; NO_TOKEN where the window does not show them."""
    return np.pad(tokens, ((0, 0), (distance, 0)), constant_values=NO_TOKEN)[:, : tokens.shape[1]]
