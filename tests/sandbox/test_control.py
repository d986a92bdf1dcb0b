from __future__ import annotations

import pytest

WHO = "/api/data/v9.2/WhoAmI"


@pytest.fixture
def call(sandbox, session):
    """One request to the control plane: the JSON of the reply."""

    def send(method, name, body=None, status=200):
        reply = session.request(method, f"{sandbox.url}/_sandbox/{name}", json=body)
        assert reply.status_code == status, reply.text
        return reply.json()

    return send


def test_reset_restores_everything(sandbox, call, signed_in):
    before = sorted(row["fullname"] for row in sandbox.organisation.rows("contact"))
    sandbox.organisation.create("contact", {"lastname": "New"})
    sandbox.organisation.switches.member = False
    sandbox.site.put_members([{"id": "new"}])
    call("POST", "clock", {"advance": 1e6})
    call("POST", "faults", {"kind": "drop"})
    call("POST", "limits", {"requests": 1})
    stats = call("POST", "reset")
    assert (stats["rows"]["contact"], stats["members"]) == (100, 50)
    assert stats["requests"] == {}
    assert sorted(row["fullname"] for row in sandbox.organisation.rows("contact")) == before
    assert call("GET", "faults") == []
    assert signed_in.get(sandbox.url + WHO).status_code == 200


def test_seed_anew_and_with_rows_of_ones_own(sandbox, call):
    assert call("POST", "seed", {"contacts": 6, "seed": 1})["members"] == 3
    row_id = "a0000000-0000-4000-8000-00000000000a"
    row = {"contactid": row_id, "firstname": "Ann", "modifiedon": "2020-01-01T00:00:00Z", "creditlimit": 1.5}
    stats = call(
        "POST", "seed", {"table": "contacts", "rows": [row], "members": [{"id": "M1", "email": "a@example.com"}]}
    )
    assert (stats["rows"]["contact"], stats["members"]) == (7, 4)
    held = sandbox.organisation.get("contact", row_id)
    assert (held["modifiedon"], held["creditlimit"], held["fullname"]) == ("2020-01-01T00:00:00", 15000, "Ann")
    call("POST", "seed", {"table": "contacts", "rows": [{"contactid": row_id, "lastname": "Lee"}]})
    assert sandbox.organisation.get("contact", row_id)["fullname"] == "Ann Lee"
    call("POST", "seed", {"contacts": 100, "seed": 7})


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("seed", {"contact": 5}),
        ("seed", {"table": "nope", "rows": []}),
        ("seed", {"table": "contacts", "rows": [{"nope": 1}]}),
        ("seed", {"table": "contacts", "rows": [{"firstname": 1}]}),
        ("seed", {"members": [{"email": "a@example.com"}]}),
        ("seed", [1]),
        ("clock", {"forward": 1}),
        ("clock", {"freeze": "soon"}),
        ("faults", {"kind": "nope"}),
        ("faults", {"route": "x"}),
        ("faults", {"kind": "drop", "hits": 1}),
        ("faults", {"kind": "drop", "route": "("}),
        ("limits", {"nope": 1}),
        ("limits", {"requests": "many"}),
        ("switches", {"dataverse": {"nope": 1}}),
        ("switches", {"dataverse": {"member": "no"}}),
        ("switches", {"nowhere": {"member": False}}),
        ("switches", {"annex": {"envelope": "round"}}),
    ],
)
def test_what_cannot_be_followed_is_400(call, name, body):
    assert call("POST", name, body, 400)["error"]


def test_clock(sandbox, call):
    assert call("POST", "clock", {"freeze": "2026-03-01T00:00:00Z"})["now"] == "2026-03-01T00:00:00+00:00"
    assert call("POST", "clock", {"advance": 60})["now"] == "2026-03-01T00:01:00+00:00"
    assert sandbox.clock.now().isoformat() == "2026-03-01T00:01:00+00:00"
    assert call("POST", "clock", {"reset": True})["now"] > "2026-03-02"


def test_replies_are_dated_by_the_clock(sandbox, call, session):
    call("POST", "clock", {"freeze": "2027-03-01T00:00:00Z"})
    call("POST", "faults", {"kind": "html", "route": "/users", "status": 502})
    for path in (WHO, "/api/3.0/users/x", "/_sandbox/stats", "/nowhere"):
        assert session.get(sandbox.url + path).headers.get("Date") == "Mon, 01 Mar 2027 00:00:00 GMT"


def test_faults_are_counted(sandbox, call, signed_in):
    call("POST", "faults", {"kind": "status", "route": "WhoAmI", "status": 503, "after": 1, "count": 2})
    call("POST", "faults", {"kind": "status", "route": "Nothing", "method": "POST", "status": 500})
    seen = [signed_in.get(sandbox.url + WHO).status_code for _ in range(4)]
    assert seen == [200, 503, 503, 200]
    assert [fault["hits"] for fault in call("GET", "faults")] == [2, 0]
    assert call("DELETE", "faults") == []


def test_faults_by_chance_are_the_same_each_time(sandbox, call, signed_in):
    runs = []
    for _ in range(2):
        call("DELETE", "faults")
        call("POST", "faults", {"kind": "status", "status": 500, "probability": 0.5})
        runs.append([signed_in.get(sandbox.url + WHO).status_code for _ in range(12)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 500}


def test_the_log_knows_requests_but_no_secrets(sandbox, call, signed_in):
    call("POST", "log")
    secret = sandbox.info["credentials"]["client_secret"]
    form = {"grant_type": "password", "client_secret": secret}
    signed_in.post(sandbox.url + "/common/oauth2/token", data=form)
    signed_in.get(sandbox.url + "/api/data/v9.2/contacts?$top=1&$select=fullname", headers={"Prefer": "x"})
    first, second = call("GET", "log")
    assert (first["method"], first["path"], first["status"]) == ("POST", "/common/oauth2/token", 400)
    assert (second["query"], second["status"]) == ("$top=1&$select=fullname", 200)
    assert second["headers"]["prefer"] == "x"
    assert second["headers"]["authorization"] == "(hidden)"
    assert second["ms"] > 0
    assert first["request_size"] > 0
    assert secret not in str([first, second])
    assert signed_in.headers["Authorization"].split()[1] not in str([first, second])
    assert call("DELETE", "log") == []


def test_stats_join_the_requests_of_a_route(sandbox, call, signed_in):
    for row in list(sandbox.organisation.rows("contact"))[:3]:
        signed_in.get(f"{sandbox.url}/api/data/v9.2/contacts({row['contactid']})")
    assert call("GET", "stats")["requests"]["GET /api/data/v9.2/contacts(...)"] == 3


def test_switches(sandbox, call, signed_in):
    call("POST", "switches", {"dataverse": {"dop_hint": 9}, "annex": {"page_size": 5}})
    assert signed_in.get(sandbox.url + WHO).headers["x-ms-dop-hint"] == "9"
    shown = call("GET", "switches")
    assert (shown["dataverse"]["dop_hint"], shown["annex"]["page_size"]) == (9, 5)
    call("POST", "switches", {"dataverse": {"unreadable_tables": ["contact"]}})
    assert signed_in.get(sandbox.url + "/api/data/v9.2/contacts").status_code == 403


def test_request_limit(sandbox, call, signed_in):
    call("POST", "clock", {"freeze": True})
    call("POST", "limits", {"requests": 2})
    first = signed_in.get(sandbox.url + WHO)
    assert first.headers["x-ms-ratelimit-burst-remaining-xrm-requests"] == "1"
    call("POST", "clock", {"advance": 100})
    assert signed_in.get(sandbox.url + WHO).status_code == 200
    refused = signed_in.get(sandbox.url + WHO)
    assert refused.status_code == 429
    assert refused.json()["error"] == {
        "code": "0x80072322",
        "message": "Number of requests exceeded the limit of 2 over time window of 300 seconds.",
    }
    assert refused.headers["Retry-After"] == "200"
    assert signed_in.get(sandbox.url + WHO).headers["Retry-After"] == "300", "pushing on makes it longer"
    call("POST", "clock", {"advance": 301})
    assert signed_in.get(sandbox.url + WHO).status_code == 200


def test_other_limits(sandbox, call, signed_in):
    assert call("POST", "limits", {"published": True}) == {
        "requests": 6000, "seconds": 1200, "concurrent": 52, "window": 300,
    }  # fmt: skip
    call("POST", "limits", {"concurrent": 0})
    assert signed_in.get(sandbox.url + WHO).json()["error"]["code"] == "0x80072326"
    call("POST", "limits", {"concurrent": None, "seconds": 0})
    assert signed_in.get(sandbox.url + WHO).json()["error"]["code"] == "0x80072321"
    assert session_is_free(sandbox, signed_in), "the limits are those of Dataverse only"


def session_is_free(sandbox, signed_in):
    return signed_in.get(sandbox.url + "/adfs/.well-known/openid-configuration").status_code == 200


def test_what_is_not_there_is_404(call):
    assert call("GET", "nothing", status=404)["error"]
    assert call("GET", "reset", status=404)["error"]
