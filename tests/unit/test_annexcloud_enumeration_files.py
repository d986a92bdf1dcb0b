"""Members named by files."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annex_d365.annexcloud import member_files
from annex_d365.errors import SettingError


@pytest.fixture
def write(tmp_path):
    def writing(text):
        path = tmp_path / "members"
        path.write_text(text, encoding="utf-8", newline="")
        return str(path)

    return writing


def found(enumeration, position=None):
    return [each for batch in enumeration.batches(position) for each in batch.candidates]


def ids(enumeration, position=None):
    return [each.id for each in found(enumeration, position)]


def test_ids_in_lines(write):
    assert ids(member_files.ids(write("\ufeffM1\r\n\r\n  ana@example.org \nM3"))) == ["M1", "ana@example.org", "M3"]


def test_ids_in_the_output_of_a_tap(write):
    messages = [
        {"type": "SCHEMA", "stream": "contacts", "schema": {}},
        {"type": "RECORD", "stream": "contacts", "record": {"cr0dd_loyaltyid": "M1"}},
        {"type": "RECORD", "stream": "contacts", "record": {"cr0dd_loyaltyid": None}},
        {"type": "RECORD", "stream": "leads", "record": {"cr0dd_loyaltyid": "L1"}},
        {"type": "RECORD", "stream": "contacts", "record": {"cr0dd_loyaltyid": 42}},
        {"type": "STATE", "value": {}},
    ]
    path = write("\n".join(map(json.dumps, messages)))
    assert ids(member_files.ids(path, column="cr0dd_loyaltyid", stream="contacts")) == ["M1", "42"]
    assert ids(member_files.ids(path, column="cr0dd_loyaltyid")) == ["M1", "L1", "42"]


def test_ids_in_plain_json_lines(write):
    assert ids(member_files.ids(write('{"id": "M1"}\n{"id": "M2"}'))) == ["M1", "M2"]


def test_a_file_goes_on_where_it_was_left(write):
    path = write("\n".join(f"M{number}" for number in range(250)))
    positions = [batch.position for batch in member_files.ids(path).batches(None)]
    assert positions == [{"row": 100}, {"row": 200}, {"row": 250}]
    assert ids(member_files.ids(path), positions[1]) == [f"M{number}" for number in range(200, 250)]


def test_another_file_has_another_identity(write):
    first = member_files.ids(write("M1\n")).identity
    assert member_files.ids(write("M2\n")).identity != first
    assert member_files.ids(write("M1\n")).identity == first
    assert member_files.ids(write("M1\n"), column="other").identity != first


def test_a_feed_is_all_there_is(write):
    path = write("Member No;email;Points;shoe\nM1;ana@example.org;12;38\n;nobody@example.org;0;\n")
    columns = {"id": "Member No", "availablePoints": "Points", "extendedAttribute.shoe": "shoe"}
    (only,) = found(member_files.feed(path, columns, delimiter=";"))
    assert only.id == "M1"
    assert only.final
    assert only.fields["availablePoints"] == "12"
    assert only.fields["email"] == "ana@example.org"
    assert only.fields["extendedAttribute"] == {"shoe": "38"}


@pytest.mark.parametrize(
    ("text", "columns", "setting"),
    [
        ("number,email\n1,a@example.org\n", {}, "members.columns"),
        ("id\n1\n", {"email": "mail"}, "members.columns"),
        ("id,email\n1\n", {}, "members.path"),
        ("id,email\n1,a@example.org,3\n", {}, "members.path"),
        ("", {}, "members.columns"),
    ],
)
def test_a_feed_of_another_layout_is_no_feed(write, text, columns, setting):
    with pytest.raises(SettingError) as error:
        found(member_files.feed(write(text), columns))
    assert error.value.setting == setting
    assert "@" not in str(error.value)


values = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=12)


@given(st.lists(st.tuples(values.filter(str.strip), values), min_size=1, max_size=20))
def test_a_feed_gives_back_what_was_written(tmp_path_factory, rows):
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("id", "firstName"), *rows])
    path = tmp_path_factory.mktemp("feed") / "feed.csv"
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    read = [(each.id, each.fields["firstName"]) for each in found(member_files.feed(str(path), {}))]
    assert read == [(member_id.strip(), name) for member_id, name in rows]


EVENTS = [
    {"eventId": "1", "eventType": "user.update", "siteId": "S", "data": {"id": "M1"}},
    {"eventId": "2", "eventType": "user.update", "siteId": "other", "data": {"id": "M2"}},
    {"eventId": "3", "eventType": "reward.issued", "siteId": "S", "data": {"user": {"id": "M3"}, "rewardId": "9"}},
    {"id": "event-4", "userId": 4},
    {"id": "event-5", "data": {}},
]


@pytest.mark.parametrize("form", [lambda rows: "\n".join(map(json.dumps, rows)), json.dumps])
def test_webhooks_name_who_changed(write, form):
    enumeration = member_files.webhooks(write(form(EVENTS)), site_id="S")
    assert ids(enumeration) == ["M1", "M3", "4"]
    assert not enumeration.whole


@pytest.mark.parametrize("text", ['{"id": ', '{"id": ["a"]}', "\n{}}\n"])
def test_a_file_that_cannot_be_read_is_told_by_row(write, text):
    with pytest.raises(SettingError, match="from row 1 on"):
        ids(member_files.ids(write(text)))


def test_there_has_to_be_a_file(tmp_path):
    enumeration = member_files.ids(str(tmp_path / "none"))
    for ask in (lambda: enumeration.identity, lambda: ids(enumeration)):
        with pytest.raises(SettingError, match="cannot be read"):
            ask()
