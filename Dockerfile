# Two images from one file:
#   docker build --target web    -t verilayer-web .      the API: webhooks, admin, health
#   docker build --target worker -t verilayer-worker .   layer builds, sweeps, the CLI
# The web image has no conversion code and none of its dependencies.
#
# BASE can be any Debian 12; pin it by digest in your build: --build-arg BASE=debian:bookworm-slim@sha256:...
ARG BASE=docker.io/library/debian:bookworm-slim

FROM ${BASE} AS python
# Security fixes come with the distribution's own versions, so none is pinned here.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3 tini \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/opt/verilayer/bin:$PATH

FROM python AS build
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev python3-dev python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY locks/build.txt locks/
RUN python3 -m venv /opt/build && /opt/build/bin/pip install --no-cache-dir --require-hashes -r locks/build.txt

FROM build AS web-dependencies
COPY locks/web.txt locks/
RUN python3 -m venv --without-pip /opt/verilayer \
 && /opt/build/bin/pip --python /opt/verilayer/bin/python install --no-cache-dir --require-hashes --no-deps -r locks/web.txt

FROM build AS worker-dependencies
# worker.txt has tracing; worker-extras.txt also every KMS, HSM and cloud registry client.
ARG WORKER_LOCK=locks/worker.txt
COPY locks/ locks/
RUN python3 -m venv --without-pip /opt/verilayer \
 && /opt/build/bin/pip --python /opt/verilayer/bin/python install --no-cache-dir --require-hashes --no-deps -r "$WORKER_LOCK"
COPY pyproject.toml setup.py README.md LICENSE ./
COPY app/ app/
COPY workers/ workers/
ARG VERSION=0.0.0
RUN SETUPTOOLS_SCM_PRETEND_VERSION=$VERSION /opt/build/bin/pip wheel --no-cache-dir --no-build-isolation --no-deps -w /tmp/wheel . \
 && /opt/build/bin/pip --python /opt/verilayer/bin/python install --no-cache-dir --no-deps /tmp/wheel/*.whl

FROM python AS runtime
RUN groupadd --gid 10001 verilayer \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin verilayer \
 && install -d -o 10001 -g 10001 -m 0700 /run/verilayer /var/lib/verilayer
# /run/verilayer (metrics, heartbeat) and /var/lib/verilayer (state, spool) are the only places
# written to: mount both, and the root file system can be read-only.
ENV PROMETHEUS_MULTIPROC_DIR=/run/verilayer \
    VERILAYER_CONFIG_FILE=/etc/verilayer/verilayer.yaml \
    VERILAYER_STATE_DIR=/var/lib/verilayer
WORKDIR /opt/verilayer
ENTRYPOINT ["/usr/bin/tini", "--"]
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="verilayer" \
      org.opencontainers.image.description="Registry-side conversion of image layers to signed EROFS tar index + dm-verity bundles" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.base.name="docker.io/library/debian:bookworm-slim"

FROM runtime AS web
COPY --from=web-dependencies /opt/verilayer /opt/verilayer
COPY app/ /opt/verilayer/src/app/
ENV PYTHONPATH=/opt/verilayer/src VERILAYER_HOST=0.0.0.0
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s \
    CMD ["python", "-m", "app.observability.probe", "url", "http://127.0.0.1:8080/healthz"]
CMD ["python", "-m", "uvicorn", "--factory", "app.main:from_environment", "--host", "0.0.0.0", "--port", "8080", "--no-server-header", "--no-proxy-headers"]

FROM runtime AS worker
COPY --from=worker-dependencies /opt/verilayer /opt/verilayer
# TERM asks Celery to finish within its soft shutdown time and give the rest back.
ENV REMAP_SIGTERM=SIGQUIT VERILAYER_METRICS_PORT=9090 VERILAYER_HEARTBEAT_FILE=/run/verilayer/heartbeat
USER 10001:10001
EXPOSE 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-m", "app.observability.probe", "fresh", "/run/verilayer/heartbeat"]
CMD ["python", "-m", "celery", "-A", "workers.celery", "worker", "--without-gossip", "--without-mingle"]
