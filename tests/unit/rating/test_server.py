import json
import threading
from http.client import HTTPConnection

import pytest

from replication import cli
from replication.config import UserError
from replication.rating import ratings
from replication.rating.server import LARGEST, RatingServer

GOOD = {"confidence": 2, "strong_tokens": 3, "logits": 1, "separation": 1, "specificity": 2, "explanation": " commas\n after  words "}


@pytest.fixture
def server(task, root):
    with RatingServer(task, ratings.path_of("toy", "ann")) as server:
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server, method, path="/", body=None, **headers):
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    if body is not None and "Content-Length" not in headers:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    reply = connection.getresponse()
    text = reply.read().decode()
    connection.close()
    return reply.status, text, reply


def post(server, rows, **headers):
    return ask(server, "POST", "/ratings", json.dumps(rows).encode(), **{"Content_Type": "application/json"} | headers)


def rating(task, place=0, slot=0, **changes):
    unit = task.units[place]
    return GOOD | {"shown": task.cards[unit.name].id, "interval": unit.intervals[slot]} | changes


def test_what_is_posted_is_in_the_file_and_the_page_resumes(server, task, content):
    assert post(server, [rating(task), rating(task, 1, 2, explanation="=1+1")])[:2] == (200, "2")
    assert post(server, [rating(task, confidence=0)])[:2] == (200, "2")
    found = ratings.read("toy")
    assert found["unit"].tolist() == [task.units[0].name, task.units[1].name]
    assert found["total"].tolist() == [7, 9] and found["explanation"].tolist() == ["commas after words", "=1+1"]
    assert set(found["seed"]) == {3} and found["shown"].tolist() == [task.cards[unit.name].id for unit in task.units[:2]]
    status, page, reply = ask(server, "GET")
    assert status == 200 and [row["confidence"] for row in content(page)["saved"]] == [0, 2]
    assert content(page)["served"] is True and reply.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(("rows", "sentence"), [
    (lambda task: {}, "not a list of ratings"),
    (lambda task: [], "not a list of ratings"),
    (lambda task: ["x"], "rating 1 does not have exactly the fields shown, interval"),
    (lambda task: [rating(task) | {"unit": "A/1/3"}], "exactly the fields"),
    (lambda task: [rating(task, shown="0" * 12)], "no interval that this page asks about"),
    (lambda task: [rating(task, shown=[1])], "no interval that this page asks about"),
    (lambda task: [rating(task, interval=99)], "no interval that this page asks about"),
    (lambda task: [rating(task), rating(task, 1, confidence=4)], "rating 2: confidence is 4, not a whole number from 0 to 3"),
    (lambda task: [rating(task, confidence=True)], "confidence is True"),
    (lambda task: [rating(task, logits=3)], "separation is 1 though all logits agree"),
    (lambda task: [rating(task, explanation=7)], "explanation is no text"),
])
def test_a_bad_post_is_refused_with_a_sentence_and_changes_nothing(server, task, rows, sentence):
    status, text, _ = post(server, rows(task))
    assert status == 400 and sentence in text and "\n" not in text
    assert not server.path.exists()


def test_requests_of_another_form_are_refused(server, task):
    good = json.dumps([rating(task)]).encode()
    assert ask(server, "POST", "/ratings", b"{", Content_Type="application/json")[:2] == (400, "the request is not JSON")
    assert ask(server, "POST", "/ratings", b"[" * 100_000, Content_Type="application/json")[0] == 400
    assert ask(server, "POST", "/ratings", good, Content_Type="text/plain")[0] == 400  # what a form of another site can send
    assert ask(server, "POST", "/ratings", good, Content_Type="application/json", Content_Length=str(LARGEST + 1))[0] == 400
    assert ask(server, "POST", "/ratings", None, Content_Type="application/json")[0] == 400
    assert ask(server, "POST", "/elsewhere", good, Content_Type="application/json")[0] == 404
    assert ask(server, "GET", "/../../etc/passwd")[0] == 404
    assert ask(server, "PUT", "/ratings", good)[0] == 501
    assert not server.path.exists()


def test_other_hosts_and_origins_are_refused(server, task):
    own = f"127.0.0.1:{server.server_port}"
    assert server.server_address[0] == "127.0.0.1"
    for host in ("evil.example", f"evil.example:{server.server_port}", "127.0.0.1", "127.0.0.1:1"):
        assert ask(server, "GET", Host=host)[0] == 403
    for origin in ("http://evil.example", "null", f"https://{own}", "http://127.0.0.1:1"):
        assert post(server, [rating(task)], Origin=origin)[0] == 403
    assert not server.path.exists()
    assert post(server, [rating(task)], Origin=f"http://{own}")[0] == 200
    assert ask(server, "GET", Host=f"localhost:{server.server_port}")[0] == 200


def test_a_broken_file_stops_saving_with_its_sentence(server, task):
    server.path.parent.mkdir(parents=True)
    server.path.write_text("a,b\n1,2\n")
    status, text, _ = post(server, [rating(task)])
    assert status == 500 and "lacks the column unit" in text and server.path.read_text() == "a,b\n1,2\n"


def test_many_posts_at_once_lose_nothing(server, task):
    rows = [rating(task, place, slot) for place in range(6) for slot in range(3)]
    threads = [threading.Thread(target=post, args=(server, [row])) for row in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ratings.rows_of(server.path)) == len(rows)


def test_a_port_that_is_taken_is_one_sentence(server, task):
    for port in (server.server_port, 70_000):
        with pytest.raises(UserError, match=f"port {port} cannot be used"):
            RatingServer(task, server.path, port)


def test_a_page_as_a_file_and_its_export_come_back(layout, root, tmp_path, capsys, content, row):
    page = tmp_path / "page.html"
    assert cli.main(["rate", str(layout.root), "--units", "6", "--page", str(page)]) == 0
    assert str(page) in capsys.readouterr().out and not root.exists()
    units, columns = content(page.read_text())["units"], content(page.read_text())["columns"]
    rows = [{**row, "shown": unit["id"], "interval": unit["rate"][0]} for unit in units]
    exported = tmp_path / "ratings.csv"
    exported.write_text("\n".join([",".join(columns), *(",".join('"' + str(one[c]).replace('"', '""') + '"' for c in columns) for one in rows)]))
    assert cli.main(["rate", str(layout.root), "--rater", "ben", "--import", str(exported)]) == 0
    found = ratings.read("toy")
    assert set(found["rater"]) == {"ben"} and sorted(found["table"]) == ["A/1"] * 2 + ["A/neurons"] * 2 + ["random/1"] * 2
    assert found["shown"].tolist() == [unit["id"] for unit in units] and set(found["explanation"]) == {row["explanation"]}
    exported.write_text(exported.read_text().replace(units[2]["id"], "f" * 12))
    assert cli.main(["rate", str(layout.root), "--rater", "eve", "--import", str(exported)]) == 2
    assert "row 4" in (said := capsys.readouterr().err) and "trained anew" in said and not (root / "toy" / "eve.csv").exists()


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["nowhere"], "nowhere is not a folder"), (["--units", "1"], "--units is 1"), (["--rater", "A B"], "small letters"),
    (["--seed", "-1"], "--seed is -1"), (["--import", "no.csv"], "no.csv does not exist"), (["--port", "70000"], "port 70000 cannot be used")])
def test_mistakes_on_the_command_line_are_one_sentence(layout, root, capsys, arguments, sentence):
    run = [] if arguments == ["nowhere"] else [str(layout.root), "--units", "6"]
    assert cli.main(["rate", *run, *arguments]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1


def test_a_folder_that_is_no_run_is_one_sentence(tmp_path, capsys):
    assert cli.main(["rate", str(tmp_path)]) == 2
    assert "contexts.meta.json is missing" in capsys.readouterr().err
