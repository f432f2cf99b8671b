# phi3v-silo on a CPU, and the silo without ranks. build.sh makes the build context; each COPY is a layer, the one that changes most last.
ARG BASE=mcr.microsoft.com/dotnet/aspnet:10.0-noble
FROM ${BASE}

COPY libtorch/ /opt/libtorch/lib/
COPY packages/ /app/
COPY app/ /app/

# Nothing but /tmp is written to: the root file system may be read-only. HOME is where compiled kernels are cached.
ENV PATH="/app:${PATH}" \
    HOME=/tmp \
    PHI3V_LIBTORCH=/opt/libtorch/lib \
    DOTNET_EnableDiagnostics=0
USER 1654:1654
EXPOSE 8080 11111 30000
HEALTHCHECK --start-period=60s CMD ["/app/phi3v-silo", "--probe"]
ENTRYPOINT ["/app/phi3v-silo"]
