# What the scripts of this folder build, read by each of them. Every value can be given as an environment variable.
# shellcheck shell=bash disable=SC2034
: "${PHI3V_AKS_LOCATION:=eastus}"
: "${PHI3V_AKS_GROUP:=phi3v}"
: "${PHI3V_AKS_CLUSTER:=phi3v}"
: "${PHI3V_AKS_REGISTRY:=}" # name of a container registry, unique in all of Azure
: "${PHI3V_AKS_POOL:=a100}" # a100, h100, v100 or a100-spot: an overlay of deploy/k8s
: "${PHI3V_AKS_NODES:=1}"
: "${PHI3V_AKS_CERTIFICATES:=phi3v-certificates}" # folder of the private authority, made where it is not there; keep it
: "${PHI3V_AKS_SYSTEM_SIZE:=Standard_D4ds_v5}"
: "${PHI3V_AKS_DRIVER:=operator}" # operator: NVIDIA's, needed for InfiniBand; aks: AKS installs the driver

case $PHI3V_AKS_POOL in
  a100) size=Standard_ND96amsr_A100_v4 family='standard NDAMSv4_A100Family' vcpus=96 pool=a100 overlay=aks-a100 ;;
  h100) size=Standard_ND96isr_H100_v5 family=standardNDSH100v5Family vcpus=96 pool=h100 overlay=aks-h100 ;;
  v100) size=Standard_ND40rs_v2 family=standardNDv2Family vcpus=40 pool=v100 overlay=aks-v100 ;;
  a100-spot) size=Standard_ND96amsr_A100_v4 family=lowPriorityCores vcpus=96 pool=a100spot overlay=aks-spot ;;
  *) echo "PHI3V_AKS_POOL: must be a100, h100, v100 or a100-spot, got $PHI3V_AKS_POOL." >&2; exit 2 ;;
esac
case $PHI3V_AKS_DRIVER in
  operator | aks) ;;
  *) echo "PHI3V_AKS_DRIVER: must be operator or aks, got $PHI3V_AKS_DRIVER." >&2; exit 2 ;;
esac
