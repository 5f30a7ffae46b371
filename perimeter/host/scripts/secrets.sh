#!/bin/bash
# Brings this tier's secrets into memory; they never touch a disk or an argument.
set -euo pipefail
umask 027
install -d -m 0750 -o root -g app /run/secrets
bring() { # the secret, the file, what is made of it
  [ -n "$1" ] || return 0
  aws secretsmanager get-secret-value --secret-id "$1" --query SecretString --output text | $3 >"/run/secrets/.$2"
  chgrp app "/run/secrets/.$2"
  chmod 0640 "/run/secrets/.$2"
  mv "/run/secrets/.$2" "/run/secrets/$2"
}
#if WORDPRESS
salts() { # the keys of WordPress, from one seed
  python3 -c 'import hashlib, hmac, json, sys
seed = json.load(sys.stdin)["seed"].encode()
names = [a + "_" + b for b in ("KEY", "SALT") for a in ("AUTH", "SECURE_AUTH", "LOGGED_IN", "NONCE")]
print(json.dumps({n: hmac.new(seed, n.encode(), hashlib.sha512).hexdigest() for n in names}))'
}
#end
bring "$DATABASE_SECRET_ID" database.json cat
#if NODE_RED
bring "$APP_SECRET_ID" admin.json cat
#end
#if WORDPRESS
bring "$APP_SECRET_ID" wordpress.json salts
#end
