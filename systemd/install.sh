#!/bin/sh
# systemd/install.sh [OPTION]...  - install vampd as a service of this machine; as root.
#
#   (no option)     install this checkout, or upgrade to it beside the version that is there
#   --extras NAMES  with these extras of pyproject.toml: web,plots,tui
#   --unlocked      with whatever versions pyproject.toml allows, not those of config/lock
#   --receive       also the settings of the receiving end, vampd-receive.toml
#   --rollback      go back to the version before
#   --uninstall     remove what was installed; settings, ledger, keys and nights stay
#   --purge         with --uninstall: settings, ledger, keys and user go too; nights stay
#   --dry-run       say what would be done, and do nothing
#   --root DIR      do it below DIR, and leave this machine's systemd, users and packages alone
#   -y              do not ask before --purge
#
# Each version has a virtual environment of its own, /opt/vampd/VERSION; `current` leads to the one in
# use, and `previous` to the one before. Settings are never overwritten. Twice is the same as once.
set -eu

prefix=/opt/vampd
settings=/etc/vampd/vampd.toml
receive_settings=/etc/vampd/vampd-receive.toml
pages="vampd.1 vampd.toml.5 vampd-receive.toml.5 vampd.8"
share=/usr/local/share
# Where each file goes that is not made here.
unit=/etc/systemd/system/vampd.service
sysusers=/usr/lib/sysusers.d/vampd.conf
tmpfiles=/usr/lib/tmpfiles.d/vampd.conf
bash_file=$share/bash-completion/completions/vampd
zsh_file=$share/zsh/site-functions/_vampd
fish_file=$share/fish/vendor_completions.d/vampd.fish

usage() {
    sed -n '2,13s/^# \{0,1\}//p' "$0"
}

# EX_UNAVAILABLE: something that is needed cannot be had.
give_up() {
    echo "install.sh: $*" >&2
    exit 69
}

# Do it, and say it; or only say it.
run() {
    if [ -n "$dry" ]; then
        echo "would do: $*"
    else
        echo "+ $*"
        "$@"
    fi
}

has_systemd() {
    [ -z "$root" ] && [ -d /run/systemd/system ]
}

is_active() {
    has_systemd && systemctl is-active --quiet vampd
}

# As the service's user, whose files a command then makes; below --root, as whoever we are.
as_user() {
    if [ -z "$root" ] && [ "$(id -u)" = 0 ]; then
        set -- setpriv --reuid vampd --regid vampd --clear-groups env HOME=/var/lib/vampd "$@"
    fi
    "$@"
}

# vampd of release $1 with this machine's settings.
vampd_of() {
    as_user "$root$prefix/$1/bin/vampd" --config "$root$settings" "$2" "$3" ${4:+"$4"}
}

# --- What it needs --------------------------------------------------------------------------------

find_python() {
    for python in ${PYTHON:-/usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11}; do
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return
    done
    python=
}

# What is missing of the programs that vampd runs, and of what pip needs to build systemd-python.
look_for_packages() {
    missing=
    find_python
    [ -n "$python" ] && "$python" -c 'import ensurepip, venv' 2>/dev/null || missing="python3-venv"
    [ -n "$python" ] && "$python" -c 'import os, sysconfig, sys
sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' || missing="$missing python3-dev"
    for pair in systemctl:systemd gcc:gcc pkg-config:pkg-config rsync:rsync ssh:openssh-client funpack:libcfitsio-bin; do
        command -v "${pair%:*}" >/dev/null || missing="$missing ${pair#*:}"
    done
    pkg-config --exists libsystemd 2>/dev/null || missing="$missing libsystemd-dev"
}

install_packages() {
    [ -z "$root" ] || { find_python; return 0; }
    look_for_packages
    if [ -n "$missing" ]; then
        command -v apt-get >/dev/null || give_up "install by hand what Debian calls: $missing"
        run apt-get update -qq
        # shellcheck disable=SC2086 # many words
        run env DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends $missing
        find_python
    fi
    [ -n "$python$dry" ] || give_up "needs Python 3.11 or newer"
}

# --- One version ----------------------------------------------------------------------------------

# Sets version, and stamp: what exactly this checkout is.
know_source() {
    [ -f "$source/pyproject.toml" ] || give_up "$source is no checkout of vampd"
    version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$source/vampd/__init__.py")
    stamp=$(cd "$source" && {
        echo "$extras"
        find vampd csrc migrations config systemd man pyproject.toml hatch_build.py -type f ! -name "*.pyc" ! -name "*.so" |
            LC_ALL=C sort | xargs sha256sum
    } | sha256sum | cut -d ' ' -f 1)
}

is_release() {
    [ -f "$root$prefix/$1/stamp" ]
}

# Sets release: the folder of this very source; another source of the same version has another.
choose_release() {
    number=1
    release=$version
    while is_release "$release" && [ "$(cat "$root$prefix/$release/stamp")" != "$stamp" ]; do
        number=$((number + 1))
        release=$version.$number
    done
}

pip_install() {
    run env PIP_ROOT_USER_ACTION=ignore "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
}

# The versions that were tested, each file with the digest that it had then; and vampd on top of them.
install_release() {
    if [ -n "$unlocked" ]; then
        pip_install "$source${extras:+[$extras]}"
        return
    fi
    for lock in build requirements $(echo "$extras" | tr , ' '); do
        [ -f "$source/config/lock/$lock.txt" ] || give_up "no extra is called $lock; there are: web, plots, tui, dask"
        pip_install --require-hashes --no-deps --no-build-isolation -r "$source/config/lock/$lock.txt" || return
    done
    pip_install --no-deps --no-build-isolation --no-index "$source"
}

make_release() {
    is_release "$release" && return
    folder=$root$prefix/$release
    # Without a stamp it is what an earlier call did not finish.
    [ ! -e "$folder" ] || run rm -rf "$folder"
    run mkdir -p "$root$prefix"
    run "${python:-python3}" -m venv "$folder"
    install_release || give_up "pip could not install it; its own words are above. Nothing else was changed"
    run "$folder/bin/vampd" --version
    [ -n "$dry" ] || echo "$stamp" >"$folder/stamp"
}

# Sets shipped: the folder with the unit of $1, or of this checkout while $1 is not made yet.
find_shipped() {
    shipped=$source/systemd
    if is_release "$1"; then
        shipped=$(cd / && "$root$prefix/$1/bin/python" -c '
from vampd.shipped import unit_file
print(unit_file().parent)')
    fi
}

# --- Its files ------------------------------------------------------------------------------------

# Install file $1 as $3 with mode $2, unless it lies there already.
put() {
    cmp -s "$1" "$root$3" && return
    run install -D -m "$2" "$1" "$root$3"
    case $3 in *.service) units_changed=yes ;; esac
}

put_page() {
    page=$root$prefix/$1/share/man/man${2##*.}/$2
    [ -f "$page" ] || page=$source/man/$2
    put "$page" 644 "$share/man/man${2##*.}/$2"
}

put_completion() {
    if is_release "$1"; then
        "$root$prefix/$1/bin/vampd" admin completion "$2" >"$scratch/$2"
        put "$scratch/$2" 644 "$3"
    else
        echo "would do: write $root$3"
    fi
}

# Never over what a person wrote: then this version's reference goes beside it.
put_settings() {
    reference=${shipped%/systemd}/config/vampd.toml
    if [ ! -e "$root$settings" ]; then
        put "$reference" 644 "$settings"
    elif ! cmp -s "$reference" "$root$settings"; then
        put "$reference" 644 "$settings.new"
    fi
}

# The receiving end's, where it is asked for, or was before.
put_receive_settings() {
    reference=${shipped%/systemd}/config/vampd-receive.toml
    if [ -n "$receive" ] && [ ! -e "$root$receive_settings" ]; then
        put "$reference" 644 "$receive_settings"
    elif [ -e "$root$receive_settings" ] && ! cmp -s "$reference" "$root$receive_settings"; then
        put "$reference" 644 "$receive_settings.new"
    fi
}

# What release $1 needs before it can be asked anything: user, folders, settings.
put_account() {
    find_shipped "$1"
    put "$shipped/vampd.sysusers" 644 "$sysusers"
    put "$shipped/vampd.tmpfiles" 644 "$tmpfiles"
    if [ -z "$root" ]; then
        run systemd-sysusers "$sysusers"
        run systemd-tmpfiles --create "$tmpfiles"
    fi
    put_settings
    put_receive_settings
}

put_pages() {
    for page in $pages; do put_page "$1" "$page"; done
    put_completion "$1" bash "$bash_file"
    put_completion "$1" zsh "$zsh_file"
    put_completion "$1" fish "$fish_file"
}

put_units() {
    find_shipped "$1"
    units_changed=
    for each in "$shipped"/vampd*.service "$shipped"/vampd*.timer; do
        [ ! -f "$each" ] || put "$each" 644 "${unit%/*}/${each##*/}"
    done
    [ -z "$units_changed" ] || ! has_systemd || run systemctl daemon-reload
}

# --- From one version to another ------------------------------------------------------------------

link_to() {
    [ "$(readlink "$root$prefix/$2" 2>/dev/null)" != "$1" ] || return 0
    run ln -sfn "$1" "$root$prefix/$2.part"
    run mv -T "$root$prefix/$2.part" "$root$prefix/$2"
}

in_use() {
    readlink "$root$prefix/current" 2>/dev/null || true
}

# Whether release $1 can use the settings and the ledger that are here; says what it would migrate.
# Where only the receiving end is used, nobody has written the other settings.
suits() {
    [ -e "$root/var/lib/vampd/ledger.sqlite3" ] || [ ! -e "$root$receive_settings" ] || return 0
    vampd_of "$1" admin config check && { [ ! -e "$root/var/lib/vampd/ledger.sqlite3" ] || vampd_of "$1" admin migrate --dry-run; }
}

# Let release $1 be the one in use, and a running service go on with it.
switch_to() {
    before=$(in_use)
    older=$(readlink "$root$prefix/previous" 2>/dev/null || true)
    was_active=
    ! is_active || was_active=yes
    [ -z "$was_active" ] || run systemctl stop vampd
    link_to "$1" current || return 1
    [ -z "$before" ] || link_to "$before" previous
    put_units "$1"
    [ "$(readlink "$root/usr/local/bin/vampd" 2>/dev/null)" = "$prefix/current/bin/vampd" ] || {
        run mkdir -p "$root/usr/local/bin"
        run ln -sfn "$prefix/current/bin/vampd" "$root/usr/local/bin/vampd"
    }
    [ -z "$was_active" ] || run systemctl start vampd
    ! has_systemd || run systemctl try-restart vampd-receive
}

# What is neither in use nor the one before it is not needed for anything.
remove_older() {
    for folder in "$root$prefix"/*/; do
        name=$(basename "$folder")
        case $name in "$(in_use)" | "$(readlink "$root$prefix/previous" 2>/dev/null)" | current | previous) continue ;; esac
        ! is_release "$name" || run rm -rf "$root$prefix/$name"
    done
}

do_install() {
    [ ! -e "$root$prefix/pyvenv.cfg" ] || give_up "$prefix is itself a virtual environment: move it away first"
    install_packages
    know_source
    choose_release
    make_release
    put_account "$release"
    before=$(in_use)
    if [ "$before" = "$release" ]; then
        put_units "$release"
    elif [ -z "$before" ] || [ -n "$dry" ] || suits "$release"; then
        switch_to "$release" || { undo; give_up "vampd $release did not start: journalctl -u vampd"; }
        [ -n "$dry" ] || remove_older
    else
        give_up "the settings or the ledger do not suit vampd $release; $before stays in use"
    fi
    put_pages "$release"
    [ -n "$dry" ] || tell_next
}

# The new version does not start: the old one is to go on.
undo() {
    [ -n "$before" ] || return 0
    echo "install.sh: going back to vampd $before" >&2
    was_active=yes
    go_back_to "$before"
    # What does not start is nothing to go back to.
    rm -f "$root$prefix/previous"
    [ -z "$older" ] || link_to "$older" previous
}

# The old version refuses a ledger that the newer one has migrated: then that is undone too.
# It may be one that knows `migrate` by that name alone.
go_back_to() {
    ! has_systemd || run systemctl stop vampd
    if [ -z "$dry" ] && [ -e "$root/var/lib/vampd/ledger.sqlite3" ] && ! vampd_of "$1" migrate --dry-run; then
        vampd_of "$(in_use)" admin migrate --back || {
            [ -z "$was_active" ] || systemctl start vampd
            give_up "vampd $1 cannot use the ledger; $(in_use) stays in use"
        }
    fi
    newer=$(in_use)
    link_to "$1" current
    link_to "$newer" previous
    put_account "$1"
    put_units "$1"
    put_pages "$1"
    [ -z "$was_active" ] || run systemctl start vampd
}

do_rollback() {
    old=$(readlink "$root$prefix/previous" 2>/dev/null) || give_up "there is no version to go back to"
    is_release "$old" || give_up "$prefix/$old is no whole version any more"
    was_active=
    ! is_active || was_active=yes
    go_back_to "$old"
    [ -n "$dry" ] || echo "vampd $(in_use) is in use again."
}

tell_next() {
    echo "vampd $(in_use) is installed."
    ! is_active || return 0
    cat <<END
Next: the settings, $settings; then, as the service's user, whether all is there; then start it:
  vampd admin config check
  setpriv --reuid vampd --regid vampd --clear-groups vampd admin doctor
  systemctl enable --now vampd
Who else may read and order: sudo usermod -aG vampd NAME; they log in again.
With alerts.recipients set, also: systemctl enable --now vampd-watchdog.timer
At the receiving end (install.sh --receive), instead: $receive_settings, then
  setpriv --reuid vampd --regid vampd --clear-groups vampd receive doctor
  systemctl enable --now vampd-receive
For the nights in a browser (install.sh --extras web,plots): systemctl enable --now vampd-page
For the nights on a full screen (install.sh --extras tui): vampd tui
END
}

# --- Away with it ---------------------------------------------------------------------------------

may_purge() {
    [ -z "$yes$dry" ] || return 0
    cat >&2 <<END
These go for ever: /etc/vampd, /var/cache/vampd, the user vampd, and /var/lib/vampd: its ssh key,
and the ledger, the only record of which frame IDs were given.
END
    [ -t 0 ] || give_up "nothing was done: nobody is there to ask whether it may be; add -y"
    printf 'May it be done? [y/N] ' >&2
    read -r answer
    case $answer in y | Y | yes) ;; *) give_up "nothing was done" ;; esac
}

do_uninstall() {
    [ -z "$purge" ] || may_purge
    for each in "$root${unit%/*}"/vampd*.timer "$root${unit%/*}"/vampd*.service; do
        [ -f "$each" ] || continue
        ! has_systemd || run systemctl disable --quiet --now "$(basename "$each")"
        run rm -f "$each"
    done
    ! has_systemd || run systemctl daemon-reload
    run rm -f "$root$sysusers" "$root$tmpfiles" "$root$bash_file" "$root$zsh_file" "$root$fish_file"
    for page in $pages; do run rm -f "$root$share/man/man${page##*.}/$page"; done
    [ ! -L "$root/usr/local/bin/vampd" ] || run rm -f "$root/usr/local/bin/vampd"
    run rm -f "$root$prefix/current" "$root$prefix/previous"
    for folder in "$root$prefix"/*/; do
        name=$(basename "$folder")
        ! is_release "$name" || run rm -rf "$root$prefix/$name"
    done
    [ ! -d "$root$prefix" ] || run rmdir --ignore-fail-on-non-empty "$root$prefix"
    [ -n "$purge" ] || { echo "/etc/vampd and /var/lib/vampd are kept; --purge removes them."; return 0; }
    run rm -rf "$root/etc/vampd" "$root/var/lib/vampd" "$root/var/cache/vampd" \
        "$root/var/lib/vampd-receive" "$root/var/cache/vampd-receive"
    [ -n "$root" ] || ! id vampd >/dev/null 2>&1 || run userdel vampd
}

source=$(cd "$(dirname "$0")/.." && pwd)
verb=install dry='' root='' purge='' yes='' extras='' unlocked='' receive=''
while [ $# != 0 ]; do
    case $1 in
        --rollback | --uninstall) verb=${1#--} ;;
        --purge) purge=yes ;;
        --receive) receive=yes ;;
        --dry-run) dry=yes ;;
        --unlocked) unlocked=yes ;;
        -y) yes=yes ;;
        --root) [ $# != 1 ] || { usage >&2; exit 64; }; shift; root=${1%/} ;;
        --extras) [ $# != 1 ] || { usage >&2; exit 64; }; shift; extras=$1 ;;
        -h | --help) usage; exit ;;
        *) usage >&2; exit 64 ;;
    esac
    shift
done
[ -z "$purge" ] || [ "$verb" = uninstall ] || { echo "install.sh: --purge goes with --uninstall" >&2; exit 64; }
[ -n "$root$dry" ] || [ "$(id -u)" = 0 ] || give_up "needs root: sudo $0"
# Folders and files are for everyone to read, whatever root's own umask is.
umask 022
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
do_"$verb"
