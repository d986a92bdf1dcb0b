"""Signing in as MSAL really does it, with real host names re-routed to the sandbox (Dataverse page 1.5, recipe R1)."""

from __future__ import annotations

import pytest
from support import CONTACTS, ORGANISATION, run_tap, token_requests

from annex_d365.errors import SettingError


def settings(sandbox, *names, **more):
    given = sandbox.info["credentials"]
    return {"organization_url": ORGANISATION, **{name: given[name] for name in names}, **more}


def test_application(rerouted):
    config = settings(rerouted, "client_id", "client_secret", "tenant_id")
    assert len(run_tap(config).records()) == CONTACTS
    tenant = rerouted.info["credentials"]["tenant_id"]
    assert token_requests(rerouted) == [f"/{tenant}/oauth2/v2.0/token"]


def test_user_through_the_application(rerouted):
    config = settings(rerouted, "client_id", "client_secret", "tenant_id", "username", "password")
    assert len(run_tap(config).records()) == CONTACTS
    assert any("/common/userrealm/" in entry["path"] for entry in rerouted.control.log.entries())


@pytest.mark.filterwarnings("default::DeprecationWarning")
def test_user_of_a_public_application(rerouted):
    config = settings(rerouted, "client_id", "tenant_id", "username", "password")
    assert len(run_tap(config).records()) == CONTACTS


def test_all_six_fields_of_the_document(rerouted, caplog):
    """User name present = password flow on the confidential application, at /organizations instead of /common."""
    config = settings(
        rerouted,
        "client_id",
        "client_secret",
        "username",
        "password",
        auth_endpoint_url="https://annex.crm.dynamics.com/common/oauth2/token",
        resource="https://annex.crm.dynamics.com/",
    )
    assert len(run_tap(config).records()) == CONTACTS
    assert token_requests(rerouted) == ["/organizations/oauth2/v2.0/token"]
    assert "/organizations" in caplog.text


@pytest.mark.parametrize("region", ["r1", "r2", "r3"])
def test_regions(rerouted, region):
    config = settings(rerouted, "client_id", "client_secret", "tenant_id", organization_url="", organization="annex")
    assert len(run_tap({**config, "region": region}).records()) == CONTACTS


@pytest.mark.parametrize(
    ("wrong", "named", "words"),
    [
        ({"client_secret": "nope"}, "client_secret", "AADSTS7000215"),
        ({"client_id": "00000000-0000-0000-0000-000000000000"}, "client_id", "AADSTS700016"),
        ({"tenant_id": "nowhere.example"}, "tenant_id", "there is no sign-in at"),
        ({"username": "nobody@contoso.example", "password": "x"}, "username", "AADSTS50034"),
        ({"resource": "https://nowhere.example.org"}, "resource", "AADSTS500011"),
    ],
)
def test_refusals(rerouted, wrong, named, words):
    config = {**settings(rerouted, "client_id", "client_secret", "tenant_id"), **wrong}
    with pytest.raises(SettingError) as error:
        run_tap(config)
    assert error.value.setting == named
    assert words in str(error.value)
    assert "nope" not in str(error.value)


def test_wrong_password(rerouted):
    config = settings(rerouted, "client_id", "client_secret", "tenant_id", "username", password="wr0ng")
    with pytest.raises(SettingError, match="`password`: user name or password is wrong") as error:
        run_tap(config)
    assert "wr0ng" not in str(error.value)


def test_second_factor(rerouted):
    (user,) = [user for user in rerouted.directory_service.users.values() if user.needs_mfa]
    config = settings(
        rerouted, "client_id", "client_secret", "tenant_id", username=user.username, password=user.password
    )
    with pytest.raises(SettingError, match="`username`: must confirm a second factor"):
        run_tap(config)


def test_a_token_that_ends_in_the_middle(rerouted):
    config = settings(rerouted, "client_id", "client_secret", "tenant_id", page_size=50)
    rerouted.faults.add(route="/contacts", kind="expired_token", after=2, count=1)
    assert len(run_tap(config).records()) == CONTACTS
    assert len(token_requests(rerouted)) == 2
