"""The one wrapper around Kafka: no file outside this folder imports confluent_kafka (a test holds it)."""
