# Needs neither BuildKit nor any build argument: `docker build -t belfry .`
ARG NODE_IMAGE=node:26-slim

# Everything that the build needs. No package's install script runs, here or below.
FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN npm run build

# What the service needs while it runs, in a stage of its own: it changes with the lock file only, not with the source.
FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM ${NODE_IMAGE}
# Must say the same as package.json; the container tests compare them.
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Belfry" \
      org.opencontainers.image.description="Self-hosted push notifications over WebSocket" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="docker.io/library/node:26-slim"
# Belfry writes no file: the root may be read-only. In production it refuses to start open to the world; see
# ALLOW_INSECURE in the documentation.
ENV NODE_ENV=production PORT=8080
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json ./
# The user `node`, as a number: Kubernetes' runAsNonRoot cannot look a name up. The files stay root's.
USER 1000:1000
EXPOSE 8080
# Asks the public listener, wherever HOST and PORT put it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["node", "-e", "const { HOST, PORT, TLS_CERT } = process.env; const request = require(TLS_CERT ? 'https' : 'http').get({ host: HOST || '127.0.0.1', port: PORT, path: '/healthz', timeout: 2000, rejectUnauthorized: false }, ({ statusCode }) => process.exit(statusCode === 200 ? 0 : 1)); request.on('error', () => process.exit(1)); request.on('timeout', () => process.exit(1))"]
# Node itself is process 1 and gets the signals. The flag: see docs/operations.md, "Memory".
CMD ["node", "--max-semi-space-size=8", "dist/cli.js", "serve"]
