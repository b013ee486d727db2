# The page.
FROM node:20-slim AS page
WORKDIR /build/web
COPY web/package.json web/package-lock.json web/.npmrc ./
RUN npm ci --no-audit --no-fund
COPY web/ ./
COPY clients/typescript/src/ /build/clients/typescript/src/
RUN npm run build

# The client for script tags.
FROM node:20-slim AS client
WORKDIR /build/client
COPY clients/typescript/package.json clients/typescript/package-lock.json clients/typescript/.npmrc ./
RUN npm ci --no-audit --no-fund
COPY clients/typescript/ ./
RUN npm run build

# The wheel, and everything it needs in one virtual environment.
FROM python:3.11-slim AS package
WORKDIR /build
COPY requirements.lock ./
RUN python -m venv /opt/bookcast \
    && /opt/bookcast/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY src/ src/
COPY --from=page /build/src/bookcast/web/ src/bookcast/web/
COPY --from=client /build/client/dist/bookcast.js src/bookcast/script/client.js
RUN /opt/bookcast/bin/pip install --no-cache-dir --no-deps .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --create-home --home-dir /home/bookcast bookcast
COPY --from=package /opt/bookcast /opt/bookcast
ENV PATH=/opt/bookcast/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    WEBSOCKET_PORT=8002 \
    ENVIRONMENT=production
USER 10001
WORKDIR /home/bookcast
EXPOSE 8002
# http.client knows no proxies: with HTTP_PROXY set, others would ask the proxy for its own 127.0.0.1.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['WEBSOCKET_PORT']), timeout=2); c.request('GET', '/livez'); sys.exit(c.getresponse().status != 200)"]
CMD ["bookcast", "serve"]
