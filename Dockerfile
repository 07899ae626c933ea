# tracker monitor in a container.
#
#   docker build -t tracker .
#   docker run -d --restart unless-stopped -p 127.0.0.1:8080:8080 -v ./config:/config:ro -v tracker-data:/data \
#       -e TRACKER_TOKEN="$(openssl rand -hex 16)" -e GATE_PASSWORD tracker
#
# ./config/cameras.yaml must hold `serve: {token_env: TRACKER_TOKEN}`: within the container the page is served to all
# addresses, and that wants a token. It names the passwords of cameras by their environment variables.
# SIGTERM (docker stop) drains and ends within 10 s; SIGHUP (docker kill -s HUP) reads the settings again.

# The version that constraints.txt is for.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 TRACKER_CACHE=/data/cache

WORKDIR /opt/tracker
COPY pyproject.toml constraints.txt README.md CHANGELOG.md LICENSE ./
COPY engines engines
COPY tracker tracker
RUN pip install --constraint constraints.txt '.[monitor]' && rm -rf /opt/tracker/* \
    && useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin tracker \
    && install -d -o tracker -g tracker /data /config

USER tracker
WORKDIR /data
VOLUME ["/config", "/data"]
EXPOSE 8080

# 200 while the supervisor lives, whatever the cameras do; the detector may take a while to be compiled for a GPU.
HEALTHCHECK --interval=30s --timeout=10s --start-period=10m --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=8)"]

ENTRYPOINT ["tracker", "monitor"]
CMD ["--config", "/config/cameras.yaml", "--data", "/data", "--serve", "0.0.0.0:8080", "--log-json"]
