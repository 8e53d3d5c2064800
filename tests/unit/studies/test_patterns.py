"""Which tokens lie in what an expression matches, on a vocabulary of single bytes and a few words."""

import base64

import numpy as np
import pytest

from replication.features.proxies import Pieces, spans
from replication.studies.patterns import base64_runs, marked
from replication.studies.phenomenology import states
from replication.studies.phenomenology.language import language_of, lines_in


def text(*contexts, words=()):
    """Contexts of equal length in bytes as tokens: one per byte, but words that are tokens of their own."""
    vocabulary = [bytes([byte]) for byte in range(256)] + list(words)
    rows = []
    for said in contexts:
        row, rest = [], said.encode() if isinstance(said, str) else said
        while rest:
            word = next((word for word in words if rest.startswith(word)), rest[:1])
            row.append(vocabulary.index(word))
            rest = rest[len(word):]
        rows.append(row)
    assert len({len(row) for row in rows}) == 1
    return Pieces(vocabulary, np.ones(len(vocabulary), np.int64)), np.array(rows, np.int32)


def test_tokens_with_a_part_in_a_match_are_marked():
    pieces, tokens = text("xAB_Cy AB", words=(b"B_",))
    capitals, nothing = marked(pieces, tokens, [spans("[A-Z]{2,}"), spans("@")]).transpose(2, 0, 1)
    assert capitals.tolist() == [[False, True, True, False, False, False, True, True]]
    assert not nothing.any()


def test_every_context_is_searched_by_itself():
    pieces, tokens = text("xxA", "Bxx")
    assert not marked(pieces, tokens, [spans("AB")]).any()


def test_a_group_marks_its_own_bytes():
    pieces, tokens = text("<b>x")
    assert marked(pieces, tokens, [spans(r"<(?P<name>\w+)>", "name")])[0, :, 0].tolist() == [False, True, False, False]


@pytest.mark.parametrize(("said", "runs"), [
    (base64.b64encode(bytes(range(40, 90))), 1), (b"x = " + base64.b64encode(np.random.default_rng(0).bytes(60)) + b";", 1),
    (b"/usr/lib/python3/site/packages/module/Main", 0), (b"0123456789abcdef0123456789abcdef", 0), (b"TableTransformerFrozenBatchNorm2d", 0),
    (b"abcdefghijklmnopqrstuvwxyz", 0), (b"aB3", 0)])
def test_runs_of_base64_are_told_from_words_paths_and_hexadecimal(said, runs):
    assert len(list(base64_runs(said))) == runs


def test_states_of_a_tag():
    pieces, tokens = text("<td a>\n x</td>", words=(b"td", b"</"))
    found = dict(zip(states.KINDS, states.kinds(pieces, tokens).T, strict=True))
    assert np.flatnonzero(found["tag open"]).tolist() == [0, 8]
    assert np.flatnonzero(found["tag name"]).tolist() == [1, 9]
    assert np.flatnonzero(found["tag close"]).tolist() == [4, 10]
    assert np.flatnonzero(found["space after tag"]).tolist() == [5, 6]


def test_prefixes_and_ends_of_characters():
    pieces, tokens = text("அ中文a", words=("文".encode(), "அ".encode()[:2], "中".encode()[:2]))
    found = dict(zip(states.KINDS, states.kinds(pieces, tokens).T, strict=True))
    assert np.flatnonzero(found["Tamil prefix"]).tolist() == [0]
    assert np.flatnonzero(found["Tamil suffix"]).tolist() == [1]
    assert np.flatnonzero(found["Chinese prefix"]).tolist() == [2]
    assert np.flatnonzero(found["Chinese end"]).tolist() == [3, 4]  # a whole character is an end


def test_lines_of_irc():
    pieces, tokens = text("[12:30] <ann> hi\n* a bcd\n12:31 -!- bob\nno: 12:30 no\n")
    found = dict(zip(states.KINDS, states.kinds(pieces, tokens).T, strict=True))["IRC"]
    said = bytes(tokens[0].astype(np.uint8))
    assert bytes(said[k] for k in np.flatnonzero(found)) == b"[12:30] <ann> hi12:31 -!- bob"


def test_systems_whose_kinds_are_rare_on_a_half_are_lacking():
    of_tokens = np.ones((6, 20, len(states.KINDS)), bool)
    place = list(states.KINDS).index("underscore")
    assert states.lacking(of_tokens.reshape(-1, len(states.KINDS)), np.arange(6)) == {}
    of_tokens[1::2, :, place] = False
    assert list(states.lacking(of_tokens.reshape(-1, len(states.KINDS)), np.arange(6))) == ["caps_underscore_pair"]
    of_tokens[1, :, place] = True  # tokens enough, but one text
    assert "in 1 texts" in states.lacking(of_tokens.reshape(-1, len(states.KINDS)), np.arange(6))["caps_underscore_pair"]


@pytest.mark.parametrize(("line", "language"), [
    ("Je ne sais pas si elle est dans la maison avec vous", "French"), ("Er ist nicht auf dem Weg und sie wird es auch nicht", "German"),
    ("The cat is on the mat and that is all of it", "English"), ("No sé por qué está en el mar con los otros", "Spanish"), ("return x + y", ""),
    ("die", "")])
def test_languages_of_lines(line, language):
    assert language_of(line.encode()) == language


def test_lines_in_a_language():
    said = b"The cat is on the mat\nIl ne va pas avec vous dans les bois\n"
    assert [said[slice(*span)] for span in lines_in("French")(said)] == [b"Il ne va pas avec vous dans les bois"]
