# remediator with both stores. Mount the configuration at /etc/remediator and, for SQLite, a volume at /var/lib/remediator.
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY remediator remediator
COPY rules rules
RUN python -m venv /opt/remediator \
 && /opt/remediator/bin/pip install --no-cache-dir -c constraints.txt ".[postgres,speed]" \
 && ln -s "$(/opt/remediator/bin/python -c 'import pathlib, remediator; print(pathlib.Path(remediator.__file__).parent / "packs")')" /opt/remediator/packs

FROM python:3.11-slim
RUN groupadd --gid 10001 remediator \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/remediator --shell /usr/sbin/nologin remediator \
 && install --directory --owner=remediator --group=remediator --mode=0750 /var/lib/remediator
COPY --from=build /opt/remediator /opt/remediator
ENV PATH="/opt/remediator/bin:$PATH" PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /var/lib/remediator
VOLUME ["/var/lib/remediator"]
EXPOSE 8321
STOPSIGNAL SIGTERM
# Liveness only: a daemon whose broker is away is alive, and restarting it would not help.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8321/livez', timeout=4)"]
ENTRYPOINT ["remediator"]
CMD ["run", "--config", "/etc/remediator/remediator.toml"]
