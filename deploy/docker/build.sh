#!/usr/bin/env bash
# Builds the images phi3v-silo and phi3v, with a list of what is in them. Needs the .NET SDK of global.json, and docker, podman or buildah.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: deploy/docker/build.sh [--flavour cpu|cuda|volume|control] [--tag TAG] [--registry HOST/PATH] [--tool docker|podman|buildah]
                              [--base IMAGE] [--runtime IMAGE] [--cli-base IMAGE] [--publish-only] [-- TOOL-OPTION…]
  --flavour       cpu: libtorch from NuGet (default); cuda: TorchSharp-cuda-linux on NVIDIA's base;
                  volume: no libtorch in the image, a volume at /opt/libtorch/lib brings it; on NVIDIA's base
                  control: no libtorch at all, for silos of --role control; the silo's image only
  --tag           the images' tag, the flavour unless given
  --base, --runtime, --cli-base   stand in for the Dockerfiles' own base images
  --publish-only  make the build contexts in artifacts/image and stop
  what follows -- goes to the tool's build command as it is
TEXT
}

flavour=cpu tag='' registry='' tool='' base='' runtime='' cli_base='' publish_only=false
while [ $# -gt 0 ]; do
  case $1 in
    --flavour) flavour=$2; shift 2 ;;
    --tag) tag=$2; shift 2 ;;
    --registry) registry=${2%/}/; shift 2 ;;
    --tool) tool=$2; shift 2 ;;
    --base) base=$2; shift 2 ;;
    --runtime) runtime=$2; shift 2 ;;
    --cli-base) cli_base=$2; shift 2 ;;
    --publish-only) publish_only=true; shift ;;
    --help) usage; exit 0 ;;
    --) shift; break ;;
    *) echo "build.sh: unknown option, got $1; see --help." >&2; exit 2 ;;
  esac
done
case $flavour in
  cpu | cuda | volume | control) ;;
  *) echo "build.sh: --flavour: must be cpu, cuda, volume or control, got $flavour." >&2; exit 2 ;;
esac
: "${tag:=$flavour}"

cd "$(dirname "$0")/../.."
context=artifacts/image
torch=cpu
[ "$flavour" = cuda ] && torch=cuda

# What changes with every commit (app) apart from what changes with a package (packages), so that a push sends the first alone.
publish() { # NAME PROJECT EXECUTABLE
  local all=$context/$1/all app=$context/$1/app packages=$context/$1/packages
  rm -rf "${context:?}/$1"
  dotnet publish "$2" -c Release -v quiet -p:Torch=$torch -p:DebugType=embedded -o "$all"
  mkdir -p "$app" "$packages"
  find "$all" -maxdepth 1 \( -name 'Phi3VCluster.*' -o -name "$3" -o -name "$3.*" \) -exec mv {} "$app" \;
  rm -f "$all"/phi3v "$all"/phi3v-* # build order only: the CLI's folder gets other programs' starters, without the programs
  cp -r "$all"/. "$packages"
  rm -rf "$all"
  describe "$2" "$app"
}

describe() { # PROJECT FOLDER: an SBOM, and from it a list of packages and licences
  dotnet tool run dotnet-CycloneDX -- "$1/$(basename "$1").csproj" -o "$2" -fn sbom.cdx.xml -F Xml --disable-package-restore -ed >/dev/null
  awk -f deploy/docker/licences.awk "$2/sbom.cdx.xml" | sort -f > "$2/licences.tsv"
}

dotnet tool restore >/dev/null
publish silo src/Silo phi3v-silo
[ "$flavour" = control ] || publish cli src/Client phi3v
mkdir -p $context/silo/libtorch
if [ "$flavour" = cpu ]; then
  from=$(dotnet msbuild src/Training -nologo -getProperty:Pkglibtorch-cpu-linux-x64)/runtimes/linux-x64/native
  cp "$from"/lib{torch,torch_cpu,torch_global_deps,c10}.so "$from"/libgomp-*.so.1 $context/silo/libtorch
fi
if $publish_only; then exit 0; fi

if [ -z "$tool" ]; then
  for tool in docker podman buildah none; do command -v "$tool" >/dev/null && break; done
fi
[ "$tool" = none ] && { echo "build.sh: no docker, podman or buildah was found; install one." >&2; exit 1; }

image() { # DOCKERFILE CONTEXT NAME OPTION…
  local file=$1 from=$2 name=$3
  shift 3
  "$tool" build -f "deploy/docker/$file" -t "$name" "$@" "$from"
}
dockerfile=silo.Dockerfile
case $flavour in cuda | volume) dockerfile=silo-cuda.Dockerfile ;; esac
image $dockerfile $context/silo "${registry}phi3v-silo:$tag" \
  ${base:+--build-arg "BASE=$base"} ${runtime:+--build-arg "RUNTIME=$runtime"} "$@"
[ "$flavour" = control ] && exit 0
image cli.Dockerfile $context/cli "${registry}phi3v:$tag" ${cli_base:+--build-arg "BASE=$cli_base"} "$@"
