# The image holds one static binary. It runs as an unprivileged user and needs no writable files.
FROM docker.io/library/golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY main.go ./
COPY fixtures ./fixtures
COPY keys ./keys
COPY server ./server
COPY signer ./signer
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /gcp-metadata-emulator .

FROM scratch
COPY --from=build /gcp-metadata-emulator /gcp-metadata-emulator
USER 65534:65534
# Keys last as long as the container. To keep them, mount a directory that user 65534 can write
# to, set GCP_METADATA_EMULATOR_STATE_DIR to it, and GCP_METADATA_EMULATOR_EPHEMERAL=false.
ENV GCP_METADATA_EMULATOR_LISTEN=0.0.0.0:8254 \
    GCP_METADATA_EMULATOR_EPHEMERAL=true
EXPOSE 8254
# "ready" asks 127.0.0.1:8254; for another address set GCP_METADATA_EMULATOR_URL or
# GCP_METADATA_EMULATOR_CONTROL_URL.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/gcp-metadata-emulator", "ready"]
ENTRYPOINT ["/gcp-metadata-emulator"]
