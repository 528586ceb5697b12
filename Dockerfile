# acne-edge as a service: the REST interface, and the page for photographs in /photographs.
#
#   docker build -t acne-edge .
#   docker run --rm --read-only --tmpfs /tmp --cap-drop ALL -p 127.0.0.1:8642:8642 \
#       -e ACNE_EDGE_TOKEN=... -v /srv/photographs:/photographs acne-edge
#
# Nothing is written but corrections, into /photographs/acne-edge.sqlite; the user in it, 10001, must be allowed to.

FROM python:3.12-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE LICENSE-WEIGHTS.md ./
COPY acne_edge acne_edge
RUN python -m venv /opt/acne-edge \
    && /opt/acne-edge/bin/pip install --no-cache-dir --disable-pip-version-check '.[serve,heif]' \
    && /opt/acne-edge/bin/pip uninstall --yes pip \
    && /opt/acne-edge/bin/python -m compileall -q /opt/acne-edge/lib

FROM python:3.12-slim
COPY --from=build /opt/acne-edge /opt/acne-edge
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin acne-edge && install -d -o acne-edge /photographs
USER 10001
ENV PATH=/opt/acne-edge/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 ACNE_EDGE_GRAPH_CACHE=0
VOLUME /photographs
EXPOSE 8642
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD \
    ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8642/healthz', timeout=4)"]
ENTRYPOINT ["acne-edge", "serve"]
CMD ["/photographs", "--host", "0.0.0.0"]
