# The image's own release fixes the versions of its packages; each must be signed.
dnf --assumeyes --quiet --setopt=gpgcheck=1 --setopt=localpkg_gpgcheck=1 install @PACKAGES@
# Files of the tree are kept on the instance's own disk where the system can.
dnf --assumeyes --quiet --setopt=gpgcheck=1 install cachefilesd || echo 'there is no cachefilesd: files are not kept locally'
id -u @USER@ >/dev/null 2>&1 || useradd --system --no-create-home --shell /sbin/nologin @USER@
usermod --append --groups @USER@ nginx
usermod --append --groups @USER@ cwagent || echo 'there is no user cwagent yet'
# Nobody comes in by SSH: Systems Manager opens shells, and writes down who had one.
systemctl disable --now sshd.service sshd.socket 2>/dev/null || systemctl mask sshd.service
mkdir -p /opt/ringwall
#if WORDPRESS
if [ ! -e /opt/ringwall/wordpress/wp-settings.php ]; then
  curl --proto '=https' --tlsv1.2 --fail --silent --show-error --location --retry 5 --output /opt/ringwall/wordpress.tar.gz 'https://wordpress.org/wordpress-@WORDPRESS_VERSION@.tar.gz'
  echo '@WORDPRESS_SHA1@  /opt/ringwall/wordpress.tar.gz' | sha1sum --check --status
  tar --extract --gzip --file /opt/ringwall/wordpress.tar.gz --directory /opt/ringwall --no-same-owner
  rm /opt/ringwall/wordpress.tar.gz
fi
#end
#if NODE_RED
if [ ! -e /opt/ringwall/node-red/node_modules ]; then
  # Every package by the checksum in the lock file; none runs a script of its own.
  fetch image application "$APPLICATION_IMAGE"
  (cd /opt/ringwall/node-red && npm ci --omit=dev --ignore-scripts --no-audit --no-fund)
  chmod -R a+rX /opt/ringwall/node-red
fi
#end
