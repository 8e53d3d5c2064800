r"""`numbers.tex`: names that LaTeX accepts, each once; braces that balance; what is missing is not defined."""

import re

import pytest

from replication.claims import tex

NUMBERS = {
    "loss_recovered.recovered_A_1": {"value": 0.899935, "low": 0.891801, "high": 0.90807, "sd": 0.0029, "n": 520192, "over": "tokens", "unit": "share"},
    "live_features.growth_1_2": {"value": -302, "unit": "features", "n": 8192, "over": "features"},
    "x.tiny": {"value": 2.123e-7, "low": 2.0e-7, "high": 2.2e-7, "unit": "50 % & #_~^\\{}"},
    "x.a_1": {"value": 1}, "x.a1": {"value": 2}, "x.a_1_low": {"value": 3}, "x.b": {"value": 1, "low": 0, "high": 2}, "x.b_low": {"value": 4}}
ROW = {"id": "a-b", "verdict": "not comparable", "kind": "number", "published": ">=0.5", "tolerance": "0.02"}
ABOUT = {"run": "my_run", "config": "abc", "corpus": "def", "version": "0.1.0"}


def words(text):
    r"""A small reader of the file: `\command{argument}...` line by line; refuses what LaTeX would."""
    found = []
    for line in text.replace(tex.PREAMBLE, "").splitlines():
        if line.startswith("%"):
            continue
        command = re.match(r"\\([A-Za-z]+)", line)
        assert command, line
        arguments, depth, start, at = [], 0, 0, command.end()
        while at < len(line):
            letter = line[at]
            if letter == "\\" and not line[at + 1].isalpha():
                at += 2  # an escaped character
                continue
            assert depth or letter == "{", line
            if letter == "{":
                depth += 1
                start = at + 1 if depth == 1 else start
            elif letter == "}":
                depth -= 1
                arguments += [line[start:at]] if depth == 0 else []
            else:
                assert letter not in "%#&$^~" or "ensuremath" in line, line
            at += 1
        assert depth == 0, line
        found.append((command[1], arguments))
    return found


@pytest.fixture
def read():
    return words(tex.text(NUMBERS, [ROW], {"agrees": 7, "not run": 0}, ABOUT))


def test_every_line_is_a_command_with_the_arguments_it_takes(read):
    wanted = {"newcommand": 2, "TMcounted": 2, "TMset": 9, "TMclaim": 3}
    for command, arguments in read:
        assert len(arguments) == wanted[command], (command, arguments)
    assert ("TMclaim", ["a-b", "not comparable", r"\ensuremath{\geq} 0.5 \ensuremath{\pm} 0.02"]) in read
    assert ("newcommand", [r"\TMrun", r"my\_run"]) in read and ("TMcounted", ["agrees", "7"]) in read


def test_the_definitions_balance_and_take_no_more_than_nine_arguments():
    assert tex.PREAMBLE.count("{") == tex.PREAMBLE.count("}")
    assert tex.PREAMBLE.count(r"\if") == tex.PREAMBLE.count(r"\fi")
    assert max(map(int, re.findall(r"\]?\[(\d)\]", tex.PREAMBLE))) <= 9
    assert {"TMset", "TMclaim", "TMnumber", "TMlow", "TMverdict"} <= tex.TAKEN


def test_macros_have_letters_only_and_each_name_is_given_once(read):
    own = [arguments[0] for command, arguments in read if command == "TMset" and arguments[0]]
    taken = [name + suffix for name in own for suffix in tex.SUFFIXES]
    assert len(taken) == len(set(taken)) and not set(taken) & tex.TAKEN
    assert all(re.fullmatch("TM[A-Z][A-Za-z]*", name) for name in own)
    ids = [arguments[1] for command, arguments in read if command == "TMset"]
    assert ids == list(NUMBERS)
    unnamed = {arguments[1] for command, arguments in read if command == "TMset" and not arguments[0]}
    assert unnamed == {"x.a1", "x.a_1_low", "x.b_low"}  # `TMXAOneLow` is the low end of x.a_1


def test_a_number_has_the_digits_that_its_interval_supports(read):
    cells = {arguments[1]: arguments for command, arguments in read if command == "TMset"}
    assert cells["loss_recovered.recovered_A_1"] == [
        "TMLossRecoveredRecoveredAOne", "loss_recovered.recovered_A_1", "0.8999", "0.8918", "0.9081", "0.0029", "520{,}192", "tokens", "share"]
    assert cells["live_features.growth_1_2"][2:7] == [r"\ensuremath{-302}", "", "", "", "8{,}192"]
    assert cells["x.tiny"][2] == r"\ensuremath{2.12\times 10^{-7}}"
    assert cells["x.tiny"][8] == r"50 \% \& \#\_\textasciitilde{}\textasciicircum{}\textbackslash{}\{\}"


@pytest.mark.parametrize(("name", "macro"), [
    ("loss_recovered.main_recovered", "TMLossRecoveredMainRecovered"), ("a.l0_A_1-r2", "TMALZeroAOneRTwo"), ("x.p50", "TMXPFiveZero")])
def test_names(name, macro):
    assert tex.macro(name) == macro


def test_numbers_of_every_planted_study_can_be_named():
    """Two ids never share a name by accident: digits and marks are told apart where the studies use them."""
    names = ["recovered_A_0", "recovered_A_1", "recovered_mean_A_1", "l0_A_1", "growth_0_1", "growth_1_2", "recovered_A_l1_low", "recovered_A_l1_high"]
    assert len({tex.macro(f"s.{name}") for name in names}) == len(names)
