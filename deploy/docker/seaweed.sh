#!/bin/sh
# Starts the S3 store with one identity, made from the environment.
set -eu
umask 077
cat >/tmp/s3.json <<JSON
{"identities": [{"name": "smartgrid", "actions": ["Admin", "Read", "Write", "List", "Tagging"],
  "credentials": [{"accessKey": "$S3_ACCESS_KEY", "secretKey": "$S3_SECRET_KEY"}]}]}
JSON
exec weed server -dir=/data -ip.bind=0.0.0.0 -s3 -s3.port=8333 -s3.config=/tmp/s3.json \
  -master.volumeSizeLimitMB=1024 -volume.max=0
