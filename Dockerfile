# Two stages: build with the toolchain, run with nothing but the binary. No shell, no package manager, not root.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin ringside

FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="ringside" \
      org.opencontainers.image.description="A sidecar proxy for WebSocket applications" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /src/target/release/ringside /usr/local/bin/ringside
# io_uring needs a seccomp profile that allows it; without one, engine = "auto" falls back on epoll and says so.
EXPOSE 8443 9901
ENTRYPOINT ["/usr/local/bin/ringside"]
CMD ["run", "--config", "/etc/ringside/ringside.toml"]
