"""Values as Dataverse takes them."""

from __future__ import annotations

import json
import math
import uuid
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annex_d365.dataverse.writes import (
    AlternateKey,
    ColumnDefinition,
    Guid,
    Kind,
    Lookup,
    Reference,
    TableDefinition,
    alternate_key,
    encode,
    guid_for,
    reference,
)
from annex_d365.dataverse.writes.calls import encode_json
from annex_d365.dataverse.writes.values import encoder

ACCOUNT = Lookup("account", "accounts", "parentcustomerid_account")
CONTACT = Lookup("contact", "contacts", "parentcustomerid_contact")
SIZES = {1: "Small", 2: "Large", 7: "Small, but heavy"}
ID = "A0000000-0000-4000-8000-00000000000A"


def column(type_name, **more):
    return ColumnDefinition("x", f"{type_name}Type", **more)


def table(*columns):
    return TableDefinition("contact", "contacts", "contactid", {each.name: each for each in columns})


def value(type_name, given_value, *, too_long="reject", **more):
    return encode(table(column(type_name, **more)), "x", given_value, too_long=too_long)["x"]


def refused(type_name, given_value, **more):
    with pytest.raises(ValueError) as caught:
        value(type_name, given_value, **more)
    return str(caught.value)


CHOICES = {"choices": SIZES, "labels": {label.casefold(): number for number, label in SIZES.items()}}


@pytest.mark.parametrize("type_name", ["String", "Integer", "Decimal", "Boolean", "DateTime", "Picklist", "Image"])
def test_null_clears(type_name):
    assert value(type_name, None) is None


@given(st.text(), st.integers(1, 20))
def test_a_text_is_sent_as_it_is_or_cut_or_refused(text, limit):
    units = len(text.encode("utf-16-le")) // 2
    cut = value("String", text, too_long="cut", max_length=limit)
    assert text.startswith(cut)
    assert units <= limit or limit - 1 <= len(cut.encode("utf-16-le")) // 2 <= limit
    if units <= limit:
        assert value("String", text, max_length=limit) == text == cut
    else:
        assert f"`x` takes at most {limit} characters" in refused("String", text, max_length=limit)


def test_an_emoji_takes_two_places_and_is_not_halved():
    assert value("Memo", "a🎁", too_long="cut", max_length=2) == "a"
    assert value("Memo", "a🎁", max_length=3) == "a🎁"


@pytest.mark.parametrize(("given_value", "text"), [(12, "12"), (True, "true"), (Decimal("1.50"), "1.50")])
def test_what_is_no_text_becomes_one(given_value, text):
    assert value("String", given_value) == text


@pytest.mark.parametrize("given_value", [{}, [], b"x", "\ud800"])
def test_what_cannot_become_a_text_is_refused(given_value):
    assert refused("String", given_value).startswith("`x` ")


@given(st.integers(-(2**31), 2**31 - 1), st.sampled_from([int, str, Decimal]))
def test_whole_numbers(number, form):
    assert value("Integer", form(number)) == number


@pytest.mark.parametrize(
    "number", [2**31, -(2**31) - 1, "1e400", "1e999999999", float("nan"), "Infinity", "", "x", True, int]
)
def test_no_whole_numbers(number):
    assert refused("Integer", number).startswith("`x` takes a number")


def test_ranges_are_those_of_the_column():
    assert value("BigInt", 2**40) == 2**40
    assert refused("Integer", 11, minimum=Decimal(0), maximum=Decimal(10)) == "`x` takes a number from 0 to 10"
    assert refused("Integer", "1.5") == "`x` takes a whole number"
    assert value("Integer", 3.0) == 3


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**11), max_value=10**11))
def test_decimals_stay_exact_on_the_wire(number):
    sent = encode_json(encode(table(column("Decimal")), "x", number))
    assert json.loads(sent, parse_float=Decimal, parse_int=Decimal)["x"] == number


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9), st.integers(0, 6))
def test_digits_behind_the_point_are_kept_refused_or_cut(number, precision):
    cut = value("Money", number, too_long="cut", precision=precision)
    assert abs(cut - number) <= Decimal(1).scaleb(-precision) / 2
    assert cut == cut.quantize(Decimal(1).scaleb(-precision))
    if cut == number or len(number.as_tuple().digits) > 15:
        assert value("Money", number, precision=precision) == cut
    else:
        assert f"at most {precision} digits behind the point" in refused("Money", number, precision=precision)


def test_the_noise_of_binary_fractions_is_no_fault():
    assert value("Decimal", 0.1 + 0.2, precision=2) == Decimal("0.30")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_doubles(number):
    assert value("Double", number) == number


@pytest.mark.parametrize("number", [math.nan, math.inf, "1e309"])
def test_no_doubles(number):
    assert "usual size" in refused("Double", number)


@pytest.mark.parametrize(
    ("given_value", "truth"),
    [
        (True, True),
        (False, False),
        (1, True),
        (0, False),
        ("YES", True),
        ("no", False),
        ("true", True),
        ("Nein", False),
    ],
)
def test_yes_and_no(given_value, truth):
    assert value("Boolean", given_value, labels={"ja": 1, "nein": 0}) is truth


@pytest.mark.parametrize("given_value", ["maybe", 2, 0.5, [], ""])
def test_neither_yes_nor_no(given_value):
    assert refused("Boolean", given_value) == "`x` takes yes or no"


@pytest.mark.parametrize("given_value", [2, "2", 2.0, Decimal(2), "Large", " lArGe "])
def test_a_choice_by_value_or_label(given_value):
    assert value("Picklist", given_value, **CHOICES) == 2
    assert value("Status", given_value, **CHOICES) == 2


@pytest.mark.parametrize("given_value", [3, "3", "Medium", "", True, 2.5, []])
def test_no_such_choice(given_value):
    assert refused("Picklist", given_value, **CHOICES) == "`x` has no such choice"


@pytest.mark.parametrize(
    ("given_value", "sent"),
    [
        ([1, "Large"], "1,2"),
        ([2, 2, "large"], "2"),
        ("7,1", "1,7"),
        ("Small, but heavy", "7"),
        (2, "2"),
        ([], None),
        ("", None),
    ],
)
def test_several_choices(given_value, sent):
    assert value("MultiSelectPicklist", given_value, **CHOICES) == sent


def test_too_many_or_wrong_choices():
    assert refused("MultiSelectPicklist", list(range(151))) == "`x` takes at most 150 choices"
    assert refused("MultiSelectPicklist", [1, 9], **CHOICES) == "`x` has no such choice"


MOMENTS = st.datetimes(datetime(1753, 1, 3), datetime(9999, 12, 29))  # noqa: DTZ001 - the zone is drawn beside it
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


USUAL = MOMENTS.map(lambda moment: f"{moment.replace(microsecond=0).isoformat()}Z")
UNUSUAL = ["2025-W01-1T05:05:05Z", "2025-05-05T05+01:00Z", "2025-05-05T25:05:05Z", "1752-12-31T23:59:59Z", "x" * 20]


@given(USUAL | st.sampled_from(UNUSUAL) | st.text("0123456789-:TZ+.", min_size=20, max_size=20))
@pytest.mark.parametrize("behavior", ["UserLocal", "TimeZoneIndependent", "DateOnly"])
def test_the_usual_form_of_a_moment_is_read_as_any_other(behavior, text):
    """With a blank in front it is not the usual one."""

    def told(written):
        try:
            return value("DateTime", written, date_behavior=behavior)
        except ValueError as refusal:
            return str(refusal)

    assert told(text) == told(f" {text}")


@given(st.lists(st.sampled_from([True, False, 0, 1, 2, "1", "Small", "yes", Decimal(1), 1.0, None, "nope", [1], 7])))
@pytest.mark.parametrize("type_name", ["Boolean", "Picklist", "State"])
def test_an_encoder_says_of_each_value_what_encode_says(type_name, values):
    definition = table(column(type_name, **(CHOICES if type_name == "Picklist" else {})))

    def told(encoded):
        try:
            return repr(encoded())
        except ValueError as refusal:
            return str(refusal)

    made = encoder(definition, "x")
    for each in values + values:
        assert told(lambda each=each: made(each)) == told(lambda each=each: encode(definition, "x", each))


@given(MOMENTS, ZONES)
def test_moments_are_sent_in_utc(moment, zone):
    sent = value("DateTime", moment.replace(tzinfo=zone).isoformat(), date_behavior="UserLocal")
    assert sent[-1] == "Z"
    expected = moment.replace(tzinfo=zone, microsecond=0).astimezone(timezone.utc)
    assert datetime.fromisoformat(f"{sent[:-1]}+00:00") == expected


@given(MOMENTS, ZONES)
def test_a_clock_that_is_the_same_everywhere_keeps_its_reading(moment, zone):
    sent = value("DateTime", moment.replace(tzinfo=zone), date_behavior="TimeZoneIndependent")
    assert sent == moment.replace(microsecond=0).isoformat() + "Z"


@given(MOMENTS, ZONES)
def test_a_day_is_the_day_where_it_was_written(moment, zone):
    assert value("DateTime", moment.replace(tzinfo=zone).isoformat(), date_behavior="DateOnly") == str(moment.date())
    assert value("DateTime", moment.date(), date_behavior="DateOnly") == str(moment.date())


@pytest.mark.parametrize(
    ("given_value", "sent"),
    [
        ("2024-02-29", "2024-02-29T00:00:00Z"),
        ("2024-02-29T12:00:00", "2024-02-29T12:00:00Z"),
        ("2024-02-29T12:00:00.1234567Z", "2024-02-29T12:00:00Z"),
    ],
)
def test_dates_as_others_write_them(given_value, sent):
    assert value("DateTime", given_value, date_behavior="UserLocal") == sent


@pytest.mark.parametrize(
    "given_value", ["1752-12-31", "", "soon", 1700000000, "0001-01-01T00:00:00+10:00", "2023-02-29", True]
)
def test_no_dates(given_value):
    assert refused("DateTime", given_value).startswith("`x` takes ")


@given(st.uuids())
def test_guids_are_sent_in_lower_case(guid):
    assert value("Uniqueidentifier", str(guid).upper()) == str(guid)


@pytest.mark.parametrize("type_name", ["File", "PartyList", "Virtual", "ManagedProperty", "CalendarRules", "Lookup"])
def test_columns_that_cannot_be_written(type_name):
    assert refused(type_name, "v") == "`x` cannot be written"


def test_a_new_type_is_left_to_the_service():
    assert value("Hologram", {"a": 1}) == {"a": 1}
    assert refused("Hologram", math.nan) == "`x` takes a number of the usual size"


def test_a_column_that_is_not_there():
    with pytest.raises(ValueError, match="`y` is no column of contact"):
        encode(table(), "y", 1)


@given(st.text(min_size=1).filter(lambda text: not text.strip().isdigit()))
def test_reasons_do_not_hold_the_value(text):
    secret = f"secret-{text}"
    for type_name in ("Integer", "Decimal", "Double", "Boolean", "DateTime", "Picklist", "Uniqueidentifier"):
        assert "secret" not in refused(type_name, secret)


PARENT = column("Customer", lookups={"account": ACCOUNT, "contact": CONTACT})
ONLY = column("Lookup", lookups={"account": Lookup("account", "accounts", "new_Account")})


def test_a_lookup_to_one_table():
    assert encode(table(ONLY), "x", ID) == {"new_Account@odata.bind": f"/accounts({ID.lower()})"}
    assert encode(table(ONLY), "_x_value", Guid(ID)) == encode(table(ONLY), "x", Reference(Guid(ID), "account"))
    assert encode(table(ONLY), "x", None) == {"new_Account@odata.bind": None}


def test_a_lookup_to_several_tables():
    assert encode(table(PARENT), "x", Reference(Guid(ID), "contact")) == {
        "parentcustomerid_contact@odata.bind": f"/contacts({ID.lower()})"
    }
    assert encode(table(PARENT), "x", None) == {"parentcustomerid_account@odata.bind": None}
    with pytest.raises(ValueError, match="name one of account, contact"):
        encode(table(PARENT), "x", ID)
    with pytest.raises(ValueError, match="only to account, contact"):
        encode(table(PARENT), "x", Reference(Guid(ID), "lead"))


def test_a_lookup_by_alternate_key():
    key = AlternateKey({"accountnumber": "O'Neil 7", "new_rank": 3})
    assert reference(table(ONLY), "x", Reference(key)) == {
        "new_Account@odata.bind": "/accounts(accountnumber='O''Neil 7',new_rank=3)"
    }


def test_a_lookup_by_a_key_that_no_address_can_hold():
    with pytest.raises(ValueError, match="`x` is a lookup by a key with a sign"):
        reference(table(ONLY), "x", Reference(AlternateKey({"accountnumber": "a/b"})))


@pytest.mark.parametrize("bad", ["x", 5, "contacts(1)"])
def test_a_lookup_that_is_no_guid(bad):
    with pytest.raises(ValueError, match="`x` takes a GUID"):
        encode(table(ONLY), "x", bad)


def test_no_lookup():
    with pytest.raises(ValueError, match="`x` is no lookup of contact"):
        reference(table(column("String")), "x", None)


def test_keys_have_the_types_of_their_columns():
    found = table(
        ColumnDefinition("a", "StringType", max_length=5),
        ColumnDefinition("b", "IntegerType"),
        ColumnDefinition("c", "DecimalType"),
        ColumnDefinition("d", "DateTimeType", date_behavior="DateOnly"),
        ColumnDefinition("e", "DateTimeType", date_behavior="UserLocal"),
        ColumnDefinition("f", "LookupType", lookups={"account": ACCOUNT}),
    )
    key = alternate_key(
        found, {"a": 7, "b": "7", "c": "1.5", "d": "2024-01-02", "e": "2024-01-02T03:00:00+01:00", "f": ID}
    )
    assert key.values == {
        "a": "7",
        "b": 7,
        "c": Decimal("1.5"),
        "d": date(2024, 1, 2),
        "e": datetime(2024, 1, 2, 2, tzinfo=timezone.utc),
        "_f_value": Guid(ID.lower()),
    }
    for wrong, reason in (({"a": None}, "no value"), ({"a": ""}, "no value"), ({"z": 1}, "no column")):
        with pytest.raises(ValueError, match=reason):
            alternate_key(found, wrong)
    with pytest.raises(ValueError, match="at most 5 characters"):
        alternate_key(found, {"a": "too long"})


def test_what_can_be_written_when():
    found = table(
        ColumnDefinition("both", "StringType"),
        ColumnDefinition("first", "StringType", updatable=False),
        ColumnDefinition("never", "StringType", creatable=False, updatable=False),
        ColumnDefinition("parent", "LookupType", creatable=False, lookups={"account": ACCOUNT}),
    )
    names = ["both", "first", "never", "_parent_value", "nosuch"]
    assert found.unknown(names) == ["nosuch"]
    assert found.read_only(names, Kind.CREATE) == ["never", "_parent_value"]
    assert found.read_only(names, Kind.UPDATE) == ["first", "never"]
    assert found.read_only(names, Kind.UPSERT) == ["never"]


@given(st.text(min_size=1), st.text(min_size=1))
def test_guids_are_the_same_in_each_run_and_differ_by_stream_and_key(stream, key):
    assert guid_for(stream, key) == guid_for(stream, key)
    assert uuid.UUID(guid_for(stream, key)).version == 5
    assert guid_for(stream + key, "") != guid_for(stream, key)


@pytest.mark.parametrize("offset", ["+0200", "+02:00", "+02"])
def test_offsets_of_all_forms(offset):
    assert value("DateTime", f"2024-08-08T07:00:12.5{offset}") == "2024-08-08T05:00:12Z"


@pytest.mark.parametrize("given_value", ["1_2", "\uff11\uff12", "1e", "0x1", "--1", "."])
def test_texts_that_only_python_takes_for_numbers(given_value):
    assert "takes a number" in refused("Integer", given_value)


@pytest.mark.parametrize(("given_value", "expected"), [(1.0, True), (Decimal("0.0"), False), (1, True)])
def test_numbers_for_yes_and_no(given_value, expected):
    assert value("Boolean", given_value) is expected
    assert "takes yes or no" in refused("Boolean", Decimal("0.5"))
