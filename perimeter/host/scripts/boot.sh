#!/bin/bash
# The first start of an instance of tier @TIER@ of @SITE@. Made by ringwall synth.
set -euo pipefail
umask 022
export AWS_DEFAULT_REGION='${AWS::Region}'
FILE_SYSTEM='${FileSystem}'
ACCESS_POINT='${AccessPoint}'
LOGS='${Logs}'
DATABASE_SECRET_ID='${DatabaseSecret}'
APP_SECRET_ID='${AppSecret}'
WEBSERVER='${Webserver}'
APPLICATION='${Application}'
MOUNT=@MOUNT@

# The metadata service wants a token first, and answers only from this machine.
METADATA=http://169.254.169.254/latest
TOKEN=$(curl --fail --silent --retry 5 --request PUT --header 'X-aws-ec2-metadata-token-ttl-seconds: 300' "$METADATA/api/token")
INSTANCE=$(curl --fail --silent --retry 5 --header "X-aws-ec2-metadata-token: $TOKEN" "$METADATA/meta-data/instance-id")
unset TOKEN

tell() { # SUCCESS or FAILURE, to the stack that waits for this instance
  aws cloudformation signal-resource --stack-name '${AWS::StackName}' --logical-resource-id @RESOURCE@ --unique-id "$INSTANCE" --status "$1" ||
    echo "the stack waits for no signal of $INSTANCE"
}
trap '[ "$?" = 0 ] || tell FAILURE' EXIT

@FETCH@
@INSTALL@
# --- the files: by this tier's access point, signed with its role, through TLS
mkdir -p "$MOUNT"
OPTIONS=@MOUNT_OPTIONS@,accesspoint=$ACCESS_POINT
#if CACHE
if systemctl enable --now cachefilesd.service; then
  OPTIONS=$OPTIONS,fsc
fi
#end
grep --quiet " $MOUNT efs " /etc/fstab || echo "$FILE_SYSTEM:/ $MOUNT efs $OPTIONS 0 0" >>/etc/fstab
for ((try = 1; ; try++)); do
  if mountpoint --quiet "$MOUNT" || mount "$MOUNT"; then break; fi
  [ "$try" -lt 20 ] || exit 1
  sleep 6
done

# --- configuration, as the plan has it
fetch @TIER@ webserver "$WEBSERVER"
fetch @TIER@ application "$APPLICATION"
install -d -m 0755 /etc/ringwall /usr/local/libexec
cat >/usr/local/libexec/ringwall-secrets <<'END'
@SECRETS@
END
chmod 0755 /usr/local/libexec/ringwall-secrets
cat >/etc/ringwall/secrets.conf <<END
DATABASE_SECRET_ID=$DATABASE_SECRET_ID
APP_SECRET_ID=$APP_SECRET_ID
AWS_DEFAULT_REGION=$AWS_DEFAULT_REGION
END
cat >/etc/systemd/system/ringwall-secrets.service <<'END'
[Unit]
Description=Secrets of this tier, into memory
After=network-online.target
Wants=network-online.target

[Service]
Type=oneshot
EnvironmentFile=/etc/ringwall/secrets.conf
ExecStart=/usr/local/libexec/ringwall-secrets
END
cat >/etc/systemd/system/ringwall-secrets.timer <<'END'
[Unit]
Description=Secrets that were changed

[Timer]
OnBootSec=5min
OnUnitActiveSec=5min
RandomizedDelaySec=60

[Install]
WantedBy=timers.target
END
#if APP
cat >/etc/systemd/system/ringwall-app.service <<'END'
@APP_UNIT@
END
#end
install -d -m 0755 /etc/systemd/system/nginx.service.d
cat >/etc/systemd/system/nginx.service.d/ringwall.conf <<'END'
[Service]
RuntimeDirectory=nginx
PrivateTmp=yes
PrivateDevices=yes
ProtectSystem=full
ProtectHome=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
NoNewPrivileges=yes
RestrictSUIDSGID=yes
LimitCORE=0
END
sed "s#@LOGS@#$LOGS#" >/opt/aws/amazon-cloudwatch-agent/etc/ringwall.json <<'END'
@AGENT@
END
usermod --append --groups @USER@ cwagent || true
chmod 0644 /var/log/cloud-init-output.log

#if WORDPRESS WRITES
# wp-settings.php comes last, and says that the tree is whole.
if [ ! -e "$MOUNT/wp-settings.php" ]; then
  cp --recursive --no-clobber --no-preserve=all /opt/ringwall/wordpress/wp-admin /opt/ringwall/wordpress/wp-includes /opt/ringwall/wordpress/wp-content "$MOUNT/"
  find /opt/ringwall/wordpress -maxdepth 1 -type f ! -name wp-settings.php -exec cp --no-clobber --no-preserve=all --target-directory="$MOUNT/" '{}' +
  cp --no-preserve=all /opt/ringwall/wordpress/wp-settings.php "$MOUNT/"
fi
mkdir -p "$MOUNT/wp-content/uploads" "$MOUNT/wp-content/mu-plugins"
cp --no-preserve=all /opt/ringwall/application/wp-config.php "$MOUNT/wp-config.php"
cp --no-preserve=all /opt/ringwall/application/ringwall.php "$MOUNT/wp-content/mu-plugins/ringwall.php"
#end
#if NODE_RED WRITES
cp --recursive --no-clobber --no-preserve=all /opt/ringwall/application/node-red/. "$MOUNT/"
#end

systemctl daemon-reload
systemctl enable --now ringwall-secrets.timer
systemctl start ringwall-secrets.service
#if APP
systemctl enable --now ringwall-app.service
#end
nginx -t
systemctl enable nginx.service
systemctl restart nginx.service
/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl -a fetch-config -m ec2 -s -c file:/opt/aws/amazon-cloudwatch-agent/etc/ringwall.json

@EXTRA@
# --- well when it answers as the balancer will ask
for ((try = 1; ; try++)); do
  status=$(curl --silent --output /dev/null --max-time 4 --write-out '%{http_code}' @HEALTH@ || true)
  case $status in 2?? | 3??) break ;; esac
  if [ "$try" -ge @TRIES@ ]; then
    echo "the instance answers $status" >&2
    exit 1
  fi
  sleep 5
done
tell SUCCESS
