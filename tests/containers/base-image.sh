#!/bin/sh
# Make a stand-in for python:3.11-slim out of Debian's own packages, for machines that reach no image registry.
#
#     tests/containers/base-image.sh [IMAGE]        then: DSM_BASE_IMAGE=IMAGE docker-compose build
#
# Debian 12 with Python 3.11. It is made once; an image of that name is left as it is.
# The stand-in trusts the certificates that this machine trusts, and pip in it is set up as on this machine.
set -eu

image=${1:-dsm-base:bookworm}
if docker image inspect "$image" >/dev/null 2>&1; then
    echo "$image is there"
    exit 0
fi

root=$(mktemp -d)
trap 'rm -rf "$root" "$root.log"' EXIT
packages=python3,python3-venv,ca-certificates
echo "making $image from Debian's packages"
if ! debootstrap --variant=minbase --include="$packages" bookworm "$root" >"$root.log" 2>&1; then
    tail -n 20 "$root.log" >&2
    exit 1
fi
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*

bundle=/etc/ssl/certs/ca-certificates.crt
if [ -e "$bundle" ]; then
    cp "$bundle" "$root$bundle"
fi
# The image's environment takes over the settings of pip and of TLS that this machine's has; paths only of files that
# the image has, too.
set -- --change "ENV SSL_CERT_FILE=$bundle" --change "ENV PIP_CERT=$bundle"
for name in PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST PIP_DEFAULT_TIMEOUT; do
    value=$(printenv "$name" || true)
    if [ -n "$value" ]; then
        set -- "$@" --change "ENV $name=$value"
    fi
done
tar -C "$root" -c . | docker import "$@" - "$image" >/dev/null
echo "$image is made"
