"""Settings that are put together from several variables."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from services.kernel.errors import ConfigError
from services.kernel.settings import Settings


def test_the_ledgers_password_comes_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("p@ss:w/rd%\n")
    socket = "/run/postgresql/.s.PGSQL.5432"
    settings = Settings(
        ledger_database=f"postgresql+pg8000://ledger@/ledger?unix_sock={socket}", ledger_password_file=file
    )
    url = sa.make_url(settings.ledger_url())
    assert (url.username, url.password, url.database) == ("ledger", "p@ss:w/rd%", "ledger")
    assert url.query["unix_sock"] == socket
    assert "p@ss" not in repr(settings)


@pytest.mark.parametrize(
    ("url", "file", "said"),
    [
        ("", None, "`SR_LEDGER_DATABASE` is not set"),
        ("postgresql+pg8000://u@h/d", "missing", "`SR_LEDGER_PASSWORD_FILE`: No such file"),
        ("postgresql+pg8000://u:secret@h/d", "password", "a user and no password"),
        ("sqlite:///ledger.db", "password", "a user and no password"),
    ],
)
def test_a_database_that_cannot_be_named_is_refused(tmp_path: Path, url: str, file: str | None, said: str) -> None:
    (tmp_path / "password").write_text("x")
    settings = Settings(ledger_database=url, ledger_password_file=tmp_path / file if file else None)
    with pytest.raises(ConfigError, match=said) as error:
        settings.ledger_url()
    assert "secret" not in str(error.value)


def test_a_url_without_a_password_file_stays_as_it_is() -> None:
    assert Settings(ledger_database="sqlite:////var/ledger.db").ledger_url() == "sqlite:////var/ledger.db"
