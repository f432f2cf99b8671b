#!/usr/bin/env bash
# Shows what quota the subscription has for the pool, and asks for what is missing. --dry-run prints the commands only.
# Settings: settings.sh. Small requests are answered in minutes; large ones end in a support ticket, whose link the answer holds.

# shellcheck source=common.sh
. "$(dirname "$0")/common.sh" "$@"
need az

scope=/subscriptions/$(subscription)/providers/Microsoft.Compute/locations/$PHI3V_AKS_LOCATION
needed=$((vcpus * PHI3V_AKS_NODES))
type=dedicated
[ "$family" = lowPriorityCores ] && type=lowPriority

run az extension add --name quota --upgrade --yes
run az vm list-skus --location "$PHI3V_AKS_LOCATION" --size "$size" --all --output table # a restriction here is no matter of quota
if ! $dry_run; then
  limit=$(az quota show --scope "$scope" --resource-name "$family" --query properties.limit.value --output tsv)
  used=$(az quota usage show --scope "$scope" --resource-name "$family" --query properties.usages.value --output tsv)
  echo "$family in $PHI3V_AKS_LOCATION: $used of $limit vCPUs are used; $PHI3V_AKS_NODES nodes of $size take $needed."
  if [ $((limit - used)) -ge "$needed" ]; then exit 0; fi
  needed=$((used + needed))
fi
run az quota update --scope "$scope" --resource-name "$family" --resource-type "$type" \
  --limit-object "value=$needed" limit-object-type=Independent
run az quota request list --scope "$scope" --output table
