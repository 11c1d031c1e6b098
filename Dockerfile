# A static binary and nothing else; it runs as nobody and needs no writable file system.
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
# Keys live as long as the container. To keep them, mount a directory that user 65534 may
# write, name it in GCP_METADATA_EMULATOR_STATE_DIR and set ..._EPHEMERAL=false.
ENV GCP_METADATA_EMULATOR_LISTEN=0.0.0.0:8254 \
    GCP_METADATA_EMULATOR_EPHEMERAL=true
EXPOSE 8254
# It asks 127.0.0.1:8254; where that is not right, set ..._URL or ..._CONTROL_URL.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/gcp-metadata-emulator", "ready"]
ENTRYPOINT ["/gcp-metadata-emulator"]
