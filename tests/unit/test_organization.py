"""Where an organisation lives."""

from __future__ import annotations

import pytest

from annex_d365.dataverse.connect import connect
from annex_d365.dataverse.organization import login_host, organization_url
from annex_d365.errors import SettingError
from annex_d365.http import secure_origin


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("r1", "https://annex.crm4.dynamics.com"),
        ("r2", "https://annex.crm.dynamics.com"),
        ("r3", "https://annex.crm5.dynamics.com"),
    ],
)
def test_regions_of_the_document(region, url):
    assert organization_url(None, "annex", region) == url


def test_the_third_region_warns(caplog):
    organization_url(None, "annex", "r3")
    assert "Japan" in caplog.text


@pytest.mark.parametrize("path", ["", "/", "/api/data/v9.2/", "/main.aspx?appid=1"])
def test_the_url_wins_and_loses_its_path(path):
    url = organization_url(f"https://Contoso.crm17.dynamics.com{path}", "annex", "r1")
    assert url == "https://contoso.crm17.dynamics.com"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ((None, None, None), "organization_url"),
        (("", "", "r1"), "organization_url"),
        ((None, "annex", None), "region"),
        ((None, "annex.crm4.dynamics.com", "r1"), "organization"),
        (("contoso.crm4.dynamics.com", None, None), "organization_url"),
        (("http://contoso.crm4.dynamics.com", None, None), "organization_url"),
        (("https://user:pw@contoso.crm4.dynamics.com", None, None), "organization_url"),
        (("https://contoso:port/", None, None), "organization_url"),
    ],
)
def test_what_is_wrong_is_named(settings, named):
    with pytest.raises(SettingError, match=f"Setting `{named}`") as error:
        organization_url(*settings)
    assert "pw" not in str(error.value)


@pytest.mark.parametrize("version", ["v9.2", "9", "9.2/", "nonsense"])
def test_a_version_that_is_none(version):
    settings = {"organization_url": "https://contoso.crm4.dynamics.com", "client_id": "app", "client_secret": "x"}
    with pytest.raises(SettingError, match=r"Setting `api_version`: is not a version such as 9\.2"):
        connect({**settings, "tenant_id": "contoso.example", "api_version": version})


@pytest.mark.parametrize("url", ["http://127.0.0.1:8365", "http://localhost:8365", "http://[::1]:8365"])
def test_plain_http_to_this_machine(url):
    assert secure_origin("organization_url", url) == url


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://contoso.crm4.dynamics.com", "login.microsoftonline.com"),
        ("https://contoso.crm.microsoftdynamics.us", "login.microsoftonline.us"),
        ("https://contoso.crm.dynamics.cn", "login.partner.microsoftonline.cn"),
    ],
)
def test_sign_in_host_of_the_cloud(url, host):
    assert login_host(url) == host
