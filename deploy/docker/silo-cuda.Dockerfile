# phi3v-silo for NVIDIA's GPUs: flavour cuda has libtorch in the image, flavour volume expects it at /opt/libtorch/lib.
ARG RUNTIME=mcr.microsoft.com/dotnet/aspnet:10.0-noble
ARG BASE=docker.io/nvidia/cuda:12.8.1-base-ubuntu24.04
FROM ${RUNTIME} AS runtime
FROM ${BASE}

# NCCL reaches InfiniBand through these; empty leaves them out.
ARG RDMA="libibverbs1 ibverbs-providers librdmacm1"
RUN if [ -n "${RDMA}" ]; then apt-get update && apt-get install -y --no-install-recommends ca-certificates ${RDMA} \
    && rm -rf /var/lib/apt/lists/*; fi

COPY --from=runtime /usr/share/dotnet /usr/share/dotnet
COPY libtorch/ /opt/libtorch/lib/
COPY packages/ /app/
COPY app/ /app/

# Nothing but /tmp is written to: the root file system may be read-only. HOME is where compiled kernels are cached.
ENV PATH="/app:${PATH}" \
    HOME=/tmp \
    DOTNET_ROOT=/usr/share/dotnet \
    DOTNET_RUNNING_IN_CONTAINER=true \
    DOTNET_EnableDiagnostics=0 \
    PHI3V_LIBTORCH=/opt/libtorch/lib \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 1654:1654
EXPOSE 8080 11111 30000
HEALTHCHECK --start-period=60s CMD ["/app/phi3v-silo", "--probe"]
ENTRYPOINT ["/app/phi3v-silo"]
