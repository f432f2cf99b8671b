#!/usr/bin/env bash
# Makes the cluster of settings.sh: registry, AKS, pool of GPUs, drivers, monitoring, and Phi3VCluster in it. What is there already
# is left as it is, so the script can be run again after a failure. --dry-run prints the commands only. GPU nodes cost money from
# their first minute.

# shellcheck source=common.sh
. "$(dirname "$0")/common.sh" "$@"
need az kubectl helm openssl phi3v
if [ -z "$PHI3V_AKS_REGISTRY" ]; then
  echo "PHI3V_AKS_REGISTRY: must be set, a name that is free in all of Azure; letters and digits." >&2
  exit 2
fi

group=(--resource-group "$PHI3V_AKS_GROUP")

# A pool lands on one InfiniBand fabric only in subscriptions that have asked for it.
run az provider register --namespace Microsoft.ContainerService
run az feature register --namespace Microsoft.ContainerService --name AKSInfinibandSupport

there az group show --name "$PHI3V_AKS_GROUP" || run az group create --name "$PHI3V_AKS_GROUP" --location "$PHI3V_AKS_LOCATION"
there az acr show "${group[@]}" --name "$PHI3V_AKS_REGISTRY" || run az acr create "${group[@]}" --name "$PHI3V_AKS_REGISTRY" --sku Standard

# Cilium is what enforces the network policies; the blob driver brings the class of the shared volume.
there az aks show "${group[@]}" --name "$PHI3V_AKS_CLUSTER" || run az aks create "${group[@]}" --name "$PHI3V_AKS_CLUSTER" \
  --location "$PHI3V_AKS_LOCATION" --nodepool-name system --node-vm-size "$PHI3V_AKS_SYSTEM_SIZE" --node-count 2 \
  --network-plugin azure --network-plugin-mode overlay --network-dataplane cilium \
  --enable-blob-driver --attach-acr "$PHI3V_AKS_REGISTRY" --generate-ssh-keys

driver=()
[ "$PHI3V_AKS_DRIVER" = operator ] && driver=(--gpu-driver none)
spot=()
[ "$overlay" = aks-spot ] && spot=(--priority Spot --eviction-policy Delete --spot-max-price -1)
there az aks nodepool show "${group[@]}" --cluster-name "$PHI3V_AKS_CLUSTER" --name "$pool" || run az aks nodepool add "${group[@]}" \
  --cluster-name "$PHI3V_AKS_CLUSTER" --name "$pool" --node-vm-size "$size" --node-count "$PHI3V_AKS_NODES" \
  --labels "phi3v-pool=$PHI3V_AKS_POOL" --node-taints sku=gpu:NoSchedule "${driver[@]}" "${spot[@]}"
run az aks get-credentials "${group[@]}" --name "$PHI3V_AKS_CLUSTER" --overwrite-existing

run helm repo add nvidia https://helm.ngc.nvidia.com/nvidia --force-update
run helm repo add prometheus-community https://prometheus-community.github.io/helm-charts --force-update
if [ "$PHI3V_AKS_DRIVER" = operator ]; then
  # First the network's drivers, then the GPUs', which are built against them.
  for namespace in network-operator gpu-operator; do
    there kubectl get namespace $namespace || run kubectl create namespace $namespace
    run kubectl label namespace $namespace pod-security.kubernetes.io/enforce=privileged --overwrite
  done
  run helm upgrade --install network-operator nvidia/network-operator --namespace network-operator --version v26.4.0 --wait \
    --values "$here/network-operator.yaml"
  # Azure keeps the policy for its adapters, and the device plugin that offers them as rdma/ib.
  run kubectl apply -k "https://github.com/Azure/aks-rdma-infiniband/configs/nicclusterpolicy/base"
  run kubectl apply -k "https://github.com/Azure/aks-rdma-infiniband/configs/sriov-device-plugin"
  run helm upgrade --install gpu-operator nvidia/gpu-operator --namespace gpu-operator --version v26.3.3 --wait \
    --values "$here/gpu-operator.yaml"
fi
run helm upgrade --install kube-prometheus prometheus-community/kube-prometheus-stack --namespace monitoring --create-namespace --wait \
  --values "$here/kube-prometheus.yaml"

server=$PHI3V_AKS_REGISTRY.azurecr.io
run az acr login --name "$PHI3V_AKS_REGISTRY"
for flavour in cuda control; do
  run "$repository/deploy/docker/build.sh" --tool docker --flavour "$flavour" --registry "$server"
  run docker push "$server/phi3v-silo:$flavour"
done
run docker push "$server/phi3v:cuda"

there kubectl get namespace phi3v || run kubectl apply -f "$repository/deploy/k8s/base/namespace.yaml"
if ! there kubectl get secret phi3v-redis --namespace phi3v; then
  echo '+ kubectl create secret generic phi3v-redis --namespace phi3v --from-file=password=<(openssl rand -hex 32)' >&2
  $dry_run || openssl rand -hex 32 | tr -d '\n' |
    kubectl create secret generic phi3v-redis --namespace phi3v --from-file=password=/dev/stdin
fi

# Certificates of a private authority; what they let in, and cert-manager in their place: docs/security.md.
if ! there kubectl get secret phi3v-tls --namespace phi3v; then
  certificates=$PHI3V_AKS_CERTIFICATES
  [ -e "$certificates/silo.crt" ] || run phi3v certs --to "$certificates" --silo silo --client cli
  run kubectl create secret generic phi3v-tls --namespace phi3v --from-file=tls.crt="$certificates/silo.crt" \
    --from-file=tls.key="$certificates/silo.key" --from-file=ca.crt="$certificates/authority.crt"
  run kubectl create secret generic phi3v-tls-client --namespace phi3v --from-file=tls.crt="$certificates/cli.crt" \
    --from-file=tls.key="$certificates/cli.key" --from-file=ca.crt="$certificates/authority.crt"
fi

if ! there kubectl get secret phi3v-redis-tls --namespace phi3v; then
  certificates=$PHI3V_AKS_CERTIFICATES
  [ -e "$certificates/phi3v-redis.crt" ] || run phi3v certs --to "$certificates" --server phi3v-redis
  run kubectl create secret generic phi3v-redis-tls --namespace phi3v --from-file=tls.crt="$certificates/phi3v-redis.crt" \
    --from-file=tls.key="$certificates/phi3v-redis.key" --from-file=ca.crt="$certificates/authority.crt"
fi

# The manifests with the registry's images and as many pods of ranks as nodes.
echo "+ kubectl kustomize deploy/k8s/overlays/$overlay | (images of $server, $PHI3V_AKS_NODES nodes) | kubectl apply -f -" >&2
$dry_run || kubectl kustomize "$repository/deploy/k8s/overlays/$overlay" | sed "s#image: phi3v#image: $server/phi3v#" | kubectl apply -f -
run kubectl scale deployment phi3v-ranks --namespace phi3v --replicas "$PHI3V_AKS_NODES"
run kubectl apply -k "$repository/deploy/k8s/monitoring"
run kubectl rollout status deployment phi3v-control --namespace phi3v --timeout 5m
run kubectl rollout status deployment phi3v-ranks --namespace phi3v --timeout 20m
cat >&2 <<TEXT
The cluster is up. To talk to it, in two shells:
  kubectl port-forward --namespace phi3v deployment/phi3v-control 30000:30000
  export PHI3V_TLS_CERTIFICATE=$PHI3V_AKS_CERTIFICATES/cli.crt PHI3V_TLS_KEY=$PHI3V_AKS_CERTIFICATES/cli.key
  export PHI3V_TLS_AUTHORITY=$PHI3V_AKS_CERTIFICATES/authority.crt
  phi3v nodes --cluster 127.0.0.1:30000
TEXT
