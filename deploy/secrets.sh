#!/bin/sh
# Make every key, certificate and password once, and give each service its own and no others. Development only: in
# production each key is made where it is used (docs/operators.md). A second run changes nothing that is good.
set -eu
umask 077
safe-reporting broker secrets /vault/broker --node kafka
safe-reporting keys init /vault/keys --dev
for name in postgres grafana; do
  [ -e "/vault/$name" ] || python -c 'import secrets; print(secrets.token_urlsafe(24))' > "/vault/$name"
done

# give FOLDER OWNER ACCOUNT KEY...: an account's certificate and password, and keys by name
give() {
  folder=$1 owner=$2 account=$3
  shift 3
  mkdir -p "$folder/kafka" "$folder/keys"
  cp /vault/broker/ca.pem "$folder/kafka/"
  cp "/vault/broker/clients/$account/"* "$folder/kafka/"
  cp /vault/keys/approvers.yaml "$folder/keys/"
  for key; do
    for file in /vault/keys/$key.*; do cp "$file" "$folder/keys/"; done
  done
  chown -R "$owner" "$folder"
}
app=10001:10001
give /for/redactor $app redactor pseudonym attest seal-pub lock-pub canary-pub
give /for/router $app router attest-pub seal-pub lock-pub 'partner-*'
give /for/monitor $app monitor
give /for/canary $app canary canary
give /for/desk $app desk
give /for/operator $app cli-operator
give /for/safety $app cli-safety
give /for/auditor $app cli-auditor ledger-pub
give /for/reconcile $app cli-auditor auditor
give /for/ledger $app ledger ledger lock
give /for/admin $app admin
give /for/producer $app producer-gmp
cp -r /vault/keys/approvers /for/operator/keys/
mkdir -p /for/admin/all
cp -r /vault/broker/clients/. /for/admin/all/
mkdir -p /for/producer/accounts
cp -r /vault/broker/clients/producer-* /for/producer/accounts/
for reader in ledger auditor reconcile; do cp /vault/postgres "/for/$reader/ledger.password"; done
chown -R $app /for/operator /for/admin /for/producer /for/ledger /for/auditor /for/reconcile
chown -R $app /for/operator-state /for/reconcile-state

cp /vault/broker/ca.pem /for/kafka/ca.pem
cp /vault/broker/nodes/kafka/keystore.pem /for/kafka/server.pem
cp /vault/broker/clients/admin/password /for/kafka/admin.password
chown -R 1000:1000 /for/kafka /for/kafka-data
cp /vault/postgres /for/postgres/password
chown -R 999:999 /for/postgres /for/postgres-data
chown 999:999 /for/postgres-socket
chmod 755 /for/postgres-socket
cp /vault/grafana /for/grafana/password
chown -R 472:0 /for/grafana /for/grafana-data
chown -R 65534:65534 /for/prometheus-data
