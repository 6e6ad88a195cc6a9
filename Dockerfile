# The one program of the fleet as a static binary on an empty image, run by an
# unprivileged user. What it does is its first argument: worker, scheduler, …
#
#   docker build -t waybill .
#   docker run --rm waybill --help

FROM golang:1.26.8-bookworm AS build
WORKDIR /src
# The modules change less often than the code: they have a layer of their own.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# Google's storage library has a second transport, gRPC, that is not used here;
# Snowflake's driver would load a native library to tell the vendor of the system.
RUN CGO_ENABLED=0 go build -tags disable_grpc_modules,minicore_disabled -trimpath -ldflags="-s -w" -o /rootfs/waybill ./cmd/waybill
# Folders that an empty image lacks: for temporary files, for our own bucket, for
# Delta tables, and for a bucket of a customer to try the fleet with. A volume that is mounted on
# /var/lib/waybill for the first time takes them over, with their owner.
RUN mkdir -p /rootfs/tmp /rootfs/var/lib/waybill/own /rootfs/var/lib/waybill/delta /rootfs/var/lib/waybill/bucket

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=65532:65532 /rootfs/ /
USER 65532:65532
# /metrics and /healthz of a worker, pages and API of the scheduler, Delta Sharing.
EXPOSE 9100 8080 8081
ENTRYPOINT ["/waybill"]
