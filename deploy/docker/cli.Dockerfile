# phi3v, the command line, for jobs in the cluster. It starts no silo of its own: give it --cluster or PHI3V_CLUSTER.
ARG BASE=mcr.microsoft.com/dotnet/runtime:10.0-noble
FROM ${BASE}

COPY packages/ /app/
COPY app/ /app/

ENV PATH="/app:${PATH}" \
    HOME=/tmp \
    DOTNET_EnableDiagnostics=0
USER 1654:1654
ENTRYPOINT ["/app/phi3v"]
CMD ["--help"]
