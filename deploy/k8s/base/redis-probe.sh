#!/bin/sh
# Does Redis answer? "alive" asks besides whether its certificate is the secret's: it reads it at its start alone, so a renewed one is a
# reason to start anew. Ranks train on meanwhile.
set -eu
question=${1:-answers}
set -- -p 6379 --user probe --pass - --no-auth-warning -e
if [ -e /run/secrets/tls/tls.crt ]; then
  [ "$question" != alive ] || cmp -s /run/secrets/tls/tls.crt /run/redis/tls.crt
  set -- "$@" --tls --cacert /run/secrets/tls/ca.crt
fi
redis-cli "$@" ping
