"""Requests that no client should send, from one seed: garbage, and good requests with something broken in them."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

from annexcloud_client import compact, jwt_of, request_hmac
from hostile_words import (
    ACTIONS,
    ANNEX,
    ANNEX_MEMBERS,
    COLUMNS,
    CONTROL,
    CONTROL_MEMBERS,
    DEFINITION,
    FUNCTIONS,
    HEADERS,
    ID,
    MEMBER,
    MEMBERS,
    METHODS,
    NUMBERS,
    OPERATORS,
    OPTIONS,
    ORIGIN,
    SETS,
    TEXTS,
    WORDS,
)

from annex_d365_sandbox.sandbox import SECRET_KEY, SITE_ID
from annex_d365_sandbox.wire import Request


class Hostile:
    """Makes requests; ``token`` signs in to Dataverse."""

    def __init__(self, seed: int, token: str) -> None:
        self._chance = random.Random(seed)
        self._token = token
        self._rooms: tuple[Callable[[], Request], ...] = (
            self._read,
            self._read,
            self._write,
            self._act,
            self._define,
            self._batch,
            self._annex,
            self._annex,
            self._control,
            self._sign_in,
            self._anything,
        )

    def requests(self, count: int) -> Iterator[Request]:
        """So many requests."""
        for _ in range(count):
            yield self._chance.choice(self._rooms)()

    # Values

    def _one(self, of: Any) -> Any:
        return self._chance.choice(of)

    def _rarely(self, often: float = 0.1) -> bool:
        return self._chance.random() < often

    def _some(self, make: Callable[[], Any], most: int = 4) -> list[Any]:
        return [make() for _ in range(self._chance.randrange(most + 1))]

    def _text(self) -> str:
        if self._rarely():
            return "".join(self._some(lambda: self._one(string.printable + "üß\u0000\u2028\ud7ff"), 30))
        return self._one(TEXTS)

    def _value(self, names: tuple[str, ...], depth: int = 3) -> Any:
        kind = self._chance.randrange(8 if depth else 5)
        if kind < 2:
            return self._text()
        if kind < 5:
            return self._one(NUMBERS) if kind == 2 else self._one((None, True, False, [], {}))
        if kind == 5:
            return self._some(lambda: self._value(names, depth - 1))
        return {
            self._one((*names, self._text())): self._value(names, depth - 1) for _ in range(self._chance.randrange(5))
        }

    def _body(self, names: tuple[str, ...]) -> bytes:
        """Mostly JSON."""
        if self._rarely(0.15):
            return self._one(
                (
                    b"",
                    b"{",
                    b"[]",
                    b"null",
                    b"\xff\xfe",
                    b'"x"',
                    b'{"a":1,}',
                    b'{"a":NaN}',
                    b'{"a":"\\ud800"}',
                    b"[" * 5000,
                    b'{"lastname":"\xff"}',
                    b'{"a":' * 3000,
                    b"\x00" * 100,
                    b"1" * 5000,
                    b'{"lastname":1e99999}',
                    b'{"id":' + b"[" * 900 + b"1" + b"]" * 900 + b"}",
                    b'{"1":' * 400 + b"1" + b"}" * 400,
                    b'[{"id":' + b"[" * 300 + b"]" * 300 + b"}]",
                )
            )
        return compact({self._one(names): self._value(names) for _ in range(self._chance.randrange(1, 6))})

    def _head(self, **given: str) -> dict[str, str]:
        head = {"content-type": "application/json", **given}
        for name in self._chance.sample(sorted(HEADERS), self._chance.randrange(3)):
            if name != "authorization" or self._rarely(0.2):
                head[name] = self._one(HEADERS[name])
        return head

    # Dataverse

    def _literal(self) -> str:
        return self._one((f"'{self._text()}'", self._text(), str(self._one(NUMBERS)), "null", "true", ID, "2026-01-01"))

    def _condition(self, depth: int = 4) -> str:
        kind = self._chance.randrange(7)
        column = self._one(COLUMNS)
        if kind < 2 or not depth:
            return f"{column} {self._one(OPERATORS)} {self._literal()}"
        if kind == 2:
            return f"{self._one(FUNCTIONS)}({','.join(self._some(self._literal))})"
        if kind == 3:
            values = ",".join(self._some(self._literal))
            return f"{self._one(FUNCTIONS)}(PropertyName='{column}',PropertyValues=[{values}])"
        if kind == 4:
            return f"{self._one(('', 'not ', '-'))}({self._condition(depth - 1)})"
        if kind == 5:
            return f"{column}/{self._one(COLUMNS)} {self._one(OPERATORS)} {self._one(COLUMNS)}"
        return f"{self._condition(depth - 1)} {self._one(OPERATORS)} {self._condition(depth - 1)}"

    def _deep(self) -> str:
        times = self._one((50, 500, 3000))
        return self._one(
            (
                "(statecode eq 0 and (statecode eq 1 or " * times + "statecode eq 2" + "))" * times,
                "(" * times,
                "(" * times + "statecode eq 0" + ")" * times,
                "not " * times + "(statecode eq 0)",
                " or ".join(["statecode eq 0"] * times),
                "contains(" * times,
                "a/" * times,
                "[" * times,
                "'" * times,
                "(statecode eq 0) and not (" * times,
                "statecode eq 0 or (" * times + "x" + ")" * times,
            )
        )

    def _option(self) -> str:
        name = self._one(OPTIONS[:9]) if not self._rarely() else self._one(OPTIONS)
        value = {
            "$filter": self._condition,
            "$select": lambda: ",".join(self._some(lambda: self._one(COLUMNS))),
            "$orderby": lambda: ",".join(self._some(lambda: f"{self._one(COLUMNS)} {self._one(('asc', 'desc', 'x'))}")),
            "$expand": lambda: f"{self._one(COLUMNS)}({self._option()};{self._text()})",
            "$top": lambda: str(self._one(NUMBERS)),
            "$apply": lambda: (
                f"{self._one(('filter', 'groupby', 'aggregate', 'x'))}(({self._one(COLUMNS)}),{self._text()})"
            ),
            "$skiptoken": self._cookie,
            "$deltatoken": lambda: f"{self._one(NUMBERS)}!{self._one(('11/23/2026 00:00:00', self._text()))}",
        }.get(name, self._text)()
        if self._rarely():
            value = self._one((self._text, self._deep))()
        return f"{name}={value if self._rarely(0.2) else quote(value)}"

    def _cookie(self) -> str:
        inner = f'<cookie page="{self._text()}"><{self._one(COLUMNS)} last="{self._text()}" first="" /></cookie>'
        number = self._one(("2", "x", "9" * 5000, "-1"))
        return f'<cookie pagenumber="{number}" pagingcookie="{quote(inner)}" istracking="False" />'

    def _row_path(self) -> str:
        key = self._one(
            (ID, ID, ID, f"{self._one(COLUMNS)}={self._literal()}", self._text(), "", f"lastname='{self._text()}'")
        )
        tail = self._one(
            ("", "", f"/{self._one(COLUMNS)}", "/parentcustomerid_account/$ref", "/$value", "/" + self._text())
        )
        return f"{self._one(SETS)}({key}){tail}"

    def _dataverse(self, method: str, path: str, query: str = "", body: bytes = b"", **head: str) -> Request:
        if self._rarely(0.03):
            method = self._one(METHODS)
        version = "v9.2" if not self._rarely(0.03) else self._text()
        headers = self._head(authorization=f"Bearer {self._token}") | head
        return Request(method, f"/api/data/{version}/{path}", query, headers, body, ORIGIN)

    def _read(self) -> Request:
        path = self._one(
            (
                self._one(SETS),
                self._one(SETS) + "/$count",
                self._row_path(),
                "$metadata",
                "WhoAmI",
                self._text(),
                f"EntityDefinitions(LogicalName='{self._text()}')/{self._text()}",
                f"EntityDefinitions({self._text()})",
                f"RetrieveTotalRecordCount(EntityNames=[{self._literal()}])",
                "EntityDefinitions",
            )
        )
        return self._dataverse("GET", path, "&".join(self._some(self._option, 2)))

    def _write(self) -> Request:
        names = (*COLUMNS, *MEMBERS, "@odata.id", "@odata.type", "parentcustomerid_account@odata.bind", "value")
        method = self._one(("POST", "PATCH", "PUT", "DELETE"))
        bulk = f"{self._one(SETS)}/Microsoft.Dynamics.CRM.{self._one(('Create', 'Update', 'Upsert', 'Delete'))}Multiple"
        path = self._one((self._one(SETS), bulk)) if method == "POST" else self._row_path()
        body = self._body(names) if self._rarely(0.3) else compact({self._one(COLUMNS): self._value(names)})
        if path is bulk and not self._rarely():
            targets = [{"@odata.type": "Microsoft.Dynamics.CRM.contact", **self._object(names)} for _ in range(3)]
            body = compact({"Targets": targets})
        return self._dataverse(method, path, "&".join(self._some(self._option, 1)), body)

    def _object(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {self._one(names): self._value(names) for _ in range(self._chance.randrange(4))}

    def _act(self) -> Request:
        query = " ".join(self._some(lambda: self._one(WORDS), 30))
        if self._rarely():
            query = self._one(
                (
                    "(" * 3000,
                    "NOT(" * 3000,
                    "PROFILE(contact).FILTER(" + "1+" * 3000 + "1 == 1)",
                    "PROFILE(contact)" + " UNION PROFILE(contact)" * 800,
                )
            )
        body = self._object(MEMBERS) | self._one(
            (
                {"Query": query, "FetchXml": "<fetch><entity name='contact'/></fetch>"},
                {"msdyncrm_segmentquery": query},
                {},
            )
        )
        return self._dataverse(
            "POST", self._one(ACTIONS), "", compact(body) if not self._rarely() else self._body(MEMBERS)
        )

    def _define(self) -> Request:
        table = self._one(("LogicalName='contact'", "LogicalName='cr0dd_specimen'", ID, self._text()))
        column = self._one(("LogicalName='cr0dd_whole'", "LogicalName='lastname'", ID, self._text()))
        path = self._one(
            (
                "EntityDefinitions",
                f"EntityDefinitions({table})",
                f"EntityDefinitions({table})/Attributes",
                f"EntityDefinitions({table})/Attributes({column})",
                f"EntityDefinitions({table})/Keys",
                "RelationshipDefinitions",
                f"RelationshipDefinitions({ID})",
            )
        )
        kinds = [
            f"Microsoft.Dynamics.CRM.{kind}Metadata"
            for kind in ("Entity", "StringAttribute", "DecimalAttribute", "PicklistAttribute", "OneToManyRelationship")
        ]
        body = {
            "@odata.type": self._one(kinds),
            "SchemaName": f"new_x{self._chance.randrange(9)}",
            **self._object(DEFINITION),
        }
        return self._dataverse(
            self._one(("POST", "PUT", "DELETE", "PATCH")),
            path,
            "",
            compact(body) if not self._rarely(0.2) else self._body(DEFINITION),
        )

    def _batch(self) -> Request:
        parts = []
        for _ in range(self._chance.randrange(5)):
            method, path = (
                self._one(METHODS[:6]),
                self._one((self._one(SETS), self._row_path(), "$1", "$batch", self._text())),
            )
            line = (
                f"{method} {self._one(('/api/data/v9.2/', '', 'http://[', ORIGIN + '/api/data/v9.2/'))}{path} HTTP/1.1"
            )
            head = self._one(("", "Content-Type: application/json\r\n", "x\r\n", ": \r\n", "Prefer: \x00\r\n"))
            outer = self._one(
                ("Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: 1", "", "x")
            )
            part = f"{outer}\r\n\r\n{line}\r\n{head}\r\n".encode("utf-8", "replace") + self._body(COLUMNS)
            if self._rarely(0.3):
                part = (
                    b"Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n"
                    + part
                    + self._one((b"\r\n--c--", b"", b"\r\n--c"))
                )
            parts.append(part)
        end = self._one((b"\r\n", b"\r\n", b"\r\n", b"\n"))
        body = b"".join(b"--b" + end + part + end for part in parts) + self._one((b"--b--", b"--b--\r\n", b"", b"--b"))
        kind = self._one(("multipart/mixed; boundary=b", 'multipart/mixed; boundary="b"', "multipart/mixed", "x", ""))
        return self._dataverse("POST", "$batch", "", body, **{"content-type": kind})

    # Annex Cloud, the control plane, the sign-in

    def _annex(self) -> Request:
        method, template = self._one(ANNEX).split(" ")
        if self._rarely(0.05):
            method = self._one(METHODS)
        known = "550" if "segment/" in template else "all" if "list" in template or "actions" in template else MEMBER
        identifier = self._text() if self._rarely(0.3) else known
        path = template.format(identifier)
        body = b"" if method == "GET" else self._annex_body()
        signed = json.dumps(identifier).encode() if method == "GET" else body
        claims = {"sub": "s", "exp": 4e9, "site_id": SITE_ID, "hmac": request_hmac(signed, SECRET_KEY)}
        if self._rarely(0.15):
            claims[self._one(sorted(claims))] = self._value(("x",), 1)
        token = jwt_of(
            claims if not self._rarely(0.02) else self._value(("x",)), SECRET_KEY, self._one(("HS256",) * 9 + ("none",))
        )
        headers = self._head(**{"authorization": f"Bearer {token}", "x-annexcloud-site": SITE_ID})
        query = self._one(("", f"page={self._text()}", self._text()))
        return Request(method, f"/api/3.0{path}", query, headers, body, ORIGIN)

    def _annex_body(self) -> bytes:
        if self._rarely(0.3):
            good = {
                "id": MEMBER,
                "activity": "CREDIT",
                "actionId": 100,
                "name": "S",
                "fromDate": "2026-01-01",
                "toDate": "2026-12-31",
                "requestedBy": "a@example.com",
                "credit": 1,
                "reason": "x",
            }
            return compact({**good, self._one(ANNEX_MEMBERS): self._value(ANNEX_MEMBERS)})
        if self._rarely(0.3):
            return compact(self._some(lambda: self._value(ANNEX_MEMBERS)))
        return self._body(ANNEX_MEMBERS)

    def _control(self) -> Request:
        name = self._one(tuple(CONTROL))
        body = self._body(CONTROL_MEMBERS)
        if CONTROL[name] and not self._rarely(0.2):
            # Seeds of any size are made: that takes what it takes.
            body = compact({self._one(CONTROL[name]): self._value(CONTROL_MEMBERS)})
        method = self._one(METHODS) if self._rarely() else self._one(("GET", "POST", "POST", "POST"))
        return Request(
            method, f"/_sandbox/{name}{self._text() if self._rarely() else ''}", "", self._head(), body, ORIGIN
        )

    def _sign_in(self) -> Request:
        tenant = self._one(("common", "sandbox.example", "adfs", self._text()))
        path = self._one(
            (
                "/oauth2/token",
                "/oauth2/v2.0/token",
                "/v2.0/.well-known/openid-configuration",
                "/discovery/instance",
                f"/userrealm/{self._text()}",
            )
        )
        names = (
            "grant_type",
            "client_id",
            "client_secret",
            "scope",
            "resource",
            "username",
            "password",
            "refresh_token",
            "client_assertion",
            "client_assertion_type",
            "authorization_endpoint",
        )
        values = (
            "client_credentials",
            "password",
            "refresh_token",
            "5a0d0000-c11e-4c0d-8e11-000000000001",
            "http://[",
            "x.y.z",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "loyalty.sync@sandbox.example",
            f"{ORIGIN}/.default",
            *TEXTS,
        )
        form = "&".join(
            f"{name}={quote(self._one(values))}" for name in self._chance.sample(names, self._chance.randrange(11))
        )
        body = form.encode() if not self._rarely() else self._body(names)
        return Request(self._one(("POST", "POST", "GET", "PUT")), f"/{tenant}{path}", form, self._head(), body, ORIGIN)

    def _anything(self) -> Request:
        prefix = self._one(
            ("/", "/api/", "/api/data/", "/api/data/v9.2/", "/api/3.0/", "/api/3.0/users/", "/_sandbox/", "")
        )
        path = prefix + "/".join(self._some(self._text))
        head = self._head(authorization=f"Bearer {self._token}")
        return Request(self._one(METHODS), path, self._text(), head, self._body(COLUMNS), ORIGIN)
