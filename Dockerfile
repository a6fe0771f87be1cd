# Two stages: build with the toolchain, run with nothing but two binaries: no shell, no package manager, not root.
#
#   docker build --build-arg VERSION=0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" --tag ringside .
#
# The same sources give the same binaries, byte for byte: the toolchain has a number, the lock file decides the crates, and
# no path and no time of the build is in them. With `--build-arg SOURCE_DATE_EPOCH=...` and BuildKit's `rewrite-timestamp`
# that goes for the layers, too. `tests/scripts/image` builds twice and compares.
FROM docker.io/library/rust:1.95.0-slim-bookworm AS build
WORKDIR /src
COPY . .
# Cargo's release profile keeps line tables for profilers; here nothing would read them. No cache mounts: Cargo goes by
# the times of files, and a target directory that outlives its sources can answer with an older binary.
ENV CARGO_PROFILE_RELEASE_DEBUG=none \
    CARGO_PROFILE_RELEASE_STRIP=symbols \
    RUSTFLAGS="--remap-path-prefix=/src=ringside --remap-path-prefix=/usr/local/cargo=cargo"
RUN cargo build --release --locked

# glibc, libgcc, certificates of authorities and time zones; its user `nonroot` is 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/ringside /src/target/release/ringside-injector /usr/local/bin/
# A number: `runAsNonRoot` cannot tell who a name is.
USER 65532:65532
# Clients, the admin endpoint, the health endpoint.
EXPOSE 8443 9901 9902
ENTRYPOINT ["/usr/local/bin/ringside"]
CMD ["run", "--config", "/etc/ringside/ringside.toml"]
# Last, so that a new commit alone changes no layer.
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ringside" \
      org.opencontainers.image.description="A sidecar proxy for WebSocket applications, and its injector for Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
