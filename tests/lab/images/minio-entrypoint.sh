#!/bin/sh
# As the publisher's entry point: what is no call of minio itself becomes its arguments.
set -e
if [ "$#" -gt 0 ] && [ "$1" != minio ]; then
    set -- minio "$@"
fi
exec "$@"
