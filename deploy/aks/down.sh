#!/usr/bin/env bash
# Deletes what up.sh made: with --pool-only the pool of GPUs, which is what costs; else the whole resource group, results and all.
# It asks first, unless --yes is given. --dry-run prints the commands only.

pool_only=false
options=()
for option in "$@"; do
  if [ "$option" = --pool-only ]; then pool_only=true; else options+=("$option"); fi
done
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh" "${options[@]}"
need az

what="the resource group $PHI3V_AKS_GROUP with all that is in it, the shared volume's models and results too"
$pool_only && what="the pool $pool of $PHI3V_AKS_CLUSTER"
if ! $dry_run && [[ " ${options[*]} " != *" --yes "* ]]; then
  read -r -p "Delete $what? Write yes: " answer
  [ "$answer" = yes ] || { echo 'Nothing was deleted.' >&2; exit 1; }
fi
if $pool_only; then
  run az aks nodepool delete --resource-group "$PHI3V_AKS_GROUP" --cluster-name "$PHI3V_AKS_CLUSTER" --name "$pool"
else
  run az group delete --name "$PHI3V_AKS_GROUP" --yes
fi
