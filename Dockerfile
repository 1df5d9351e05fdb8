FROM python:3.12-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /source
COPY . .
RUN pip wheel --quiet --no-deps --wheel-dir /wheels ./sdk . \
    && python -m venv /opt/asktell \
    && /opt/asktell/bin/pip install --quiet --constraint constraints.txt /wheels/*.whl

# What programs of sweeps need is in the worker's image alone; name yours by --build-arg PACKAGES.
FROM build AS build-worker
ARG EXTRAS=wandb,flyte
ARG PACKAGES=scikit-learn
RUN /opt/asktell/bin/pip install --quiet --constraint constraints.txt --find-links /wheels \
    "asktell-server[${EXTRAS}]" ${PACKAGES}

FROM python:3.12-slim AS base
ENV PATH=/opt/asktell/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TZ=UTC \
    ASKTELL_DATA_DIR=/var/lib/asktell
# Named volumes take the owner of the folder that they are mounted on.
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /var/lib/asktell asktell \
    && install --directory --owner asktell --group asktell --mode 0700 \
       /var/lib/asktell /var/lib/asktell-worker /run/asktell-worker
WORKDIR /var/lib/asktell
ENTRYPOINT ["asktell"]

FROM base AS worker
COPY --from=build-worker /opt/asktell /opt/asktell
USER asktell
CMD ["worker", "--workdir", "/var/lib/asktell-worker"]

FROM base AS server
COPY --from=build /opt/asktell /opt/asktell
USER asktell
EXPOSE 8700
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import http.client, os; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('ASKTELL_PORT', '8700')), timeout=4); c.request('GET', '/readyz'); raise SystemExit(c.getresponse().status != 200)"]
CMD ["serve", "--host", "0.0.0.0"]
