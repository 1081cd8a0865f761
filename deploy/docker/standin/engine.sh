#!/bin/bash
# Run a command beside a Docker engine with compose v2 and BuildKit, on a machine that may have none.
#
#   deploy/docker/standin/engine.sh docker compose up --wait
#
# An engine that answers is used as it is, with its own plugins where it has them. Otherwise this
# script (root on Debian) installs what is missing, starts a dockerd with a socket and data of its
# own, and stops that one, and only that one, when the command has ended. Where no image registry
# can be reached, bases.sh builds stand-ins for the images that the project pulls.
#
# The command sees DOCKER_HOST and DOCKER_CONFIG as needed, BUILD_CA (the machine's CA bundle, for
# the build secret of the Dockerfile), and with stand-ins BASE_IMAGE, NATS_IMAGE and GATEWAY_IMAGE.
#
#   ONEBUS_ENGINE_DIR   data, images and logs between runs (/var/lib/onebus-engine as root)
#   ONEBUS_STANDIN=1    build the stand-ins without asking a registry
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
state=${ONEBUS_ENGINE_DIR:-$([ "$(id -u)" = 0 ] && echo /var/lib || echo "${XDG_CACHE_HOME:-$HOME/.cache}")/onebus-engine}
own_socket=unix://$state/docker.sock
daemon=

say() { printf 'engine: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

answers() { docker info >/dev/null 2>&1; }
has_compose() { [[ $(docker compose version --short 2>/dev/null) =~ ^v?([2-9]|[1-9][0-9]) ]]; }
has_buildx() { docker buildx version >/dev/null 2>&1; }

need_root_on_debian() {
  [ "$(id -u)" = 0 ] || die "$1; run it as root, or start an engine with compose v2 and buildx first"
  command -v apt-get >/dev/null || die "$1, and this is not Debian: start an engine with compose v2 and buildx first"
}

# The Debian mirror that this machine uses already.
mirror() {
  local found
  # shellcheck disable=SC2016 # apt fills this in
  found=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Origin: Debian' 'Label: Debian' | head -n 1)
  [ -n "$found" ] || die "apt knows no Debian mirror on this machine"
  printf '%s\n' "$found"
}

install_missing() {
  local missing=() pair
  for pair in dockerd:docker.io iptables:iptables ip:iproute2 setpriv:util-linux "$@"; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  need_root_on_debian "${missing[*]} must be installed"
  say "installing ${missing[*]}"
  apt-get update -q >/dev/null
  install_without_starting "${missing[@]}" >/dev/null
}

# Debian starts a service when it is installed; a dockerd that nobody asked for would stay behind.
install_without_starting() (
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
)

# Debian 12 has no compose v2 and no buildx; the packages of Debian 13 need nothing but libc. They
# are fetched through an apt configuration of their own, unpacked here, and never installed.
fetch_plugins() {
  local apt=$state/apt plugins=$state/config/cli-plugins deb
  if [ ! -x "$plugins/docker-compose" ] || [ ! -x "$plugins/docker-buildx" ]; then
    need_root_on_debian "docker compose v2 or buildx is missing"
    say "fetching compose v2 and buildx"
    rm -rf "$apt"
    mkdir -p "$apt"/{lists/partial,archives/partial,cache,etc,unpacked} "$plugins"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(mirror) trixie main" >"$apt/etc/sources.list"
    local options=(-q -o "Dir::Etc::sourcelist=$apt/etc/sources.list" -o Dir::Etc::sourceparts=/dev/null
      -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o "Dir::Cache::archives=$apt/archives" -o APT::Sandbox::User=root)
    apt-get "${options[@]}" update >/dev/null
    (cd "$apt" && apt-get "${options[@]}" download docker-compose docker-buildx >/dev/null)
    for deb in "$apt"/docker-*.deb; do dpkg-deb -x "$deb" "$apt/unpacked"; done
    cp "$apt"/unpacked/usr/libexec/docker/cli-plugins/* "$plugins/"
    rm -rf "$apt"
  fi
  # A login or a context of the user stays in force: only the plugins are added to it.
  if [ -s "${DOCKER_CONFIG:-$HOME/.docker}/config.json" ]; then
    cp "${DOCKER_CONFIG:-$HOME/.docker}/config.json" "$state/config/config.json"
  fi
  export DOCKER_CONFIG=$state/config
}

# What dockerd leaves of its network goes with it, unless it was there before.
remember_network() {
  had_bridge=$(ip link show docker0 2>/dev/null || true)
  forward_policy=$(iptables -S FORWARD 2>/dev/null | sed -n 's/^-P FORWARD //p')
}

restore_network() {
  [ -z "$had_bridge" ] || return 0
  ip link delete docker0 2>/dev/null || true
  [ -z "$forward_policy" ] || iptables -P FORWARD "$forward_policy" || true
}

start_daemon() {
  # A second dockerd on one network namespace takes the bridge of the first one away.
  if pgrep -x dockerd >/dev/null; then
    die "a dockerd runs here but does not answer: start it properly or stop it"
  fi
  remember_network
  say "starting dockerd (log: $state/dockerd.log)"
  # pdeathsig: no daemon stays behind, not even after kill -9 of this script.
  setpriv --pdeathsig TERM -- dockerd --host "$own_socket" --data-root "$state/docker" \
    --exec-root "$state/run" --pidfile "$state/dockerd.pid" >"$state/dockerd.log" 2>&1 9>&- &
  daemon=$!
  export DOCKER_HOST=$own_socket
  for _ in $(seq 120); do
    answers && return 0
    kill -0 "$daemon" 2>/dev/null || break
    sleep 0.5
  done
  tail -n 5 "$state/dockerd.log" >&2
  die "dockerd does not come up; the reason is in $state/dockerd.log"
}

stop_daemon() {
  local status=$?
  trap - EXIT
  if [ -n "$daemon" ]; then
    kill "$daemon" 2>/dev/null || true
    wait "$daemon" 2>/dev/null || true
    restore_network
    say "dockerd stopped"
  fi
  exit "$status"
}

# What the project pulls must be there before the command runs: from a registry, or a stand-in.
provide_images() {
  local python=python:3.13-slim-trixie nats=nats:2-alpine haproxy=haproxy:3.2-alpine
  if [ -z "${ONEBUS_STANDIN:-}" ] && pull "$python" && pull "$nats" && pull "$haproxy"; then
    return 0
  fi
  say "no image registry within reach: using stand-ins for $python, $nats and $haproxy"
  install_missing debootstrap:debootstrap
  STATE=$state MIRROR=$(mirror) "$here/bases.sh"
  export BASE_IMAGE=onebus-standin/$python NATS_IMAGE=onebus-standin/$nats GATEWAY_IMAGE=onebus-standin/$haproxy
}

pull() {
  docker image inspect "$1" >/dev/null 2>&1 && return 0
  timeout 10 docker manifest inspect "$1" >/dev/null 2>&1 || return 1
  say "pulling $1"
  timeout 300 docker pull --quiet "$1" >/dev/null
}

main() {
  [ $# -gt 0 ] || die "usage: engine.sh COMMAND [ARGUMENT]..."
  mkdir -p "$state"
  chmod 700 "$state"
  exec 9>"$state/lock"
  flock -n 9 || { say "waiting for another run of this script"; flock 9; }
  trap stop_daemon EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  if ! answers; then
    need_root_on_debian "no Docker engine answers"
    install_missing
    start_daemon
  fi
  if ! has_compose || ! has_buildx; then fetch_plugins; fi
  if ! has_compose || ! has_buildx; then die "docker compose v2 and buildx do not work here"; fi
  provide_images
  if [ -z "${BUILD_CA:-}" ] && [ -s /etc/ssl/certs/ca-certificates.crt ]; then
    export BUILD_CA=/etc/ssl/certs/ca-certificates.crt
  fi
  say "docker $(docker version --format '{{.Server.Version}}'), compose $(docker compose version --short)"
  "$@" 9>&-
}

main "$@"
