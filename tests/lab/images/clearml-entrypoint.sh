#!/bin/sh
# Upstream's image takes the service to run as its first argument; so does the double.
set -e
cd /opt/clearml
exec python3 -m clearml_api "$@"
