#!/bin/sh
# Put the policy set of this image in force, once for each set: two made-up approvers sign it. For development only;
# elsewhere two persons sign where their keys are (docs/policy.md). A manifest that was published since stays in force.
set -eu
keys=/run/safe-reporting/keys
hash=$(python -c 'from services.kernel.paths import ROOT; from services.router.manifest import set_hash; print(set_hash(ROOT / "policies"))')
published=/state/$hash.json
if [ -e "$published" ]; then
  echo "policy set $hash was published before"
  exit 0
fi
draft=/tmp/manifest.json
rm -f "$draft"
set -- --reason development --reference DEV-1
safe-reporting policy sign "$draft" --by first-approver --key "$keys/approvers/first-approver.dev" --sequence "$(date +%s)" "$@"
safe-reporting policy sign "$draft" --by second-approver --key "$keys/approvers/second-approver.dev" "$@"
safe-reporting policy publish "$draft"
cp "$draft" "$published"
