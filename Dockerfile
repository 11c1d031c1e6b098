# The image holds one static binary. It runs as an unprivileged user and needs no writable files.
#
#   docker build -t gcp-metadata-emulator --build-arg VERSION=$(git describe --always --dirty) .
#   docker buildx build --platform linux/amd64,linux/arm64 -t gcp-metadata-emulator .
#   docker build --target cluster -t gcp-metadata-emulator:cluster .   (with --kubernetes and --store)
#   docker build --target boring -t gcp-metadata-emulator:boring .     (signs with BoringCrypto; Linux on amd64 or arm64)
#
# The compiler runs on the machine that builds, and cross-compiles for the platform of the image.
FROM --platform=$BUILDPLATFORM docker.io/library/golang:1.26 AS source
ARG TARGETOS TARGETARCH
ARG VERSION
WORKDIR /src
COPY go.mod go.sum ./
COPY scripts/kong scripts/kong.patch ./scripts/
RUN go mod download && scripts/kong
COPY main.go ./
COPY fixtures ./fixtures
COPY keys ./keys
COPY server ./server
COPY signer ./signer
# The folders are for programs that users copy into the image: a scratch image has none.
RUN mkdir -p -m 1777 /root/image/tmp && mkdir -p -m 0777 /root/image/home
ENV CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH LDFLAGS="-s -w -X gcp-metadata-emulator/server/cli.stamp=$VERSION"

FROM source AS build
RUN go build -modfile .build/go.mod -trimpath -ldflags="$LDFLAGS" -tags grpcnotrace -o /root/image/gcp-metadata-emulator .

FROM source AS build-cluster
RUN go build -modfile .build/go.mod -trimpath -ldflags="$LDFLAGS" -tags grpcnotrace,cluster -o /root/image/gcp-metadata-emulator .

# The C compiler of this stage makes programs for the machine that builds only.
FROM source AS build-boring
RUN CGO_ENABLED=1 GOEXPERIMENT=boringcrypto go build -modfile .build/go.mod -trimpath -ldflags="$LDFLAGS -linkmode external -extldflags -static" \
        -tags grpcnotrace,netgo,osusergo -o /root/image/gcp-metadata-emulator .

FROM scratch AS base
ARG VERSION REVISION CREATED
LABEL org.opencontainers.image.title="gcp-metadata-emulator" \
      org.opencontainers.image.description="Google Cloud's metadata server, OAuth 2.0 token endpoint and IAM Credentials API, offline. For tests only." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED"
USER 65534:65534
# Keys last as long as the container. To keep them, mount a directory that user 65534 can write
# to, set GCP_METADATA_EMULATOR_STATE_DIR to it, and GCP_METADATA_EMULATOR_EPHEMERAL=false.
ENV HOME=/home \
    GCP_METADATA_EMULATOR_LISTEN=0.0.0.0:8254 \
    GCP_METADATA_EMULATOR_EPHEMERAL=true
EXPOSE 8254
# "ready" asks 127.0.0.1:8254; for another address set GCP_METADATA_EMULATOR_URL or
# GCP_METADATA_EMULATOR_CONTROL_URL. Images in the OCI format have no health check: buildah and
# podman drop this one unless they build with --format docker. Kubernetes ignores it: use the same
# command in a readinessProbe.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/gcp-metadata-emulator", "ready"]
ENTRYPOINT ["/gcp-metadata-emulator"]

FROM base AS cluster
COPY --from=build-cluster /root/image /

FROM base AS boring
COPY --from=build-boring /root/image /

FROM base
COPY --from=build /root/image /
