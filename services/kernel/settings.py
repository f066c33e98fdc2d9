"""Settings of a service: typed, frozen, from `SR_*` variables, built once in `main` and passed down."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.kernel.errors import ConfigError
from services.kernel.paths import ROOT


class Settings(BaseSettings):
    """What redactor and router have in common. Secrets are files under `keys_dir`."""

    model_config = SettingsConfigDict(env_prefix="SR_", frozen=True, extra="forbid")

    keys_dir: Path = Path("/run/safe-reporting/keys")
    schemas_dir: Path = ROOT / "schemas"
    policies_dir: Path = ROOT / "policies"
    policy_sets_dir: Path | None = Field(default=None, description="further policy sets, each in a folder of its hash")
    approvers_file: Path = ROOT / "policies" / "approvers.yaml"
    topology_file: Path = ROOT / "deploy" / "topology.yaml"
    topology_profile: str = Field(default="production", description="profile of it that the broker is compared with")
    topology_every_s: float = Field(default=300.0, ge=0.5, le=86400, description="between two such comparisons")
    slot: int = Field(default=0, ge=0, le=999, description="number of this worker: its transactional.id")
    batch_records: int = Field(default=500, ge=1, le=5000)
    batch_wait_ms: int = Field(default=50, ge=1, le=5000)
    batch_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    record_deadline_s: float = Field(default=2.0, gt=0, le=60)
    batch_deadline_s: float = Field(default=20.0, gt=0, le=120)
    child_memory_mib: int = Field(default=2048, ge=512, description="data limit of the child process")
    flood_limit: int = Field(default=1000, ge=1, description="consecutive quarantines that stop the service")
    ledger_database: str = Field(default="", repr=False, description="SQLAlchemy URL of the ledger's database")
    ledger_password_file: Path | None = Field(default=None, description="its password, where the URL has none")
    ledger_origin: str = Field(
        default="safe-reporting/ledger", pattern=r"^[!-~]{1,100}$", description="name of the log"
    )
    ledger_checkpoint_file: Path | None = Field(default=None, description="where a witness reads the newest checkpoint")
    canary_interval_s: float = Field(default=60.0, ge=0.2, le=600, description="between two canaries of a feed")
    canary_deadline_s: float = Field(default=60.0, gt=0, le=3600, description="until a canary must have arrived")
    canary_slots: int = Field(default=4, ge=0, le=999, description="router slots 0 to this are fenced by a closing")
    drift_accepted: str = Field(default="", description="producers whose past begins anew: `agency/feed@time`, commas")
    desk_first_s: float = Field(default=900.0, gt=0, le=86400, description="until a hold nobody looked at escalates")
    desk_second_s: float = Field(default=3600.0, gt=0, le=86400, description="until it escalates again")
    metrics_port: int = Field(default=0, ge=0, le=65535, description="0: no metrics server")
    kafka_bootstrap: str = ""
    kafka_security_protocol: str = "SASL_SSL"
    kafka_sasl_mechanism: str = ""
    kafka_username: str = ""
    kafka_password: str = Field(default="", repr=False)
    kafka_password_file: Path | None = None
    kafka_ca_file: Path | None = None
    kafka_certificate_file: Path | None = None
    kafka_key_file: Path | None = None

    def ledger_url(self) -> str:
        """The SQLAlchemy URL of the ledger's database, with its password where that is in a file.

        Raises:
            ConfigError: it is not set, or the password cannot be read or put into it.
        """
        url = self.ledger_database
        if not url:
            raise ConfigError("settings", ["`SR_LEDGER_DATABASE` is not set: `sqlite:////path/ledger.db` for example"])
        if self.ledger_password_file is None:
            return url
        password, faults = _password("SR_LEDGER_PASSWORD_FILE", self.ledger_password_file)
        if faults:
            raise ConfigError("settings", faults)
        account, at, place = url.partition("@")
        if not at or ":" in account.partition("://")[2]:
            fault = "`SR_LEDGER_PASSWORD_FILE`: the URL must name a user and no password"
            raise ConfigError("settings", [f"{fault}, as `postgresql+pg8000://user@host/name`"])
        return f"{account}:{quote(password, safe='')}@{place}"

    def kafka_config(self) -> dict[str, str]:
        """librdkafka's connection settings.

        Raises:
            ConfigError: no bootstrap servers, a password file that cannot be read, or what SASL needs is missing.
        """
        faults = [] if self.kafka_bootstrap else ["`SR_KAFKA_BOOTSTRAP` is not set: `host:port` of a broker"]
        password = self.kafka_password
        if self.kafka_password_file is not None:
            password, wrong = _password("SR_KAFKA_PASSWORD_FILE", self.kafka_password_file)
            faults += wrong
        if self.kafka_security_protocol.startswith("SASL_"):
            needed = {"SASL_MECHANISM": self.kafka_sasl_mechanism, "USERNAME": self.kafka_username}
            needed["PASSWORD_FILE"] = password
            faults += [
                f"`SR_KAFKA_{name}` is not set: `{self.kafka_security_protocol}` needs it"
                for name, value in needed.items()
                if not value
            ]
        files = {"CA_FILE": self.kafka_ca_file, "CERTIFICATE_FILE": self.kafka_certificate_file}
        files["KEY_FILE"] = self.kafka_key_file
        for name, path in files.items():
            if path is not None and not os.access(path, os.R_OK):
                faults.append(f"`SR_KAFKA_{name}`: `{path}` cannot be read")
        if (self.kafka_certificate_file is None) != (self.kafka_key_file is None):
            faults.append("`SR_KAFKA_CERTIFICATE_FILE` and `SR_KAFKA_KEY_FILE` go together")
        if faults:
            raise ConfigError("settings", faults)
        config = {
            "bootstrap.servers": self.kafka_bootstrap,
            "security.protocol": self.kafka_security_protocol,
            "sasl.mechanism": self.kafka_sasl_mechanism,
            "sasl.username": self.kafka_username,
            "sasl.password": password,
            "ssl.ca.location": str(self.kafka_ca_file or ""),
            "ssl.certificate.location": str(self.kafka_certificate_file or ""),
            "ssl.key.location": str(self.kafka_key_file or ""),
        }
        return {name: value for name, value in config.items() if value}


def _password(name: str, path: Path) -> tuple[str, list[str]]:
    """What the file of the setting `name` holds, and why it cannot be read."""
    try:
        return path.read_text("utf-8").strip(), []
    except OSError as error:
        return "", [f"`{name}`: {error.strerror}"]
    except UnicodeDecodeError:
        return "", [f"`{name}`: it is not text in UTF-8"]


def load_settings(**overrides: object) -> Settings:
    """Read settings from the environment.

    Raises:
        ConfigError: naming every variable that is wrong, never its value.
    """
    known = {f"SR_{name.upper()}" for name in Settings.model_fields}
    unknown = sorted(name for name in os.environ if name.startswith("SR_") and name not in known)
    if unknown:
        raise ConfigError("settings", [f"`{name}` is not a setting" for name in unknown])
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic checks the values
    except ValidationError as error:
        faults = [f"`SR_{'_'.join(map(str, e['loc'])).upper()}`: {e['msg'].lower()}" for e in error.errors()]
        raise ConfigError("settings", faults) from error
