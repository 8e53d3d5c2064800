"""Features as the states of automata, and phrases that they recite (paper, "Finite state automata").

In A/0, A/1, A/2, ...: a graph of features (`studies.transitions`), the strongest self loops, pairs, longer cycles and chains in
it (`studies.cycles`), those among them that the paper names (`studies.states`), and, with replicates, phrases that the text
repeats, followed token by token (`studies.phrases`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from replication.artifacts import Layout
from replication.config import Sae, Settings
from replication.features.contexts import pieces
from replication.features.matrix import EvaluationMatrix
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies.attribution import Attribution, Ids, attribution
from replication.studies.growth import per_doubling
from replication.studies.intervals import Arm, estimate, exact
from replication.studies.phenomenology import cycles, phrases, states
from replication.studies.phenomenology.phrases import Recital
from replication.studies.phenomenology.states import SYSTEMS
from replication.studies.phenomenology.transitions import holds, transitions
from replication.studies.replicates import base, groups, sibling
from replication.studies.tables import Number, Reader, number, write
from replication.studies.token_tables import top_tokens

LOOPS, PAIRS, CYCLES, CHAINS = 60, 60, 20, 30  # listed for each dictionary, of longer cycles for each length
NAMED = 5  # listed for each system that the paper names
FOLLOWED = 4  # phrases whose steps are listed
TOP_TOKENS = 4
STEPS = 4  # of a chain that counts as a phrase memorised
CHAINED = ("recited", "memorised")  # what the steps of a chain can be


@dataclass
class Machine:
    """What was found in one dictionary. `named` are the cycles of each system of the paper, `systems` all that are listed."""

    graph: dict[cycles.Edge, float]
    held: dict[cycles.Edge, float]
    edges: int
    holding: int
    live: int
    named: dict[str, list[cycles.States]]
    systems: list[tuple[str, cycles.States]] = field(default_factory=list)

    def holds(self, found: cycles.States, *, closed: bool = True) -> bool:
        """Whether every edge of a system weighs enough on half 1."""
        return all(edge in self.held for edge in cycles.steps(found, closed=closed))


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows of three sorts (`row`): a state of a system, a phrase with its longest chain, a step of a phrase."""
    assert settings.dictionaries and settings.studies
    stopwatch, reader = Stopwatch(), Reader(layout)
    saes = settings.dictionaries
    tokens, strings = reader.tokens(), reader.vocabulary().strings
    found_phrases = phrases.search(tokens, strings)
    of_tokens = states.kinds(pieces(layout.corpus()), tokens)
    machines: dict[str, Machine] = {}
    recitals: dict[str, list[Recital]] = {}
    parts = []
    for name in progress.over(saes, len(saes)):
        matrix, attributed = reader.matrix(name), attribution(reader, settings, name)
        live = np.flatnonzero(reader.features(name, "part")["part"].to_numpy(str) == "other")
        recitals[name] = phrases.recite(matrix, attributed, tokens, found_phrases, live)
        if name == base(name, saes):
            share = states.shares(matrix, of_tokens, half=0)
            machines[name] = machine(matrix, attributed, tokens, live, share)
            parts.append(listed(machines[name], matrix, tokens, strings, share).assign(dictionary=name, group=name, d_sae=saes[name].d_sae))
    parts += [table.assign(dictionary=name, group=base(name, saes), d_sae=saes[name].d_sae)
              for name, table in followed(recitals, saes, strings).items()]
    measured, missing = named(machines, states.lacking(of_tokens, reader.sources()), settings)
    numbers = measured | recited(recitals, settings) | about(machines)
    missing |= {f"licence_phrase_{key.replace('/', '_')}": f"the run has no {key}"
                for key in (sibling(settings.studies.main, "4"),) if key not in saes}
    missing |= {f"{column}_growth": "the run has one size of dictionary only" for column in CHAINED}
    write(out=out, study="automata", data=pd.concat(parts, ignore_index=True), numbers=numbers, settings=settings, reader=reader,
          stopwatch=stopwatch, missing=missing)


def machine(matrix: EvaluationMatrix, attributed: Attribution, tokens: np.ndarray, live: Ids, share: np.ndarray) -> Machine:
    """The graph of a dictionary's live features, and the systems in it."""
    table = transitions(matrix, attributed, tokens, live)
    keep = holds(table)
    keys = list(zip(table["source"].tolist(), table["target"].tolist(), strict=True))
    graph = dict(zip(keys, table["chosen"].tolist(), strict=True))
    held = {key: weight for key, weight, good in zip(keys, table["held"].tolist(), keep, strict=True) if good}
    of_kind = states.of_kind(share, live)
    found = Machine(graph, held, len(table), int(keep.sum()), len(live), {
        key: cycles.through(graph, [of_kind[kind] for kind in system.kinds]) if system.loop
        else cycles.within(graph, of_kind[system.kinds[0]]) for key, system in SYSTEMS.items()})
    found.systems = [(key, one) for key, those in found.named.items() for one in cycles.apart(those, NAMED)]
    found.systems += [("loop", one) for one in cycles.cycles(graph, 1)[:LOOPS]]
    found.systems += [("pair", one) for one in cycles.apart(cycles.cycles(graph, 2), PAIRS)]
    for length in range(3, cycles.LONGEST + 1):
        found.systems += [("cycle", one) for one in cycles.apart(cycles.cycles(graph, length), CYCLES)]
    found.systems += [("chain", one) for one in cycles.chains(graph)[:CHAINS]]
    return found


def listed(found: Machine, matrix: EvaluationMatrix, tokens: np.ndarray, strings: list[str], share: np.ndarray) -> pd.DataFrame:
    """One row per state of a system: its tokens, its kind, and the weight of the edge to the next state on either half."""
    wanted = np.unique([state for _, one in found.systems for state in one]).astype(np.int64)
    said = dict(zip(wanted.tolist(), top_tokens(matrix, tokens, strings, wanted, most=TOP_TOKENS), strict=True))
    labels = np.array(list(states.KINDS))
    rows = []
    for place, (sort, one) in enumerate(found.systems):
        closed = sort != "chain"
        strength, holding = cycles.strength(found.graph, one, closed=closed), int(found.holds(one, closed=closed))
        about = {"row": "state", "sort": sort, "system": place, "length": len(one), "strength": strength, "holds": holding}
        edges: list[cycles.Edge | None] = [*cycles.steps(one, closed=closed), *([] if closed else [None])]
        for step, (state, edge) in enumerate(zip(one, edges, strict=True)):
            rows.append({**about, "step": step, "feature": state, "tokens": said[state],
                         "kind": labels[share[state].argmax()] if share[state].max() >= states.SHARE else "",
                         "chosen": found.graph[edge] if edge else None, "held": found.held.get(edge) if edge else None})
    return pd.DataFrame(rows)


def followed(recitals: dict[str, list[Recital]], saes: Mapping[str, Sae], strings: list[str]) -> dict[str, pd.DataFrame]:
    """Of each first fit: a row per phrase, and a row per step of a few phrases."""
    largest = recitals[max(recitals, key=lambda name: saes[name].d_sae)]
    return {name: pd.concat([
        pd.DataFrame([{"row": "phrase", "system": place, "length": len(one.phrase.tokens) - 1, "text": one.phrase.text,
                       "licence": int(one.phrase.licence), "contexts": one.phrase.contexts, "longest_recited": one.longest("recited"),
                       "longest_memorised": one.longest("memorised")} for place, one in enumerate(those)]),
        *(step_by_step(those[place], strings).assign(sort=str(rank), system=place) for rank, place in enumerate(farthest(largest)))])
        for name, those in recitals.items() if name == base(name, saes)}


def farthest(those: list[Recital]) -> list[int]:
    """The phrases that are recited farthest: half of those that are listed are about licences, as far as there are any, and come first."""
    order = sorted(range(len(those)), key=lambda place: (-those[place].longest("recited"), place))
    licences = [place for place in order if those[place].phrase.licence][: FOLLOWED // 2]
    return list(dict.fromkeys([*licences, *order]))[:FOLLOWED]


def step_by_step(one: Recital, strings: list[str]) -> pd.DataFrame:
    """A row per step of a phrase."""
    tokens = one.phrase.tokens
    said, after = ([strings[token] for token in some] for some in (tokens[:-1], tokens[1:]))
    return one.steps.assign(row="step", licence=int(one.phrase.licence), step=range(len(one.steps)), text=said, next=after)


def named(machines: dict[str, Machine], lacking: dict[str, str], settings: Settings) -> tuple[dict[str, Number], dict[str, str]]:
    """Cycles of each system of the paper that hold on half 1: in A/0, or in all sizes where the paper names no dictionary."""
    assert settings.studies
    smallest = sibling(settings.studies.main, "0")
    numbers, missing = {}, dict(lacking)
    for key, system in SYSTEMS.items():
        where = [smallest] if system.in_the_smallest else list(machines)
        if key in lacking:
            continue
        if smallest in where and smallest not in machines:
            missing[key] = f"the run has no {smallest}"
            continue
        count = {name: sum(item.holds(one) for one in item.named[key]) for name, item in machines.items()}
        numbers[key] = Number(sum(count[name] for name in where), "cycles", sum(machines[name].live for name in where), "live features")
        numbers |= {f"{key}_{name.replace('/', '_')}": Number(count[name], "cycles", item.live, "live features")
                    for name, item in machines.items()}
    return numbers, missing


def recited(recitals: dict[str, list[Recital]], settings: Settings) -> dict[str, Number]:
    """Longest chains, how they grow with size, and licence phrases memorised by features of their own.

    The longest chain is a maximum, which no resample of the phrases can exceed: what varies is taken from the replicates alone.
    """
    assert settings.dictionaries
    numbers: dict[str, Number] = {}
    arms: dict[str, dict[str, Arm]] = {column: {} for column in CHAINED}
    count = len(next(iter(recitals.values())))
    for group, members in groups(settings.dictionaries).items():
        suffix = group.replace("/", "_")
        for column in CHAINED:
            arms[column][group] = exact([max((one.longest(column) for one in recitals[name]), default=0) for name in members])
            numbers[f"longest_{column}_{suffix}"] = number(estimate(arms[column][group]), unit="steps", n=count, over="repeated phrases")
        licences = [sum(one.phrase.licence and one.longest("memorised") >= STEPS for one in recitals[name]) for name in members]
        n = sum(one.phrase.licence for one in recitals[group])
        numbers[f"licence_phrase_{suffix}"] = number(estimate(exact(licences)), unit="chains", n=n, over="repeated phrases about licences")
    for column, of in arms.items():
        growth = per_doubling(of, {group: settings.dictionaries[group].d_sae for group in of})
        if growth is not None:
            numbers[f"{column}_growth"] = number(growth, unit="steps per doubling", n=count, over="repeated phrases")
    return numbers


def about(machines: dict[str, Machine]) -> dict[str, Number]:
    """How many live features have a self loop, and which share of edges found on half 0 holds on half 1."""
    numbers = {}
    for name, item in machines.items():
        suffix = name.replace("/", "_")
        loops = sum(source == target for source, target in item.held)
        numbers[f"self_loops_{suffix}"] = Number(loops, "features", item.live, "live features")
        if item.edges:
            numbers[f"edges_hold_{suffix}"] = Number(item.holding / item.edges, "share of edges", item.edges, "edges")
    return numbers
