#!/bin/sh
# The access list is made of the secret at each start, in memory. Silos may do what Orleans needs, under keys of their own. Where there is
# a certificate, nothing but TLS is spoken.
set -eu
umask 077
hash=$(printf '%s' "$(cat /run/secrets/redis/password)" | sha256sum | cut -d ' ' -f 1)
cat > /run/redis/users.acl <<ACL
user default off
user probe on nopass nocommands +ping
user phi3v on #$hash ~phi3v/* &__Booksleeve_* +@read +@write +@connection +@transaction +@scripting +@pubsub +info +cluster|nodes +config|get -@dangerous
ACL
set -- --port 6379
if [ -e /run/secrets/tls/tls.crt ]; then
  cp /run/secrets/tls/tls.crt /run/redis/tls.crt # which one it has: redis-probe.sh
  set -- --port 0 --tls-port 6379 --tls-auth-clients no --tls-cert-file /run/secrets/tls/tls.crt \
    --tls-key-file /run/secrets/tls/tls.key --tls-ca-cert-file /run/secrets/tls/ca.crt
fi
exec redis-server /etc/phi3v/redis.conf "$@"
