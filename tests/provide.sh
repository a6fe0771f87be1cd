# For scripts that need programs which not everybody has.

# provide COMMAND PACKAGE...: installs the Debian packages when the command is missing, if that is allowed.
provide() {
    command -v "$1" >/dev/null && return
    if [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
        export DEBIAN_FRONTEND=noninteractive
        { apt-get -qq update && apt-get -qq install -y --no-install-recommends "${@:2}"; } >&2 || true
    fi
}
