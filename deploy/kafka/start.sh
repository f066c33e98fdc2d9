#!/bin/bash
# Start the broker. An empty data folder is formatted first, with one account: the administrator's, whose password
# the other accounts are made with (`safe-reporting broker accounts`).
set -euo pipefail
config=/mnt/shared/config/server.properties
kafka=/opt/kafka/bin
if [ ! -e /var/lib/kafka/data/meta.properties ]; then
  account="SCRAM-SHA-256=[name=admin,password=$(cat /etc/kafka/secrets/admin.password)]"
  "$kafka/kafka-storage.sh" format --cluster-id "$("$kafka/kafka-storage.sh" random-uuid)" --config "$config" --add-scram "$account"
fi
exec "$kafka/kafka-server-start.sh" "$config"
