#!/bin/sh
# The access list is made of the secret at each start, in memory. Silos may do what Orleans needs, under keys of their own.
set -eu
umask 077
hash=$(printf '%s' "$(cat /run/secrets/redis/password)" | sha256sum | cut -d ' ' -f 1)
cat > /run/redis/users.acl <<ACL
user default off
user probe on nopass nocommands +ping
user phi3v on #$hash ~phi3v/* &__Booksleeve_* +@read +@write +@connection +@transaction +@scripting +@pubsub +info +cluster|nodes +config|get -@dangerous
ACL
exec redis-server /etc/phi3v/redis.conf
