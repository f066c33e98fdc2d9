"""How a command finds its broker: the same `SR_KAFKA_*` variables as the services."""

from __future__ import annotations

from services.kernel.settings import load_settings


def client_config_from_env() -> dict[str, str]:
    """librdkafka settings from `SR_KAFKA_BOOTSTRAP`, `_SECURITY_PROTOCOL`, `_SASL_MECHANISM`, `_USERNAME`,
    `_PASSWORD` or `_PASSWORD_FILE`, and `_CA_FILE`.

    Raises ConfigError for a missing or unknown variable, without its value.
    """
    return load_settings().kafka_config()
