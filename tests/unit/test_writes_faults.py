"""Bulk messages, batches and single requests when the service does not do what it was asked."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pytest
import requests

from annex_d365.dataverse.writes import AlternateKey, Effect, Guid, Kind, Operation, TableDefinition, Written, guid_for
from annex_d365.dataverse.writes import batches as batches_module
from annex_d365.dataverse.writes import bulk as bulk_module
from annex_d365.dataverse.writes import health as health_module
from annex_d365.dataverse.writes.batches import Batches
from annex_d365.dataverse.writes.bulk import Bulk
from annex_d365.dataverse.writes.calls import Reply, TooMuchError
from annex_d365.dataverse.writes.outcomes import outcome
from annex_d365.dataverse.writes.tasks import Singles, Task
from annex_d365.errors import OutageError, PrivilegeError, RowError, ServiceError, SettingError

CONTACT = TableDefinition("contact", "contacts", "contactid", {"lastname": None})
IDS = [guid_for("contact", str(number)) for number in range(1000)]


def error(code, message="told"):
    return {"error": {"code": code, "message": message}}


def answer(status, body=None, **headers):
    response = requests.Response()
    response.status_code = status
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    response.request = requests.Request("POST", "https://org.crm.dynamics.com/api/data/v9.2/x").prepare()
    response._content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    return response


def batch_answer(*parts):
    lines = []
    for part in parts:
        lines += ["--b", "Content-Type: application/http", "Content-Transfer-Encoding: binary", ""]
        lines += [f"HTTP/1.1 {part.status_code} Told", *(f"{n}: {v}" for n, v in part.headers.items()), "", part.text]
    return answer(200, "\r\n".join([*lines, "--b--", ""]).encode(), Content_Type="multipart/mixed; boundary=b")


def gone(number):
    return error("0x80040217", f"Entity 'Contact' With Id = {IDS[number]} Does Not Exist")


class Service:
    """Answers by a function of the row's number, alone or in batches; bulk calls by another."""

    def __init__(self, row=None, call=None, whole=None):
        self.row = row or (lambda number, tries: answer(204))
        self.call = call or (lambda number, rows: answer(204))
        self.whole = whole or (lambda rows: None)
        self.root, self.headers = "https://org.crm.dynamics.com/api/data/v9.2/", {"Accept": "application/json"}
        self.gate = SimpleNamespace(pause=self._paused, sleep=self._slept)
        self.tries, self.sent, self.pauses, self.sleeps, self.calls = {}, [], [], [], 0
        self.in_doubt = False

    def _paused(self, seconds):
        self.pauses.append(seconds)

    def _slept(self, seconds):
        self.sleeps.append(seconds)

    def send(
        self, method, url, route, body=b"", headers=None, *, check=lambda _: None, divisible=False, most_failures=0
    ):
        if url == "$batch":
            urls = re.findall(r"(?:PATCH|POST|DELETE) https://\S+/v9.2/(\S+) HTTP/1.1", body.decode())
            self.sent.append(("batch", len(urls)))
            response = self.whole(len(urls))
            if response is None:
                response = batch_answer(*map(self._answer, urls))
        elif "Multiple" in url:
            rows = len(json.loads(body)["Targets"])
            self.sent.append((url.rpartition(".")[2], rows))
            self.calls += 1
            response = self.call(self.calls, rows)
        else:
            self.sent.append((method, 1))
            response = self._answer(url)
        if isinstance(response, Exception):
            raise response
        return Reply(response, self.in_doubt, route, check(response) if response.ok else None)

    def _answer(self, url):
        number = IDS.index(re.search("[0-9a-f-]{36}", url)[0])
        self.tries[number] = self.tries.get(number, 0) + 1
        return self.row(number, self.tries[number])


def upserts(count):
    return [Task(Operation(Kind.UPSERT, Guid(each), {"lastname": "L"})) for each in IDS[:count]]


def nobody(operation):
    return ""


def batches(service, limit=1000):
    return Batches(service, CONTACT, Singles(service, CONTACT, nobody), limit)


def bulk(service, kind=Kind.UPSERT, limit=1000):
    return Bulk(service, CONTACT, kind, batches(service), limit)


def send(way, tasks):
    """What became of the tasks, in their order."""
    results = {}
    way.send(dict(enumerate(tasks)), results)
    return [results[number] for number in range(len(tasks))]


def effects(results):
    return [each.effect if isinstance(each, Written) else each.code for each in results]


def test_only_throttled_parts_of_a_batch_are_sent_again_after_their_pause():
    def row(number, tries):
        return answer(429, error("0x80072322"), Retry_After="7") if number % 3 == 0 and tries == 1 else answer(204)

    service = Service(row)
    results = send(batches(service), upserts(10))
    assert effects(results) == [Effect.UPSERTED] * 10
    assert service.sent == [("batch", 10), ("batch", 4)]
    assert service.tries == {number: 2 if number % 3 == 0 else 1 for number in range(10)}
    assert (service.pauses, service.sleeps) == ([7.0], [])


def test_a_part_that_failed_may_have_been_done():
    def row(number, tries):
        failed = number == 1 and tries == 1
        return answer(500, error("0x80044150")) if failed else answer(404, gone(number))

    service = Service(row)
    deletions = [Task(Operation(Kind.DELETE, Guid(each))) for each in IDS[:3]]
    assert effects(send(batches(service), deletions)) == [Effect.MISSING, Effect.DELETED, Effect.MISSING]
    assert service.sent == [("batch", 3), ("DELETE", 1)]
    assert (service.pauses, len(service.sleeps)) == ([], 1)


def test_a_part_that_keeps_failing_ends_the_run(monkeypatch):
    monkeypatch.setattr(health_module, "MAX_TRIES", 3)
    service = Service(lambda number, tries: answer(503 if number < 2 else 204))
    with pytest.raises(OutageError, match="Gave up after 3 tries") as caught:
        send(batches(service), upserts(5))
    assert caught.value.status == 503
    assert service.sent == [("batch", 5), ("batch", 2), ("batch", 2)]


def test_patience_with_a_part_ends_however_few_its_tries(monkeypatch):
    """Throttling is not counted: it could go on for ever."""
    monkeypatch.setattr(batches_module, "PATIENCE_SECONDS", -1)
    service = Service(lambda number, tries: answer(429, error("0x80072322")) if number == 1 else answer(204))
    with pytest.raises(OutageError, match="Gave up after 1 tries") as caught:
        send(batches(service), upserts(3))
    assert caught.value.status == 429
    assert service.sent == [("batch", 3)]


def test_a_batch_that_is_too_large_is_halved_and_a_row_that_is_too_large_is_named():
    def row(number, tries):
        return answer(413) if number == 2 else answer(204)

    service = Service(row, whole=lambda rows: answer(413) if rows > 2 else None)
    results = send(batches(service), upserts(4))
    assert effects(results)[:2] == [Effect.UPSERTED] * 2
    assert isinstance(results[2], RowError)
    assert results[2].status == 413
    assert [sent for sent in service.sent if sent[0] == "batch"] == [("batch", 4), ("batch", 2), ("batch", 2)]


def test_a_batch_without_time_is_halved():
    service = Service(whole=lambda rows: TooMuchError(in_doubt=True) if rows > 25 else None)
    assert effects(send(batches(service), upserts(100))) == [Effect.UPSERTED] * 100
    assert [rows for _, rows in service.sent][:3] == [100, 50, 25]
    assert sum(rows for _, rows in service.sent) >= 100


def test_where_there_are_no_batches_rows_are_sent_alone(caplog):
    service = Service(whole=lambda rows: answer(501, error("0x80040000")))
    way = batches(service, limit=2)
    assert effects(send(way, upserts(10))) == [Effect.UPSERTED] * 10
    assert [each for each in service.sent if each[0] == "batch"] == [("batch", 2)] * 3
    assert caplog.text.count("one by one from now on") == 1


def test_what_is_about_all_rows_ends_the_run():
    privilege = error("0x80040220", "Principal user is missing prvWriteContact privilege on OTC=2")
    with pytest.raises(PrivilegeError, match="prvWriteContact"):
        send(batches(Service(lambda number, tries: answer(403, privilege))), upserts(3))
    with pytest.raises(PrivilegeError):
        send(bulk(Service(call=lambda number, rows: answer(403, privilege))), upserts(3))
    unknown = error("0x80048d19", "... The property 'nosuch' does not exist on type 'Microsoft.Dynamics.CRM.contact'.")
    with pytest.raises(SettingError, match="no column or navigation property `nosuch`"):
        send(bulk(Service(call=lambda number, rows: answer(400, unknown))), upserts(3))


def test_a_bulk_call_is_all_rows_or_none_and_a_batch_names_the_bad_one():
    def row(number, tries):
        return answer(400, error("0x80044331", "The length of the 'lastname' attribute ... 'Müller'"))  \
            if number == 777 else answer(200, {"contactid": IDS[number]})  # fmt: skip

    service = Service(row, call=lambda number, rows: answer(400, error("0x80044331")))
    results = send(bulk(service), upserts(1000))
    assert [number for number, each in enumerate(results) if not isinstance(each, Written)] == [777]
    assert str(results[777]) == (
        "Dataverse refused to upsert this row of contacts: a text is too long (400, 0x80044331, column `lastname`)."
    )
    assert service.sent == [("UpsertMultiple", 1000), *[("batch", 100)] * 10]


def test_a_bulk_call_without_time_is_halved_and_grows_again():
    service = Service(call=lambda number, rows: TooMuchError(in_doubt=True) if rows > 300 else answer(204))
    way = bulk(service)
    assert effects(send(way, upserts(1000))) == [Effect.UPSERTED] * 1000
    assert [rows for _, rows in service.sent] == [1000, 500, 250, 281, 316, 158, 177, 134]
    assert way.rows == 199


def test_a_body_that_is_too_large_is_not_sent(monkeypatch):
    monkeypatch.setattr(bulk_module, "MAX_BODY_BYTES", 60_000)
    service = Service()
    assert len(send(bulk(service), upserts(1000))) == 1000
    assert 250 <= max(rows for _, rows in service.sent) <= 500


def test_a_message_that_the_table_has_not_is_asked_for_once(caplog):
    service = Service(call=lambda number, rows: answer(400, error("0x80100008")))
    way = bulk(service, limit=200)
    assert effects(send(way, upserts(600))) == [Effect.UPSERTED] * 600
    assert service.calls == 1
    assert caplog.text.count("Batches are sent instead from now on") == 1


def test_a_message_that_refuses_good_rows_is_given_up():
    service = Service(call=lambda number, rows: answer(400, error("0x80040265")))
    way = bulk(service, limit=100)
    assert effects(send(way, upserts(1000))) == [Effect.UPSERTED] * 1000
    assert service.calls == 3


def test_a_bulk_call_whose_reply_was_lost_has_created_its_rows():
    service = Service(call=lambda number, rows: answer(412, error("0x80040237")))
    service.in_doubt = True
    told = []

    def take(tasks, results):
        told.extend(tasks.values())
        results.update(dict.fromkeys(tasks, Written(Effect.CREATED)))

    alone = SimpleNamespace(send=take, health=None)
    creates = [Task(Operation(Kind.CREATE, Guid(each))) for each in IDS[:3]]
    send(Bulk(service, CONTACT, Kind.CREATE, alone, 1000), creates)
    assert [task.in_doubt for task in told] == [True] * 3


def told(operation, status, body=None, *, in_doubt=False, find=nobody, **headers):
    return outcome(operation, Reply(answer(status, body, **headers), in_doubt), CONTACT, find)


OWN = Guid(IDS[0])
CODE = AlternateKey({"new_code": "A"})
NO_KEY = error("0x80060891", "A record with the specified key values does not exist in contact entity")
BOUND = {"parentcustomerid_account@odata.bind": f"/accounts({IDS[1]})"}


@pytest.mark.parametrize(
    ("operation", "status", "body", "in_doubt", "effect"),
    [
        (Operation(Kind.CREATE, OWN), 204, None, False, Effect.CREATED),
        (Operation(Kind.CREATE, OWN), 412, error("0x80040237"), False, Effect.EXISTS),
        (Operation(Kind.CREATE, OWN), 409, error("-2147220937"), True, Effect.EXISTS),
        (Operation(Kind.UPSERT, OWN), 201, {}, False, Effect.CREATED),
        (Operation(Kind.UPSERT, OWN), 200, {}, False, Effect.UPDATED),
        (Operation(Kind.UPSERT, OWN), 200, {}, True, Effect.UPSERTED),
        (Operation(Kind.UPSERT, OWN), 204, None, False, Effect.UPSERTED),
        (Operation(Kind.UPDATE, OWN), 204, None, False, Effect.UPDATED),
        (Operation(Kind.UPDATE, OWN), 404, gone(0), False, Effect.MISSING),
        (Operation(Kind.UPDATE, OWN, BOUND), 404, gone(0), False, Effect.MISSING),
        (Operation(Kind.UPDATE, CODE), 404, NO_KEY, False, Effect.MISSING),
        (Operation(Kind.UPDATE, CODE, BOUND), 404, NO_KEY, False, Effect.MISSING),
        (Operation(Kind.DELETE, OWN), 204, None, False, Effect.DELETED),
        (Operation(Kind.DELETE, OWN), 404, gone(0), False, Effect.MISSING),
        (Operation(Kind.DELETE, OWN), 404, gone(0), True, Effect.DELETED),
    ],
)
def test_what_answers_mean(operation, status, body, in_doubt, effect):
    written = told(operation, status, body, in_doubt=in_doubt)
    assert isinstance(written, Written)
    assert written.effect is effect
    assert written.id == ("" if operation.key is CODE else IDS[0])
    assert written.in_doubt == (in_doubt and effect is Effect.EXISTS)


MISSING_ACCOUNT = error("0x80040217", f"Entity 'Account' With Id = {IDS[1]} Does Not Exist")
NO_ACCOUNT = error("0x80060891", "A record with the specified key values does not exist in account entity")


@pytest.mark.parametrize(
    ("operation", "status", "body", "reason"),
    [
        (Operation(Kind.UPDATE, OWN, BOUND), 404, MISSING_ACCOUNT, "refers to is not there"),
        (Operation(Kind.UPDATE, CODE, BOUND), 404, MISSING_ACCOUNT, "refers to is not there"),
        (Operation(Kind.UPDATE, CODE, BOUND), 404, NO_ACCOUNT, "refers to is not there"),
        (Operation(Kind.UPSERT, OWN, BOUND), 404, MISSING_ACCOUNT, "refers to is not there"),
        (Operation(Kind.UPDATE, OWN, etag="x"), 412, error("0x80060882"), "someone else has changed"),
        (Operation(Kind.CREATE, OWN), 412, error("0x80060892"), "another row has the same alternate key"),
        (Operation(Kind.UPSERT, OWN), 412, error("0x80060892"), "another row has the same alternate key"),
        (Operation(Kind.UPSERT, OWN), 400, error("0x80040265", "secret"), "a rule of the organisation"),
        (Operation(Kind.UPSERT, OWN), 400, error("", "secret"), "see the code"),
        (Operation(Kind.UPSERT, OWN), 413, b"<html>", "too large"),
    ],
)
def test_what_rows_are_refused_for(operation, status, body, reason):
    refused = told(operation, status, body)
    assert isinstance(refused, RowError)
    assert reason in str(refused)
    assert "secret" not in str(refused)
    assert refused.status == status


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b"<html>a gateway", ServiceError),
        (404, b"<html>", ServiceError),
        (404, error("0x80060888", "Resource not found for the segment 'contacts'."), SettingError),
        (400, error("0x80060890", "not a defined key"), SettingError),
        (403, error("0x80048306"), SettingError),
        (500, error("0x80040216"), ServiceError),
    ],
)
def test_what_is_about_more_than_a_row(status, body, kind):
    with pytest.raises(kind) as caught:
        told(Operation(Kind.UPDATE, OWN), status, body)
    assert not isinstance(caught.value, RowError)


def test_in_the_way_of_an_alternate_key_may_be_the_row_itself():
    taken = error("0x80060892")
    assert told(Operation(Kind.CREATE, CODE), 412, taken, find=lambda _: IDS[5]) == Written(Effect.EXISTS, IDS[5])
    mine = told(Operation(Kind.CREATE, OWN), 412, taken, in_doubt=True, find=lambda _: IDS[0])
    assert mine == Written(Effect.EXISTS, IDS[0], in_doubt=True)


def test_the_guid_where_the_reply_tells_it():
    by_body = told(Operation(Kind.UPSERT, CODE), 201, {"contactid": IDS[3].upper()})
    assert by_body == Written(Effect.CREATED, IDS[3])
    url = f"https://org.crm.dynamics.com/api/data/v9.2/contacts({IDS[4]})"
    assert told(Operation(Kind.CREATE, CODE), 204, OData_EntityId=url).id == IDS[4]
    key_form = f"https://org.crm.dynamics.com/api/data/v9.2/contacts(new_code='{IDS[4]}')"
    assert told(Operation(Kind.UPSERT, CODE), 204, OData_EntityId=key_form).id == ""
